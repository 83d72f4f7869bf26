package proxy

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/engine"
)

// servers limits a pool to n servers.
func servers(n int) func(*plan) { return func(p *plan) { p.pool.DefaultPoolSize = n } }

func TestTwoClientsShareOneServerInTransactionMode(t *testing.T) {
	h := open(t, servers(1))
	a, b := h.login("app"), h.login("app")
	for range 3 {
		if x, y := a.ask("SELECT pid"), b.ask("SELECT pid"); x != "1" || y != "1" {
			t.Fatalf("the clients had the servers %s and %s", x, y)
		}
	}
	a.do("BEGIN", "T")
	b.write(query("SELECT pid"))
	a.do("INSERT", "T")
	a.do("COMMIT", "I")
	b.want('T')
	h.ran("SELECT pid", "SELECT pid", "SELECT pid", "SELECT pid", "SELECT pid", "SELECT pid")
	h.ran("BEGIN", "INSERT", "COMMIT", "SELECT pid") // b's query came after a's transaction
}

func TestAClientInSessionModeKeepsItsServer(t *testing.T) {
	h := open(t)
	a, b := h.login("sess"), h.login("sess")
	mine := a.ask("SELECT pid")
	other := b.ask("SELECT pid")
	if mine == other || a.ask("SELECT pid") != mine || b.ask("SELECT pid") != other {
		t.Errorf("the clients had the servers %s and %s", mine, other)
	}
}

func TestRolesDoNotShareServers(t *testing.T) {
	h := open(t)
	c := h.dialTLS()
	c.write(packet(version3, "user", "bob", "database", "app"))
	c.authenticate(password)
	c.greeted()
	if a := h.login("app"); a.ask("SELECT pid") == c.ask("SELECT pid") {
		t.Error("alice and bob had the same server")
	}
	for _, want := range []string{"bob", "alice"} {
		if b := receive(t, "a server connection", h.server.opened); b.startup["user"] != want {
			t.Errorf("a server logged in as %q, want %q", b.startup["user"], want)
		}
	}
}

func TestAClientThatWaitsTooLongForAServerIsToldSo(t *testing.T) {
	h := open(t, servers(1), func(p *plan) { p.pool.QueryWaitTimeout = 200 * time.Millisecond })
	a, b := h.login("app"), h.login("app")
	a.do("BEGIN", "T")
	began := time.Now()
	b.write(query("SELECT 1"))
	b.refused("53300")
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("the client had to wait for %v only", took)
	}
	a.do("COMMIT", "I")
}

func TestMessagesOfAnySizePassThroughBothLegs(t *testing.T) {
	h := open(t)
	h.server.on("COPY t FROM STDIN", func(b *backend) {
		b.send(copyIn)
		typ, body, err := readMsg(b)
		if end, _, err2 := readMsg(b); err == nil && err2 == nil && end == 'c' {
			b.send(msg(typ, body), msg('D', body), complete("COPY 1"), ready("I"))
		}
	})
	c := h.login("app")
	const buffer = 32 << 10 // as an event loop reads
	for _, n := range []int{0, 1, buffer - 6, buffer - 5, buffer - 1, buffer, buffer + 1, 4 * buffer, 1 << 20} {
		body := strings.Repeat("x", n)
		c.write(query("COPY t FROM STDIN"), msg('d', body), copyDone)
		c.wants(copyIn, msg('d', body), msg('D', body), complete("COPY 1"), ready("I"))
	}
}

func TestExtendedBatchesAndPipelinesPass(t *testing.T) {
	h := open(t, servers(1))
	c := h.login("app")
	batch := parse + bind + execute + syncMsg
	c.write(batch, batch, batch)
	for range 3 {
		c.wants(parsed, bound, row("1"), complete("SELECT 1"), ready("I"))
	}
	h.login("app").ask("SELECT pid") // the server came back
}

func TestACopyThatTheServerSwallowsTheSyncOfGivesTheServerBack(t *testing.T) {
	h := open(t, servers(1))
	h.server.on("COPY t FROM STDIN", func(b *backend) {
		b.send(copyIn)
		for {
			switch typ, _, err := readMsg(b); {
			case err != nil:
				return
			case typ == 'c':
				b.send(complete("COPY 1"), ready(b.status))
				return
			}
		}
	})
	c := h.login("app")
	c.write(query("COPY t FROM STDIN"), syncMsg)
	c.wants(copyIn)
	c.write(copyData("1\n"), copyDone)
	c.wants(complete("COPY 1"), ready("I"))
	h.login("app").ask("SELECT pid")
}

func TestTheRestOfAFailedCopyNeedsNoServer(t *testing.T) {
	h := open(t, servers(1))
	h.server.on("COPY t FROM STDIN", func(b *backend) {
		b.send(copyIn)
		readMsg(b)
		b.send(serverError("22P02"), ready("I"))
	})
	c := h.login("app")
	c.write(query("COPY t FROM STDIN"))
	c.wants(copyIn)
	c.write(copyData("bad\n"))
	c.wantError("22P02")
	c.wants(ready("I"))
	other := h.login("app")
	other.do("BEGIN", "T") // the only server
	c.write(copyData("more\n"), copyDone)
	other.do("COMMIT", "I")
	if got := c.ask("SELECT pid"); got != "1" {
		t.Errorf("the next query was answered by %q", got)
	}
}

func TestAServerThatDiesInMidQueryEndsThatSessionOnly(t *testing.T) {
	h := open(t, servers(2))
	h.server.on("DIE", func(b *backend) {
		b.send(rowDescription, row("1"))
		b.Close()
	})
	a, b := h.login("app"), h.login("app")
	a.do("BEGIN", "T")
	b.write(query("DIE"))
	b.wants(rowDescription, row("1"))
	if fields := b.refused("08006"); fields['H'] == "" {
		t.Errorf("%q has no hint", fields)
	}
	a.do("COMMIT", "I")
	a.do("BEGIN", "T")
	if got := h.login("app").ask("SELECT pid"); got != "3" {
		t.Errorf("the server that replaces the dead one is %s", got)
	}
	a.do("COMMIT", "I")
}

func TestAServerThatDiesWithinAMessageEndsTheSessionWithoutAWord(t *testing.T) {
	h := open(t)
	h.server.on("DIE", func(b *backend) {
		b.send(row("12345")[:8])
		b.Close()
	})
	c := h.login("app")
	c.write(query("DIE"))
	var got [8]byte
	_, err := c.Read(got[:])
	ok(t, err)
	c.ended() // anything more would be taken for the rest of the row
}

func TestAServersOwnLastWordsAreTheOnlyOnes(t *testing.T) {
	h := open(t)
	h.server.on("DIE", func(b *backend) {
		b.send(msg('E', "SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection\x00\x00"))
		b.Close()
	})
	c := h.login("app")
	c.write(query("DIE"))
	if fields := c.refused("57P01"); fields['M'] != "terminating connection" {
		t.Errorf("the client is told %q", fields)
	}
}

func TestAServerThatBreaksTheProtocolEndsOneSessionOnly(t *testing.T) {
	for name, garbage := range map[string]string{
		"an unknown message":           msg('y', "x"),
		"a length word of three":       "D\x00\x00\x00\x03",
		"HTTP":                         "HTTP/1.1 400 Bad Request\r\n\r\n",
		"a second login":               msg('R', "\x00\x00\x00\x03"),
		"a ReadyForQuery nobody asked": ready("T") + ready("T"),
		"an unknown status":            ready("X"),
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, servers(2))
			h.server.on("BREAK", func(b *backend) { b.send(garbage) })
			a, b := h.login("app"), h.login("app")
			a.do("BEGIN", "T")
			first := receive(t, "a's server", h.server.opened)
			b.write(query("BREAK"))
			if strings.HasPrefix(garbage, "Z\x00\x00\x00\x05T") {
				b.wants(ready("T"))
			}
			b.refused("08P01")
			if broken := receive(t, "the end of the server", h.server.closed); broken == first {
				t.Error("a's server was ended")
			}
			a.do("COMMIT", "I")
		})
	}
}

func TestAServerThatSpeaksUnaskedWhileItIsIdleIsReplaced(t *testing.T) {
	for name, unasked := range map[string]string{
		"a row": row("another client's"), "a ReadyForQuery": ready("I"), "garbage": "garbage and more", "an error": serverError("57P01"),
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, servers(1))
			c := h.login("app")
			b := receive(t, "the server", h.server.opened)
			if got := c.ask("SELECT pid"); got != "1" {
				t.Fatalf("the first server is %s", got)
			}
			ok(t, b.send(unasked))
			receive(t, "the end of the server", h.server.closed)
			if got := c.ask("SELECT pid"); got != "2" {
				t.Errorf("the next query was answered by server %s", got)
			}
		})
	}
}

func TestARowThatNobodyAskedForReachesItsHolderAtMost(t *testing.T) {
	h := open(t, servers(2))
	h.server.on("EXTRA", func(b *backend) { b.send(complete("EXTRA"), ready("T"), row("stray")) })
	a, b := h.login("app"), h.login("app")
	a.do("BEGIN", "T")
	b.write(query("EXTRA"))
	b.wants(complete("EXTRA"), ready("T"), row("stray"))
	a.do("COMMIT", "I")
	if got := a.ask("SELECT pid"); got == "" {
		t.Error("a got no answer")
	}
}

func TestNoticesReachTheClientThatHoldsTheServer(t *testing.T) {
	h := open(t)
	h.server.on("LISTEN", func(b *backend) {
		b.send(notice, complete("LISTEN"), parameter("TimeZone", "CET"), notification, ready("I"))
	})
	c := h.login("app")
	c.write(query("LISTEN"))
	c.wants(notice, complete("LISTEN"), parameter("TimeZone", "CET"), notification, ready("I"))
}

func TestAClientThatDoesNotReadStallsOnlyItself(t *testing.T) {
	h := open(t, servers(2))
	flooding := make(chan struct{})
	h.server.on("FLOOD", func(b *backend) {
		chunk := strings.Repeat(row(strings.Repeat("x", 1000)), 100)
		for i := 0; ; i++ {
			if i == 10 {
				close(flooding)
			}
			if b.send(chunk) != nil {
				return
			}
			select {
			case <-b.canceled:
				b.send(serverError("57014"), ready("I"))
				return
			default:
			}
		}
	})
	a, b := h.login("app"), h.login("app")
	a.write(query("FLOOD"))
	receive(t, "the flood", flooding)
	for range 20 {
		b.ask("SELECT pid")
	}
	a.raw.Close()
	receive(t, "a CancelRequest for the flood", h.server.cancels)
	b.do("BEGIN", "T")
	h.login("app").ask("SELECT pid") // on the server that was flooding
	b.do("COMMIT", "I")
	if n := len(h.server.opened); n != 2 {
		t.Errorf("%d servers were opened", n)
	}
}

// touchyConn panics when the server's home writes to it first.
type touchyConn struct {
	engine.Conn
	touched atomic.Bool
}

func (c *touchyConn) Write(b []byte, from engine.Conn) {
	if !c.touched.Swap(true) {
		panic("injected")
	}
	c.Conn.Write(b, from)
}

func TestAPanicEndsOneSessionAndFreesItsServer(t *testing.T) {
	for name, arm := range map[string]func(s *session){
		"at the client's home": func(s *session) { s.link.conn.Post(func() { panic("injected") }) },
		"at the server's home": func(s *session) { s.link.conn = &touchyConn{Conn: s.link.conn} },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, servers(2), func(p *plan) { p.panics = true })
			h.server.on("TELL", func(b *backend) {
				b.send(msg('S', "TimeZone\x00", "UTC\x00"), complete("TELL"), ready("T"))
			})
			a, b := h.login("app"), h.login("app")
			a.do("BEGIN", "T")
			b.do("BEGIN", "T")
			s := h.sessionOf(b)
			s.link.wmu.Lock() // the server's home may still be at the answer to BEGIN
			s.talk.mu.Lock()
			arm(s)
			s.talk.mu.Unlock()
			s.link.wmu.Unlock()
			if name == "at the server's home" {
				b.write(query("TELL"))
			}
			eventually(t, "the session is gone", func() bool { return h.proxy.Clients() == 1 })
			h.logged("panic in a connection's handler", 1)
			if line := h.line("panic in a connection's handler"); line["client"] == nil && line["server"] == nil {
				t.Errorf("the log does not say whose it is: %v", line)
			}
			a.do("COMMIT", "I")
			for range 2 {
				h.login("app").do("BEGIN", "T")
			}
		})
	}
}

func TestManyClientsOnFewServersEachGetTheirOwnAnswers(t *testing.T) {
	h := open(t, servers(3))
	const clients, rounds = 12, 25
	for i := range clients {
		for j := range rounds {
			sql := fmt.Sprintf("SELECT %d.%d", i, j)
			h.server.on(sql, func(b *backend) { b.send(rowDescription, row(sql), complete("SELECT 1"), ready("I")) })
		}
	}
	t.Run("at once", func(t *testing.T) {
		for i := range clients {
			c := h.login("app")
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				c.t = t
				for j := range rounds {
					sql := fmt.Sprintf("SELECT %d.%d", i, j)
					if got := c.ask(sql); got != sql {
						t.Fatalf("asked %q, got %q", sql, got)
					}
				}
			})
		}
	})
	if n := len(h.server.opened); n > 3 {
		t.Errorf("%d servers were opened", n)
	}
}
