package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// dialogue drives a relay whose server is never given back with two streams,
// a piece of one and a piece of the other, and returns what came of it.
func dialogue(t *testing.T, client, server []byte, ours int, cut func(n int) int) *talk {
	c := newTalk(t, whole)
	c.keeps = true
	c.link(c.state, 1, ours)
	for (len(client) > 0 || len(server) > 0) && c.err == nil && !c.gone {
		if n := min(cut(len(client)+1), len(client)); n > 0 {
			c.client(string(client[:n]))
			client = client[n:]
		}
		if n := min(cut(len(server)+1), len(server)); n > 0 {
			c.server(string(server[:n]))
			server = server[n:]
		}
	}
	return c
}

func FuzzRelay(f *testing.F) {
	seed := func(client, server string, ours uint8) { f.Add([]byte(client), []byte(server), ours, uint64(1)) }
	seed(query("SELECT 1"), answer, 0)
	seed(query("SELECT 1"), answer+answer, 1)
	seed(parse+bind+execute+syncMsg, parsed+bound+row("1")+complete("SELECT 1")+ready("I"), 0)
	seed(parse+bind+execute+copyData("x")+copyDone+syncMsg, parsed+bound+copyIn+complete("COPY 1")+ready("I"), 0)
	seed(query("COPY")+copyData("x")+copyFail+goodbye, copyIn+serverError("57014")+ready("I"), 0)
	seed(query("")+syncMsg, notice+notification+parameter("a", "b")+ready("T")+ready("E"), 0)
	seed("Q\x00\x00\x00\x03", "D\x00\x00\x00\x03", 0)
	seed("Q\x40\x00\x00\x03", "Z\x00\x00\x00\x04", 0)
	seed(msg('F', "\x00"), msg('D', "\x00\x01\xff\xff\xff\xfe")+msg('C')+msg('A', "\x00"), 0)
	f.Fuzz(func(t *testing.T, client, server []byte, ours uint8, cutSeed uint64) {
		ours %= 3
		r := rand.New(rand.NewPCG(cutSeed, 0))
		c := dialogue(t, client, server, int(ours), func(n int) int { return 1 + r.IntN(n) })
		checkPassed(t, "client", client, c.sent.String(), c.clientRest, c.err != nil || c.gone)
		if ours == 0 {
			checkPassed(t, "server", server, c.heard.String(), c.serverRest, c.err != nil || c.gone)
		}
		if c.atRest() && (c.batch || c.copyIn || c.doubt || c.pending.first() != 0) {
			t.Fatalf("at rest in state %+v", c.relay)
		}
		before := fmt.Sprint(c.clientBody > 0 || c.doubt)
		if out, orderly := c.leave(nil); fmt.Sprint(!orderly) != before || !orderly && len(out) > 0 {
			t.Fatalf("leaving gave %q, orderly %v", out, orderly)
		}
	})
}

// checkPassed asserts that what has passed is the beginning of the stream, and
// that nothing but an incomplete header or small message was kept back.
func checkPassed(t *testing.T, side string, stream []byte, passed, rest string, over bool) {
	t.Helper()
	if !bytes.HasPrefix(stream, []byte(passed)) {
		t.Fatalf("%q of the %s's %q has passed", passed, side, stream)
	}
	if over {
		return
	}
	if passed+rest != string(stream) {
		t.Fatalf("of the %s's %q, %q has passed and %q waits", side, stream, passed, rest)
	}
	if limit := 5 + smallMessage; len(rest) >= limit {
		t.Fatalf("%d bytes of the %s wait", len(rest), side)
	}
}

// FuzzRelayOfOneSide feeds one side whole and in pieces, and asserts that the
// relay can't tell the difference.
func FuzzRelayOfOneSide(f *testing.F) {
	f.Add([]byte(query("SELECT 1")+parse+syncMsg+copyData("x")+goodbye), []byte(answer), uint64(1))
	f.Add([]byte(query("")+query("")), []byte(copyIn+notice+ready("I")), uint64(2))
	f.Add([]byte(syncMsg+syncMsg), []byte(parameter("a", strings.Repeat("b", 100))+ready("X")), uint64(3))
	f.Fuzz(func(t *testing.T, client, server []byte, cutSeed uint64) {
		for ours := range 2 {
			r := rand.New(rand.NewPCG(cutSeed, 1))
			pieces := func(n int) int { return 1 + r.IntN(n) }
			var runs [2]*talk
			for i, cut := range []func(int) int{whole, pieces} {
				c := newTalk(t, cut)
				c.keeps = true
				c.link(c.state, 1, ours)
				c.client(string(client))
				if !c.gone {
					c.server(string(server))
				}
				runs[i] = c
			}
			a, b := runs[0], runs[1]
			if a.sent.String() != b.sent.String() || a.heard.String() != b.heard.String() ||
				a.gone != b.gone || fmt.Sprint(a.err) != fmt.Sprint(b.err) ||
				fmt.Sprint(a.params) != fmt.Sprint(b.params) || a.atRest() != b.atRest() || a.running() != b.running() {
				t.Fatalf("cut in pieces the outcome is another:\n%q %q %v %+v\n%q %q %v %+v",
					a.sent.String(), a.heard.String(), a.err, a.relay, b.sent.String(), b.heard.String(), b.err, b.relay)
			}
		}
	})
}
