package relay_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// cutAt returns a cut that makes two pieces of the first feed.
func cutAt(first int) func(n int) int {
	return func(n int) int {
		if first > 0 {
			n, first = min(n, first), 0
		}
		return n
	}
}

func TestWhereAStreamIsCutMakesNoDifference(t *testing.T) {
	asked := query("BEGIN") + parse + bind + flush + execute + syncMsg
	said := notice + complete("BEGIN") + ready("T") + parsed + bound + parameter("TimeZone", "UTC") +
		row("1") + complete("SELECT 1") + ready("T")
	for at := 1; at < len(asked); at++ {
		c := newTalk(t, cutAt(at))
		c.client(asked)
		c.sentIs(asked)
		c.cut = whole
		c.server(said)
		c.heardIs(said)
		c.holds()
		c.lives()
	}
	for at := 1; at < len(said); at++ {
		c := newTalk(t, whole)
		c.client(asked)
		c.cut = cutAt(at)
		c.server(said)
		c.heardIs(said)
		c.client(query("COMMIT"))
		c.server(complete("COMMIT"), ready("I"))
		if told := c.ClientReported()[0].Value; told != "UTC" {
			t.Fatalf("cut at %d: the client was told of %s", at, told)
		}
	}
}

func TestMessagesAroundTheSizeOfTheBufferPass(t *testing.T) {
	const buffer = 32 << 10 // as an event loop reads
	full := func(int) int { return buffer }
	r := rand.New(rand.NewPCG(1, 2))
	some := func(n int) int { return 1 + r.IntN(min(n, buffer)) }
	for name, cut := range map[string]func(int) int{"full buffers": full, "short reads": some} {
		for _, shared := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				for _, n := range []int{0, 1, buffer - 6, buffer - 5, buffer - 4, buffer - 1, buffer, buffer + 1, 4 * buffer, 2 * relay.Gathered} {
					body := strings.Repeat("x", n)
					c := newTalk(t, cut)
					c.configured(func(cfg *relay.Config) { cfg.Shared = shared })
					c.client(msg('Q', body), syncMsg)
					c.server(msg('D', body), msg('N', body), ready("T"))
					c.server(ready("T"))
					c.client(bindTo("")[:5], bindTo("")[5:], execute, syncMsg)
					c.server(bound, msg('V', body), complete("SELECT 1"), ready("T"))
					c.sentIs(msg('Q', body), syncMsg, bind, execute, syncMsg)
					c.heardIs(msg('D', body), msg('N', body), ready("T"), ready("T"), bound, msg('V', body), complete("SELECT 1"), ready("T"))
					c.lives()
				}
			})
		}
	}
}

func TestAMessageThatAClientMayNotSendEndsTheSession(t *testing.T) {
	for name, bad := range map[string]string{
		"unknown type":               msg('y', "x"),
		"zero type":                  msg(0, "x"),
		"a server's type":            msg('Z', "I"),
		"a password after the login": msg('p', "secret\x00"),
		"a TLS record":               "\x16\x03\x01\x02\x00",
		"length word 0":              "Q\x00\x00\x00\x00",
		"length word 3":              "Q\x00\x00\x00\x03",
		"length word -1":             "Q\xff\xff\xff\xff",
		"length word -2^31":          "Q\x80\x00\x00\x00",
		"beyond the large limit":     "Q\x40\x00\x00\x03",
		"beyond the small limit":     "S\x00\x00\x27\x15",
		"Terminate with a bad size":  "X\x00\x00\x00\x03",
	} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(c *talk) {
				c.client(bad)
				c.failedWith(wire.CodeProtocolViolation)
				c.free(0)
				c.sentIs("")
			})
			everyWay(t, func(c *talk) {
				c.client(query("SELECT 1"), bad)
				c.failedWith(wire.CodeProtocolViolation)
				c.sentIs(query("SELECT 1"))
			})
		})
	}
}

func TestAMessageThatAServerMayNotSendEndsTheSession(t *testing.T) {
	for name, bad := range map[string]string{
		"unknown type":                  msg('y', "x"),
		"a client's type":               msg('Q', "SELECT 1\x00"),
		"a question for a password":     msg('R', "\x00\x00\x00\x03"),
		"another cancel key":            msg('K', "\x00\x00\x00\x01abcd"),
		"length word 0":                 "D\x00\x00\x00\x00",
		"length word 3":                 "D\x00\x00\x00\x03",
		"length word -1":                "D\xff\xff\xff\xff",
		"beyond the large limit":        "D\x40\x00\x00\x03",
		"a CommandComplete too large":   "C\x00\x00\x27\x15",
		"a ReadyForQuery of two bytes":  msg('Z', "II"),
		"a ReadyForQuery of none":       msg('Z', ""),
		"a ReadyForQuery of no status":  msg('Z', "X"),
		"a BindComplete with a body":    msg('2', "x"),
		"a CopyDone with a body":        msg('c', "x"),
		"two ReadyForQuery for a query": ready("T") + ready("T"),
	} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(c *talk) {
				c.client(query("SELECT 1"))
				c.server(row("1"), bad)
				c.failedWith(wire.CodeProtocolViolation)
				if got := c.heard.String(); !strings.HasPrefix(row("1")+bad, got) || len(got) < len(row("1")) {
					c.t.Errorf("the client got %q", got)
				}
			})
		})
	}
}

func TestAServerThatIsReadyUnaskedEndsTheSession(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("BEGIN"))
		c.server(complete("BEGIN"), ready("T"))
		c.server(ready("I"))
		c.failedWith(wire.CodeProtocolViolation)
		c.holds()
	})
	everyWay(t, func(c *talk) {
		c.client(parse, bind, flush)
		c.server(parsed, ready("I"))
		c.failedWith(wire.CodeProtocolViolation)
	})
}

func TestAnAnswerOfAnotherKindKeepsTheServerFromOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg)
		c.server(bound, ready("I"))
		if c.err == nil {
			c.holds()
		}
	})
	everyWay(t, func(c *talk) {
		c.client(syncMsg)
		c.server(complete("SELECT 1"), ready("I"))
		c.holds()
		if _, orderly := c.Leave(); orderly {
			c.t.Error("the server could be tidied up")
		}
	})
}

func TestAPipelineWithoutEndIsReadAsFastAsItIsAnswered(t *testing.T) {
	for _, m := range []string{syncMsg, query(""), query("") + syncMsg, parse + syncMsg} {
		c := newTalk(t, whole)
		c.client(strings.Repeat(m, 3*relay.MostOwed))
		if !c.paused || c.Owed() != relay.MostOwed {
			t.Fatalf("paused: %v, with %d messages unanswered", c.paused, c.Owed())
		}
		answers := ready("I")
		if strings.HasPrefix(m, parse) {
			answers = parsed + ready("I")
		}
		for c.attached && c.err == nil {
			c.server(strings.Repeat(answers, c.Owed()/(strings.Count(answers, "\x00\x00\x00"))))
		}
		c.lives()
		c.client(syncMsg)
		if room := c.LedgerRoom(); room > 64 {
			t.Errorf("an idle session keeps room for %d messages", room)
		}
	}
}

func TestAnAnsweredPipelineMakesRoomForMore(t *testing.T) {
	c := newTalk(t, whole)
	pair := query("") + syncMsg
	c.client(strings.Repeat(pair, 10))
	for range relay.MostOwed * 3 / 2 {
		c.client(pair)
		c.server(ready("I"), ready("I"))
	}
	c.lives()
	c.holds()
	if n := c.LedgerRoom(); n > 4*relay.MostOwed {
		t.Errorf("twenty requests under way cost room for %d", n)
	}
	c.server(strings.Repeat(ready("I"), 20))
	c.free(1)
}

// carry has a relay carry a request and its answer as a session does.
func carry(r *relay.Relay, state *relay.Server, q, a []byte, sends int) bool {
	if st := r.FromClient(q); st.Verdict != relay.NeedServer {
		return false
	}
	r.Attach(state)
	sent := 0
	for used := 0; used < len(q); {
		st := r.FromClient(q[used:])
		used += st.Used
		sent += len(st.Pass) + len(st.Insert)
	}
	for used := 0; used < len(a); {
		st := r.FromServer(a[used:])
		if st.Used == 0 {
			return false
		}
		used += st.Used
	}
	if r.Next().Do != relay.Release || sent != sends {
		return false
	}
	r.Detach()
	return true
}

func TestRelayingAQueryAllocatesNothing(t *testing.T) {
	for name, q := range map[string][2]string{
		"simple":   {query("SELECT 1"), answer},
		"extended": {parse + bind + describe + execute + syncMsg, parsed + bound + noParameters + answer},
	} {
		c := newTalk(t, whole)
		ask, reply := []byte(q[0]), []byte(q[1])
		n := testing.AllocsPerRun(1000, func() {
			if !carry(c.Relay, c.state, ask, reply, len(ask)) {
				t.Fatal("the server is not at rest")
			}
		})
		if n != 0 {
			t.Errorf("%s query: %v allocations", name, n)
		}
	}
}

func TestRunningAPreparedStatementAllocatesNothing(t *testing.T) {
	c := newTalk(t, whole)
	c.prepared("one", "SELECT 1")
	ask, reply := []byte(runsOne), []byte(ranOne)
	n := testing.AllocsPerRun(1000, func() {
		if !carry(c.Relay, c.state, ask, reply, len(firstRuns)) {
			t.Fatal("the server is not at rest")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRelayOfAQueryAndItsAnswer(b *testing.B) {
	c := newTalk(b, whole)
	ask, reply := []byte(query("SELECT 1")), []byte(answer)
	b.SetBytes(int64(len(ask) + len(reply)))
	b.ReportAllocs()
	for b.Loop() {
		if !carry(c.Relay, c.state, ask, reply, len(ask)) {
			b.Fatal("the server is not at rest")
		}
	}
}

func BenchmarkRelayOfAThousandRows(b *testing.B) {
	c := newTalk(b, whole)
	reply := bytes.Repeat([]byte(row(strings.Repeat("x", 100))), 1000)
	reply = append(append([]byte(rowDescription), reply...), complete("SELECT 1000")+ready("I")...)
	ask := []byte(query("SELECT"))
	b.SetBytes(int64(len(reply)))
	b.ReportAllocs()
	for b.Loop() {
		if !carry(c.Relay, c.state, ask, reply, len(ask)) {
			b.Fatal("the server is not at rest")
		}
	}
}
