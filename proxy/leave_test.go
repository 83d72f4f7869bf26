package proxy

import (
	"strings"
	"testing"
)

// firstServer returns the fake server's side of the first connection.
func (h *house) firstServer() *backend {
	h.t.Helper()
	return receive(h.t, "the first server connection", h.server.opened)
}

func TestAClientThatLeavesInMidQueryHasItCanceled(t *testing.T) {
	h := open(t, servers(1))
	started, _ := h.server.hangs("SELECT pg_sleep(60)")
	c := h.login("app")
	c.write(query("SELECT pg_sleep(60)"))
	b := receive(t, "the start of the query", started)
	c.raw.Close()
	got := receive(t, "a CancelRequest", h.server.cancels)
	if got.key != b.key() || !got.encrypted {
		t.Errorf("got %+v, want key %q and TLS", got, b.key())
	}
	if pid := h.login("app").ask("SELECT pid"); pid != "1" {
		t.Errorf("the next client got server %s, the first is fine", pid)
	}
	nothing(t, "a second CancelRequest", h.server.cancels)
}

func TestAServerIsNotLentAsLongAsAnAnswerIsOwed(t *testing.T) {
	h := open(t, servers(1))
	started, release := make(chan *backend, 1), make(chan struct{})
	h.server.on("UNSTOPPABLE", func(b *backend) { // it has no ear for a cancel
		started <- b
		<-release
		b.send(row("the first client's"), complete("SELECT 1"), ready("I"))
	})
	c, next := h.login("app"), h.login("app")
	c.write(query("UNSTOPPABLE"))
	receive(t, "the start of the query", started)
	next.write(query("SELECT pid"))
	c.raw.Close()
	receive(t, "a CancelRequest", h.server.cancels)
	h.ran("UNSTOPPABLE")
	nothing(t, "a statement reached a server that is busy", h.server.statements)
	close(release)
	if got := next.answer(); got != "1" {
		t.Errorf("the next client got %q", got)
	}
}

func TestAClientThatLeavesInATransactionHasItRolledBack(t *testing.T) {
	for name, leave := range map[string]func(c *client){
		"with a goodbye": (*client).leave,
		"without one":    func(c *client) { c.raw.Close() },
		"in mid-query":   func(c *client) { c.write(query("SELECT pg_sleep(60)")); c.raw.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, servers(1))
			h.server.hangs("SELECT pg_sleep(60)")
			c, next := h.login("app"), h.login("app")
			c.do("BEGIN", "T")
			h.ran("BEGIN")
			leave(c)
			if got := next.ask("SELECT pid"); got != "1" {
				t.Errorf("the next client got server %s", got)
			}
			if name == "in mid-query" {
				h.ran("SELECT pg_sleep(60)")
			}
			h.ran("ROLLBACK", "SELECT pid")
		})
	}
}

func TestAServerThatDoesNotRollBackIsEnded(t *testing.T) {
	for name, reply := range map[string]string{
		"it refuses": serverError("XX000") + ready("T"), "it stays in the transaction": complete("ROLLBACK") + ready("T"),
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, servers(1))
			h.server.on("ROLLBACK", func(b *backend) { b.send(reply) })
			c, next := h.login("app"), h.login("app")
			c.do("BEGIN", "T")
			c.leave()
			if got := next.ask("SELECT pid"); got != "2" {
				t.Errorf("the next client got server %s", got)
			}
		})
	}
}

func TestTheServerOfAClientThatLeavesInMidBatchIsUsedAgain(t *testing.T) {
	h := open(t, servers(1))
	h.server.set(func() { h.server.watch = true })
	c, next := h.login("app"), h.login("app")
	c.write(parse, bind, flush)
	c.wants(parsed, bound)
	c.leave()
	for _, want := range []string{"P", "B", "H", "B", "S"} { // a Bind that fails, so that nothing is committed
		if got := receive(t, "message "+want, h.server.messages); got != want {
			t.Fatalf("the server got message %s, want %s", got, want)
		}
	}
	if got := next.ask("SELECT pid"); got != "1" {
		t.Errorf("the next client got server %s", got)
	}
}

func TestTheServerOfAClientThatLeavesInMidCopyIsUsedAgain(t *testing.T) {
	h := open(t, servers(1))
	ends := make(chan string, 1)
	h.server.on("COPY t FROM STDIN", func(b *backend) {
		b.send(copyIn)
		for {
			typ, body, err := readMsg(b)
			if err != nil {
				return
			}
			if typ != 'd' {
				ends <- string(typ) + body
				b.send(serverError("57014"), ready("I"))
				return
			}
		}
	})
	c, next := h.login("app"), h.login("app")
	c.write(query("COPY t FROM STDIN"))
	c.wants(copyIn)
	c.write(copyData("1\n"))
	c.raw.Close()
	if got := receive(t, "the end of the COPY", ends); !strings.HasPrefix(got, "f") {
		t.Errorf("the COPY ended with %q", got)
	}
	if got := next.ask("SELECT pid"); got != "1" {
		t.Errorf("the next client got server %s", got)
	}
}

func TestAClientThatLeavesWithinAMessageCostsTheServer(t *testing.T) {
	h := open(t, servers(1))
	c, next := h.login("app"), h.login("app")
	b := h.firstServer()
	c.do("BEGIN", "T")
	const large = 300 << 10 // the relay doesn't gather it
	c.write(query("SELECT '" + strings.Repeat("x", large) + "'")[:large])
	c.raw.Close()
	if got := receive(t, "the end of the server", h.server.closed); got != b {
		t.Error("another server was ended")
	}
	if got := next.ask("SELECT pid"); got != "2" {
		t.Errorf("the next client got server %s", got)
	}
}

func TestAClientThatLeavesWithinAStatementOfUsualSizeCostsNothing(t *testing.T) {
	h := open(t, servers(1))
	c, next := h.login("app"), h.login("app")
	c.do("BEGIN", "T")
	c.write(query("SELECT 'half a statement'")[:20])
	c.raw.Close()
	if got := next.ask("SELECT pid"); got != "1" {
		t.Errorf("the next client got server %s", got)
	}
	h.ran("BEGIN", "ROLLBACK", "SELECT pid")
}

func TestAClientThatBreaksTheProtocolIsToldAndItsServerCleaned(t *testing.T) {
	h := open(t, servers(1))
	c, next := h.login("app"), h.login("app")
	c.do("BEGIN", "T")
	c.write(msg('y', "what is this"))
	c.refused("08P01")
	if got := next.ask("SELECT pid"); got != "1" {
		t.Errorf("the next client got server %s", got)
	}
	h.ran("BEGIN", "ROLLBACK", "SELECT pid")
}

func TestASessionsServerIsResetBeforeSomebodyElseHasIt(t *testing.T) {
	h := open(t, servers(1))
	c := h.login("sess", "search_path", "mine")
	c.do("LISTEN", "I")
	c.leave()
	next := h.login("sess")
	if got := next.ask("SHOW search_path"); got != "" {
		t.Errorf("the next session has search_path %q", got)
	}
	if pid := h.ran("LISTEN", "DISCARD ALL"); pid != 1 {
		t.Errorf("the session had server %d", pid)
	}
	if pid := h.ran("SHOW search_path"); pid != 2 { // the first was opened with another's search_path
		t.Errorf("the next session had server %d", pid)
	}
}

func TestASessionsTransactionIsRolledBackBeforeItsServerIsReset(t *testing.T) {
	h := open(t, servers(1))
	c := h.login("sess")
	c.do("BEGIN", "T")
	c.raw.Close()
	h.login("sess").ask("SELECT pid")
	h.ran("BEGIN", "ROLLBACK", "DISCARD ALL", "SELECT pid")
}

func TestATransactionModeClientLeavesNoResetBehind(t *testing.T) {
	h := open(t, servers(1))
	c := h.login("app")
	c.ask("SELECT pid")
	c.leave()
	h.login("app").ask("SELECT pid")
	h.ran("SELECT pid", "SELECT pid")
}

func TestAServerWhoseResetFailsIsEnded(t *testing.T) {
	h := open(t, servers(1))
	h.server.on("DISCARD ALL", func(b *backend) { b.send(serverError("25001"), ready("I")) })
	c := h.login("sess")
	c.ask("SELECT pid")
	c.leave()
	if got := h.login("sess").ask("SELECT pid"); got != "2" {
		t.Errorf("the next session had server %s", got)
	}
}
