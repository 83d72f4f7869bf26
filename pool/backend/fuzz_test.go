package backend

import (
	"bytes"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/pgfake"
)

// answers is a connection that reads what it was made of.
type answers struct {
	net.Conn
	*bytes.Reader
}

func (a answers) Read(b []byte) (int, error)  { return a.Reader.Read(b) }
func (a answers) Write(b []byte) (int, error) { return len(b), nil }

// letInSomehow is an AuthenticationOk, whatever stands behind it: libpq does not
// look there either.
var letInSomehow = regexp.MustCompile(`(?s)R....\x00\x00\x00\x00`)

func FuzzLogIn(f *testing.F) {
	f.Add([]byte(welcome))
	f.Add([]byte(frame('N', "\x00") + welcome))
	f.Add([]byte(frame('R', word(10), "SCRAM-SHA-256\x00\x00") + frame('R', word(11), "r=x,s=c2FsdA==,i=4096") + frame('R', word(12), "v=x") + welcome))
	f.Add([]byte(frame('E', "SFATAL\x00C28P01\x00Mno\x00\x00")))
	f.Add([]byte(frame('v', word(pgfake.Version30), word(0)) + welcome))
	f.Add([]byte("R\x00\x00\x00\x03"))
	f.Add([]byte("S\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := answers{Reader: bytes.NewReader(b)}
		c := &Conn{transport: &transport{Conn: in}}
		err := c.logIn(Login{User: "app", Password: password}, terms{methods: authMethods}, nil)
		if err != nil {
			if strings.Contains(err.Error(), password) {
				t.Fatalf("the password stands in the error %q", err)
			}
			return
		}
		read := string(b[:len(b)-in.Len()])
		if !letInSomehow.MatchString(read) || !strings.HasSuffix(read, frame('Z', "I")) {
			t.Fatalf("a login succeeded after %q with %v", read, c.Parameters)
		}
	})
}

// What a server answers to a query is rows, an error, or the end of the
// connection's use.
func FuzzQueryAnswer(f *testing.F) {
	f.Add([]byte(frame('1') + frame('2') + frame('D', "\x00\x01", word(3), "yes") + frame('C', "SELECT 1\x00") + frame('Z', "I")))
	f.Add([]byte(frame('D', "\x00\x02\xff\xff\xff\xff\x00\x00\x00\x00") + frame('s') + frame('Z', "I")))
	f.Add([]byte(frame('E', "SERROR\x00C42501\x00Mno\x00\x00") + frame('Z', "I")))
	f.Add([]byte(frame('E', "\x00")))
	f.Add([]byte("D\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Conn{transport: &transport{Conn: answers{Reader: bytes.NewReader(b)}}}
		rows, err := c.QueryRows(t.Context(), 2, "SELECT $1", "alice")
		if err == nil && !bytes.Contains(b, []byte(frame('Z')[:1])) {
			t.Fatalf("%d rows came without ReadyForQuery", len(rows))
		}
		if c.err != nil && err == nil {
			t.Fatalf("a broken connection gave %d rows", len(rows))
		}
		for _, row := range rows {
			for _, v := range row {
				if v.Null && v.Text != "" || len(v.Text) > len(b) {
					t.Fatalf("read %q", v.Text)
				}
			}
		}
	})
}
