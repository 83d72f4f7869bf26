package relay_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// dialogue drives a relay with two streams, a piece of one and a piece of the
// other, and returns what came of it.
func dialogue(c *talk, client, server []byte, r *rand.Rand) {
	c.lenient = true
	piece := func(b []byte) int { return min(1+r.IntN(len(b)+1), len(b)) }
	for goesOn := true; goesOn && c.err == nil && !c.gone && !c.broken; {
		goesOn = false
		if n := piece(client); n > 0 && !c.paused {
			c.client(string(client[:n]))
			client, goesOn = client[n:], true
		}
		if n := piece(server); n > 0 && c.attached {
			c.server(string(server[:n]))
			server, goesOn = server[n:], true
		}
		if c.late && c.asked && r.IntN(2) == 0 {
			c.ask()
		}
	}
}

// FuzzRelay feeds both sides with anything, in any pieces: nothing panics, what
// the relay knows of itself is consistent (see check), what reaches the server
// are whole messages of a client, and nothing of the session's memory is left.
func FuzzRelay(f *testing.F) {
	seed := func(client, server string, how uint8) { f.Add([]byte(client), []byte(server), how, uint64(1)) }
	seed(query("SELECT 1"), answer, 0)
	seed(query("SELECT 1"), complete("SELECT 1")+ready("I")+answer, 1)
	seed(parse+bind+execute+syncMsg, parsed+bound+row("1")+complete("SELECT 1")+ready("I"), 0)
	seed(copies+bind+execute+copyData("x")+copyDone+syncMsg, parsed+bound+copyIn+complete("COPY 1")+ready("I"), 0)
	seed(query(copyQuery)+copyData("x")+copyFail+goodbye, copyIn+serverError("57014")+ready("I"), 2)
	seed(copies+bind+execute+syncMsg+copyData("x"), parsed+bound+copyIn+serverError("57014")+ready("I"), 0)
	seed(query("")+syncMsg, notice+notification+parameter("a", "b")+ready("T")+ready("E"), 4)
	seed(selectOne+runsOne+runsOne, madeOne+ranOne+ranOne, 0)
	seed(selectOne+closeS("one")+describeS("one")+syncMsg, parsed+serverError("42601")+ready("I"), 0)
	seed(query("LISTEN x")+query("SET a.b = 1")+query("DEALLOCATE one"), answer+answer+answer, 8)
	seed(query("PREPARE one AS SELECT 1")+runsOne+query("EXECUTE one"), answer+answer+ranOne+answer, 0)
	seed(parse+bind+execute+syncMsg+query("DISCARD ALL"), parsed+bound+complete("DISCARD ALL")+ready("I"), 16)
	seed("Q\x00\x00\x00\x03", "D\x00\x00\x00\x03", 0)
	seed("Q\x40\x00\x00\x03", "Z\x00\x00\x00\x04", 0)
	seed(msg('F', "\x00"), msg('D', "\x00\x01\xff\xff\xff\xfe")+msg('C')+msg('A', "\x00"), 1)
	f.Fuzz(func(t *testing.T, client, server []byte, how uint8, cutSeed uint64) {
		r := rand.New(rand.NewPCG(cutSeed, 0))
		c := newTalk(t, func(n int) int { return 1 + r.IntN(n) })
		c.configured(func(cfg *relay.Config) {
			cfg.Shared = how&4 == 0
			cfg.Policy = []string{relay.Pin, relay.Strict, relay.Reject, relay.Ignore}[how>>3&3]
			cfg.Statements = relay.NewStatements(8 << 10)
			cfg.MaxCopies = 2
		}, []string{"", "TimeZone=UTC"}[how&1])
		c.late = how&2 != 0
		dialogue(c, client, server, r)
		framed(t, c.sent.String())
		if c.attached && c.AtRest() && c.Owed() != 0 {
			t.Fatalf("at rest, and %d messages are owed an answer", c.Owed())
		}
		c.Leave()
		if wrong := c.Wrong(); wrong != "" {
			t.Fatal(wrong)
		}
		c.Detach()
		c.Close()
		if wrong := c.Wrong(); wrong != "" {
			t.Fatal(wrong)
		}
		if _, bytes := c.config.Statements.Use(); bytes != 0 {
			t.Fatalf("%d bytes of statements are counted in the end", bytes)
		}
	})
}

// framed asserts that a stream consists of whole messages, but for its end.
func framed(t *testing.T, stream string) {
	for len(stream) >= 5 {
		n := 1 + int(binary.BigEndian.Uint32([]byte(stream[1:5])))
		if wire.ClientLimit(stream[0]) < 0 {
			t.Fatalf("%q is no message of a client", stream[0])
		}
		if n > len(stream) {
			return
		}
		stream = stream[n:]
	}
}

// FuzzRelayOfOneSide feeds one side whole and in pieces, and asserts that the
// relay can't tell the difference.
func FuzzRelayOfOneSide(f *testing.F) {
	f.Add([]byte(query("SELECT 1")+parse+syncMsg+copyData("x")+goodbye), []byte(answer), uint64(1))
	f.Add([]byte(query("")+query("")), []byte(copyIn+notice+ready("I")), uint64(2))
	f.Add([]byte(selectOne+runsOne+closeS("one")+syncMsg), []byte(madeOne+ranOne), uint64(2))
	f.Add([]byte(syncMsg+syncMsg), []byte(parameter("a", strings.Repeat("b", 100))+ready("X")), uint64(3))
	f.Fuzz(func(t *testing.T, client, server []byte, cutSeed uint64) {
		r := rand.New(rand.NewPCG(cutSeed, 1))
		pieces := func(n int) int { return 1 + r.IntN(n) }
		var runs [2]*talk
		for i, cut := range []func(int) int{whole, pieces} {
			c := newTalk(t, cut)
			c.lenient = true
			c.client(string(client))
			if c.attached && !c.gone {
				for rest := server; len(rest) > 0 && c.attached && c.err == nil; {
					n := 1 // a server that is given back may have said more
					if i == 0 {
						n = messageLength(rest)
					}
					c.server(string(rest[:n]))
					rest = rest[n:]
				}
			}
			runs[i] = c
		}
		a, b := runs[0], runs[1]
		if a.err != nil || b.err != nil {
			if (a.err == nil) != (b.err == nil) {
				t.Fatalf("cut in pieces the outcome is another: %v and %v", a.err, b.err)
			}
			return
		}
		if a.names.plain(a.sent.String()) != b.names.plain(b.sent.String()) || a.names.plain(a.heard.String()) != b.names.plain(b.heard.String()) ||
			a.gone != b.gone || a.attached != b.attached || a.Running() != b.Running() {
			t.Fatalf("cut in pieces the outcome is another:\n%q %q\n%q %q",
				a.names.plain(a.sent.String()), a.heard.String(), b.names.plain(b.sent.String()), b.heard.String())
		}
	})
}

// messageLength returns how long the first message of b is, as far as it goes.
func messageLength(b []byte) int {
	if len(b) < 5 {
		return len(b)
	}
	if n := int(int32(binary.BigEndian.Uint32(b[1:]))); n >= 4 && n < len(b) {
		return 1 + n
	}
	return len(b)
}

func TestAStreamOfMessagesIsFramed(t *testing.T) {
	framed(t, query("a")+syncMsg+query("b")[:7])
	if n := messageLength(bytes.Repeat([]byte(ready("I")), 2)); n != len(ready("I")) {
		t.Errorf("the first of two messages is %d bytes long", n)
	}
}
