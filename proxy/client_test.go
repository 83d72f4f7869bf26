package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
)

// client is a connection to the pooler that can send anything, and reads what
// comes message by message.
type client struct {
	net.Conn // what messages go through: raw, or TLS on it
	t        testing.TB
	raw      net.Conn
	params   map[string]string // from the greeting
	key      string            // of CancelRequest: process ID and secret
}

const (
	sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	gssRequest = "\x00\x00\x00\x08\x04\xd2\x16\x30"
	version3   = "\x00\x03\x00\x00"
	version32  = "\x00\x03\x00\x02"
)

// packet builds a packet of the startup phase.
func packet(code string, fields ...string) string {
	body := code
	if len(fields) > 0 {
		body += strings.Join(fields, "\x00") + "\x00\x00"
	}
	return string(binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))) + body
}

// dial opens a connection, which ends with the test.
func (h *house) dial() *client {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.listener.Addr().String())
	ok(h.t, err)
	ok(h.t, conn.SetDeadline(time.Now().Add(patience)))
	h.t.Cleanup(func() { conn.Close() })
	return &client{Conn: conn, t: h.t, raw: conn, params: map[string]string{}}
}

// dialTLS opens a connection and secures it.
func (h *house) dialTLS() *client {
	h.t.Helper()
	c := h.dial()
	c.secure()
	return c
}

// secure asks for TLS and makes the handshake.
func (c *client) secure() {
	c.t.Helper()
	c.write(sslRequest)
	c.wantByte('S')
	c.handshake()
}

// handshake makes c a TLS connection on what is now raw.
func (c *client) handshake() {
	c.t.Helper()
	conn := tls.Client(c.raw, &tls.Config{RootCAs: testCA().Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"}})
	ok(c.t, conn.Handshake())
	c.Conn = conn
}

// login returns a session of alice with a database.
func (h *house) login(database string, params ...string) *client {
	h.t.Helper()
	c := h.dialTLS()
	c.write(packet(version3, append([]string{"user", "alice", "database", database}, params...)...))
	c.authenticate(password)
	c.greeted()
	return c
}

func (c *client) write(msgs ...string) {
	c.t.Helper()
	_, err := io.WriteString(c, strings.Join(msgs, ""))
	ok(c.t, err)
}

func (c *client) wantByte(want byte) {
	c.t.Helper()
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	ok(c.t, err)
	if b[0] != want {
		c.t.Fatalf("the answer is %q, want %q", b[0], want)
	}
}

// want reads one message of this type and returns its body.
func (c *client) want(typ byte) string {
	c.t.Helper()
	got, body, err := readMsg(c)
	if err != nil {
		c.t.Fatalf("waiting for message type %q: %v", typ, err)
	}
	if got != typ {
		c.t.Fatalf("got message type %q %q, want %q", got, body, typ)
	}
	return body
}

// wants reads these messages and asserts that they are what comes.
func (c *client) wants(msgs ...string) {
	c.t.Helper()
	for _, want := range msgs {
		typ, body, err := readMsg(c)
		ok(c.t, err)
		if got := msg(typ, body); got != want {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantError reads an ErrorResponse with this SQLSTATE and returns its fields.
func (c *client) wantError(code string) map[byte]string {
	c.t.Helper()
	fields := map[byte]string{}
	for field := range strings.SplitSeq(strings.TrimRight(c.want('E'), "\x00"), "\x00") {
		fields[field[0]] = field[1:]
	}
	if fields['C'] != code || fields['M'] == "" {
		c.t.Fatalf("got error %q, want SQLSTATE %s", fields, code)
	}
	return fields
}

// refused reads a FATAL error with this SQLSTATE behind which the connection
// ends.
func (c *client) refused(code string) map[byte]string {
	c.t.Helper()
	fields := c.wantError(code)
	if fields['S'] != "FATAL" || fields['V'] != "FATAL" {
		c.t.Errorf("the severity of %q is not FATAL", fields)
	}
	c.ended()
	return fields
}

// ended asserts that the connection ends without another word.
func (c *client) ended() {
	c.t.Helper()
	n, err := c.Read(make([]byte, 100))
	if err == nil {
		c.t.Fatalf("%d bytes more came", n)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the connection does not end")
	}
	c.raw.Close()
}

// authenticate runs SCRAM-SHA-256 up to the pooler's verdict.
func (c *client) authenticate(password string) {
	c.t.Helper()
	x := c.beginSCRAM(password)
	first := c.want('R')
	final, err := x.Respond([]byte(first[4:]))
	ok(c.t, err)
	c.write(msg('p', string(final)))
}

// beginSCRAM sends the first message of the exchange.
func (c *client) beginSCRAM(password string) *auth.ClientExchange {
	c.t.Helper()
	want := "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"
	if c.Conn != c.raw {
		want = "\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"
	}
	if offer := c.want('R'); offer != want {
		c.t.Fatalf("the pooler asks for %q", offer)
	}
	x := auth.NewClientExchange(password)
	first := string(x.First())
	c.write(msg('p', "SCRAM-SHA-256\x00", size(first), first))
	return x
}

// authenticated reads the end of a successful authentication.
func (c *client) authenticated() {
	c.t.Helper()
	typ, body, err := readMsg(c)
	ok(c.t, err)
	if typ != 'R' || !strings.HasPrefix(body, "\x00\x00\x00\x0cv=") {
		c.t.Fatalf("the login ended in %q %q", typ, body)
	}
}

// greeted reads all that ends a successful login.
func (c *client) greeted() {
	c.t.Helper()
	c.authenticated()
	c.welcomed()
}

// welcomed reads what lets a client in, to the first ReadyForQuery.
func (c *client) welcomed() {
	c.t.Helper()
	if body := c.want('R'); body != "\x00\x00\x00\x00" {
		c.t.Fatalf("the login ended in %q", body)
	}
	for {
		typ, body, err := readMsg(c)
		ok(c.t, err)
		switch typ {
		case 'S':
			name, value, _ := strings.Cut(strings.TrimSuffix(body, "\x00"), "\x00")
			c.params[name] = value
			continue
		case 'K':
			c.key = body
			continue
		}
		if typ != 'Z' || body != "I" || len(c.key) != 8 && len(c.key) != 36 {
			c.t.Fatalf("the greeting ended in %q %q with key %q", typ, body, c.key)
		}
		return
	}
}

// ask sends a query and returns the value in the one row of its result.
func (c *client) ask(sql string) string {
	c.t.Helper()
	c.write(query(sql))
	return c.answer()
}

// answer reads the result of a query of one row, with ParameterStatus
// wherever it comes.
func (c *client) answer() (value string) {
	c.t.Helper()
	seen := ""
	for !strings.HasSuffix(seen, "Z") {
		typ, body, err := readMsg(c)
		ok(c.t, err)
		switch typ {
		case 'S':
			continue
		case 'D':
			value = body[6:]
		}
		seen += string(typ)
	}
	if seen != "TDCZ" {
		c.t.Fatalf("the answer has messages of types %s", seen)
	}
	return value
}

// do sends a statement and asserts that it succeeds and leaves this status.
func (c *client) do(sql, status string) {
	c.t.Helper()
	c.write(query(sql))
	c.want('C')
	c.wants(ready(status))
}

// leave says goodbye.
func (c *client) leave() {
	c.t.Helper()
	c.write(goodbye)
	c.ended()
}

// cancel sends a CancelRequest and waits until the pooler is done with it.
func (h *house) cancel(key string, overTLS bool) {
	h.t.Helper()
	c := h.dial()
	if overTLS {
		c.secure()
	}
	c.write(packet("\x04\xd2\x16\x2e" + key))
	c.ended()
}
