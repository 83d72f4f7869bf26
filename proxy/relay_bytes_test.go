package proxy

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// cutAt returns a cut that makes two pieces of the first feed.
func cutAt(first int) func(n int) int {
	return func(n int) int {
		if first > 0 {
			n, first = first, 0
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
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(copyDone)
		c.server(complete("COPY 0"), ready("T"))
		c.holds()
		c.client(query("COMMIT"))
		c.server(complete("COMMIT"), ready("I"))
		c.free(1)
		if len(c.params) != 1 {
			t.Fatalf("cut at %d: %d parameters were seen", at, len(c.params))
		}
	}
}

func TestMessagesAroundTheSizeOfTheBufferPass(t *testing.T) {
	const buffer = 32 << 10 // as an event loop reads
	full := func(int) int { return buffer }
	r := rand.New(rand.NewPCG(1, 2))
	some := func(n int) int { return 1 + r.IntN(min(n, buffer)) }
	for name, cut := range map[string]func(int) int{"full buffers": full, "short reads": some} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, buffer - 6, buffer - 5, buffer - 4, buffer - 1, buffer, buffer + 1, 4 * buffer} {
				body := strings.Repeat("x", n)
				c := newTalk(t, cut)
				c.keeps = true
				c.client(msg('Q', body), msg('P', body), syncMsg)
				c.sentIs(msg('Q', body), msg('P', body), syncMsg)
				c.server(msg('D', body), msg('N', body), ready("I"), msg('S', body), msg('V', body), ready("I"))
				c.heardIs(msg('D', body), msg('N', body), ready("I"), msg('S', body), msg('V', body), ready("I"))
				if !c.atRest() || c.err != nil {
					t.Fatalf("%d bytes: at rest %v, error %v", n, c.atRest(), c.err)
				}
			}
		})
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
		"length word 1":              "Q\x00\x00\x00\x01",
		"length word 2":              "Q\x00\x00\x00\x02",
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
		"length word 1":                 "D\x00\x00\x00\x01",
		"length word 2":                 "D\x00\x00\x00\x02",
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
		c.client(parse, flush)
		c.server(parsed, ready("I"))
		c.failedWith(wire.CodeProtocolViolation)
	})
}

func TestAPipelineOfEqualRequestsHasNoEnd(t *testing.T) {
	c := newTalk(t, whole)
	for range 20 {
		c.client(strings.Repeat(syncMsg, 1000))
	}
	c.lives()
	if cap(c.pending.runs) > 16 {
		t.Errorf("a pipeline of equal requests costs %d entries", cap(c.pending.runs))
	}
	for range 20 {
		c.holds()
		c.server(strings.Repeat(ready("I"), 1000))
	}
	c.free(1)
	c.lives()
}

func TestAPipelineOfMixedRequestsHasALimit(t *testing.T) {
	c := newTalk(t, whole)
	pair := query("") + syncMsg
	c.client(strings.Repeat(pair, maxPendingRuns/2))
	c.lives()
	c.client(query(""))
	c.failedWith(wire.CodeProgramLimit)
	c.sentIs(strings.Repeat(pair, maxPendingRuns/2))
}

func TestAnAnsweredPipelineMakesRoomForMore(t *testing.T) {
	c := newTalk(t, whole)
	pair := query("") + syncMsg
	c.client(strings.Repeat(pair, 10))
	for range maxPendingRuns * 3 / 2 {
		c.client(pair)
		c.server(ready("I"), ready("I"))
	}
	c.lives()
	c.holds()
	if n := cap(c.pending.runs); n > 4*maxPendingRuns {
		t.Errorf("twenty requests under way cost %d entries", n)
	}
	c.server(strings.Repeat(ready("I"), 20))
	c.free(1)
}

// linkedState is that of the server that queryAndAnswer links.
var linkedState = &serverState{}

// queryAndAnswer relays a query and its answer as a session does.
func queryAndAnswer(r *relay, q, a []byte, param func([]byte)) bool {
	if st := r.fromClient(q); st.verdict != needServer {
		return false
	}
	r.link(linkedState, 1, 0)
	if st := r.fromClient(q); st.verdict != needMore || len(st.pass) != len(q) {
		return false
	}
	if st := r.fromServer(a, param); st.verdict != needMore || len(st.pass) != len(a) {
		return false
	}
	rests := r.atRest()
	r.unlink()
	return rests
}

func TestRelayingAQueryAllocatesNothing(t *testing.T) {
	for name, q := range map[string]string{
		"simple": query("SELECT 1"), "extended": parse + bind + describe + execute + syncMsg,
	} {
		r := relay{tracks: true}
		ask, reply := []byte(q), []byte(parameter("a", "b")+answer)
		param := func([]byte) {}
		n := testing.AllocsPerRun(1000, func() {
			if !queryAndAnswer(&r, ask, reply, param) {
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
	c.tracks = true
	c.client(selectOne, syncMsg)
	c.server(parsedOne, ready("I"))
	ask, reply := []byte(runsOne), []byte(ranOne)
	n := testing.AllocsPerRun(1000, func() {
		r := &c.relay
		r.link(c.state, 1, 0)
		out := outgoing{from: ask}
		for used := 0; used < len(ask); {
			st := r.fromClient(ask[used:])
			out.pass(used, len(st.pass))
			out.insert(st.insert)
			used += st.used
		}
		if len(out.take()) != len(firstRuns) {
			t.Fatal("something else was sent")
		}
		out.free()
		if st := r.fromServer(reply, c.parameterBody); len(st.pass) != len(reply) || !r.atRest() {
			t.Fatal("the server is not at rest")
		}
		r.unlink()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRelayOfAQueryAndItsAnswer(b *testing.B) {
	r := relay{tracks: true}
	ask, reply := []byte(query("SELECT 1")), []byte(answer)
	param := func([]byte) {}
	b.SetBytes(int64(len(ask) + len(reply)))
	b.ReportAllocs()
	for b.Loop() {
		if !queryAndAnswer(&r, ask, reply, param) {
			b.Fatal("the server is not at rest")
		}
	}
	if n := testing.AllocsPerRun(100, func() { queryAndAnswer(&r, ask, reply, param) }); n != 0 {
		b.Errorf("%v allocations", n)
	}
}

func BenchmarkRelayOfAThousandRows(b *testing.B) {
	var r relay
	reply := bytes.Repeat([]byte(row(strings.Repeat("x", 100))), 1000)
	reply = append(append([]byte(rowDescription), reply...), complete("SELECT 1000")+ready("I")...)
	ask := []byte(query("SELECT"))
	b.SetBytes(int64(len(reply)))
	b.ReportAllocs()
	for b.Loop() {
		if !queryAndAnswer(&r, ask, reply, nil) {
			b.Fatal("the server is not at rest")
		}
	}
}
