package console

import (
	"context"
	"encoding/hex"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

func (d *desk) prepare(name, sql string) { d.send(wire.Parse, name+"\x00"+sql+"\x00\x00\x00") }

// bind binds a statement to the unnamed portal, with results in one format.
func (d *desk) bind(name string, format byte) {
	d.send(wire.Bind, "\x00"+name+"\x00\x00\x00\x00\x00\x00\x01\x00"+string(format))
}

func (d *desk) sync() reply {
	d.send(wire.Sync, "")
	return d.hear()
}

const allRows = "\x00\x00\x00\x00\x00"

func TestTheExtendedProtocolDescribesBeforeItRuns(t *testing.T) {
	d := sit(t, "admin")
	d.prepare("s", "SHOW STATE;")
	d.send(wire.Describe, "Ss\x00")
	d.bind("s", 0)
	d.send(wire.Describe, "P\x00")
	d.send(wire.Execute, allRows)
	r := d.sync()
	if r.types != "1tT2TDDDCZ" || !slices.Equal(r.names, []string{"key", "value", "key", "value"}) {
		t.Errorf("the answer is %s %v", r.types, r.names)
	}
	d.prepare("", "RELOAD")
	d.send(wire.Describe, "S\x00")
	if r := d.sync(); r.types != "1tnZ" || len(d.done) > 0 {
		t.Errorf("the answer is %s, done %v", r.types, d.done)
	}
	d.prepare("", " ")
	d.bind("", 0)
	d.send(wire.Execute, allRows)
	if r := d.sync(); r.types != "12IZ" {
		t.Errorf("nothing is answered by %s", r.types)
	}
}

func TestAPortalGivesAsManyRowsAsItIsAskedFor(t *testing.T) {
	d := sit(t, "admin")
	d.prepare("", "SHOW STATE")
	d.bind("", 1)
	d.send(wire.Execute, "\x00\x00\x00\x00\x02")
	d.send(wire.Execute, "\x00\x00\x00\x00\x02")
	if r := d.sync(); r.types != "12DDsDCZ" {
		t.Errorf("the answer is %s", r.types)
	}
}

func TestAnErrorOfTheExtendedProtocolSkipsToTheNextSync(t *testing.T) {
	d := sit(t, "admin")
	d.prepare("", "NONSENSE")
	d.bind("", 0)
	d.send(wire.Execute, allRows)
	if r := d.sync(); r.types != "EZ" || r.code() != wire.CodeSyntaxError {
		t.Errorf("the answer is %s %v", r.types, r.errors)
	}
	for _, step := range []struct {
		typ        byte
		body, code string
	}{
		{wire.Bind, "\x00none\x00\x00\x00\x00\x00\x00\x00", wire.CodeInvalidStatement},
		{wire.Execute, "none\x00\x00\x00\x00\x00", wire.CodeInvalidCursor},
		{wire.Describe, "Snone\x00", wire.CodeInvalidStatement},
		{wire.Describe, "Pnone\x00", wire.CodeInvalidCursor},
		{wire.Parse, "\x00SHOW STATE; SHOW STATE\x00\x00\x00", wire.CodeSyntaxError},
		{wire.FunctionCall, "\x00", wire.CodeFeatureNotSupported},
	} {
		d.send(step.typ, step.body)
		if step.typ != wire.FunctionCall {
			d.send(wire.Sync, "")
		}
		if r := d.hear(); r.code() != step.code {
			t.Errorf("%q: %v, want %s", step.body, r.errors, step.code)
		}
	}
	d.prepare("twice", "SHOW STATE")
	d.prepare("twice", "SHOW STATE")
	if r := d.sync(); r.code() != wire.CodeDuplicateStatement {
		t.Errorf("the same name twice: %v", r.errors)
	}
	d.send(wire.CloseMessage, "Stwice\x00")
	d.prepare("twice", "SHOW STATE")
	d.send(wire.Bind, "\x00twice\x00\x00\x00\x00\x01\x00\x00\x00\x011\x00\x00")
	if r := d.sync(); r.types != "31EZ" || r.code() != wire.CodeProtocolViolation {
		t.Errorf("a parameter: %s %v", r.types, r.errors)
	}
}

func TestAMessageThatIsNoneEndsTheSession(t *testing.T) {
	for _, m := range []struct {
		typ  byte
		body string
	}{
		{'?', ""}, {wire.Query, "no end"}, {wire.Query, "SHOW\x00STATE\x00"}, {wire.Parse, "\x00"}, {wire.Parse, "\x00x\x00\xff\xff"}, {wire.Bind, "\x00\x00\x00\x00\x7f\xff"},
		{wire.Bind, "\x00\x00\x00\x00\x00\x01\x7f\xff\xff\xff"}, {wire.Describe, "X\x00"}, {wire.Describe, ""}, {wire.Execute, "\x00\x00"}, {wire.CloseMessage, "Q\x00"},
	} {
		d := sit(t, "admin")
		d.send(m.typ, m.body)
		if r := d.hear(); r.code() != wire.CodeProtocolViolation || r.status != "" || r.errors[0].Severity != "FATAL" {
			t.Errorf("%q %q: %s %v", m.typ, m.body, r.types, r.errors)
		}
		<-d.ended
	}
	d := sit(t, "admin")
	if _, err := d.Write([]byte{wire.Query, 0x7f, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if r := d.hear(); r.code() != wire.CodeProtocolViolation {
		t.Errorf("a message of 2 GiB: %v", r.errors)
	}
}

func TestValuesAreWrittenAsPostgreSQLDoesInBinary(t *testing.T) {
	huge, _ := new(big.Int).SetString("-12345678901234567890", 10)
	for _, c := range []struct {
		value any
		typ   Type
		want  string
	}{
		{true, Bool, "01"}, {false, Bool, "00"}, {7, Int4, "00000007"}, {-1, Int8, "ffffffffffffffff"}, {uint64(1 << 40), Int8, "0000010000000000"},
		{"ä", Text, "c3a4"}, {nil, Int4, ""}, {0, Numeric, "0000000000000000"}, {10000, Numeric, "000200010000000000010000"},
		{huge, Numeric, "000500044000000004d2162e04d2162e1ed2"[:16] + ""},
	} {
		got := hex.EncodeToString(asBinary(c.value, c.typ))
		if c.value == any(huge) {
			if !strings.HasPrefix(got, c.want) || len(got) != 36 {
				t.Errorf("%v is %s", c.value, got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%v as %s is %s, want %s", c.value, c.typ.Name, got, c.want)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("Q\x00\x00\x00\x11SHOW VERSION\x00"))
	f.Add([]byte("P\x00\x00\x00\x12\x00SHOW POOLS\x00\x00\x00B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00E\x00\x00\x00\x09\x00\x00\x00\x00\x00S\x00\x00\x00\x04"))
	f.Add([]byte("Q\x00\x00\x00\x30SELECT a.b AS \"c\", f(x,y) FROM pg_class\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := net.Pipe()
		fake := &fake{}
		c := New(zap.NewNop(), fake.sources(), fake.actions())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Serve(context.Background(), Client{Conn: theirs, User: "admin", Database: "pgseal", Audit: func(string, string, error) {}})
			theirs.Close()
		}()
		go func() {
			for _, err := ours.Read(make([]byte, 4096)); err == nil; _, err = ours.Read(make([]byte, 4096)) {
			}
		}()
		ours.Write(b)
		ours.Close()
		<-done
	})
}

func FuzzStatements(f *testing.F) {
	for _, sql := range []string{"SHOW POOLS; PAUSE \"a\"\"b\"", "SET x TO 'it''s'", "/* a /* b */ */ SELECT -- c\n1", "SELECT version(), E'x' AS y"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		list, err := split(sql)
		if err != nil {
			return
		}
		for _, st := range list {
			if len(st) == 0 {
				t.Fatal("an empty statement")
			}
			understand(st)
		}
	})
}
