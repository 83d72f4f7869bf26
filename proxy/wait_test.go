package proxy

import (
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/pgseal/pgseal/pool"
)

// slowWaits has the log tell of waits for a server of any length.
func (h *house) slowWaits(limit time.Duration) {
	settings := *h.proxy.settings.Load()
	settings.SlowWait = limit
	h.proxy.Configure(settings)
}

// line waits for the one line with a message and returns its keys.
func (h *house) line(message string) map[string]any {
	h.t.Helper()
	var lines []observer.LoggedEntry
	eventually(h.t, "the log says "+message, func() bool {
		lines = h.logs.FilterMessage(message).All()
		return len(lines) > 0
	})
	if len(lines) > 1 {
		h.t.Fatalf("%d lines say %q, want 1", len(lines), message)
	}
	return lines[0].ContextMap()
}

func TestTheLastLineOfAClientTellsWhatItHasHadDone(t *testing.T) {
	h := open(t)
	c := h.login("app")
	id := h.sessionOf(c).conn.id
	c.do("BEGIN", "T")
	c.do("COMMIT", "I")
	c.ask("SELECT pid")
	c.leave()
	line := h.line("client disconnected")
	if line["client"] != id || line["transactions"] != uint64(2) || line["queries"] != uint64(3) {
		t.Errorf("client %d is told of by %v", id, line)
	}
	received := uint64(len(query("BEGIN")) + len(query("COMMIT")) + len(query("SELECT pid")))
	if got := line["received"].(uint64); got < received || got > received+uint64(len(goodbye)) {
		t.Errorf("%d bytes were received, want %d", got, received)
	}
	if got := line["sent"].(uint64); got < uint64(3*len(ready("I"))) {
		t.Errorf("only %d bytes were sent", got)
	}
	if waited := line["waited"].(time.Duration); waited < 0 || waited > patience {
		t.Errorf("it waited for %v", waited)
	}
}

func TestAWaitThatTookLongIsToldWhenItEnds(t *testing.T) {
	for outcome, end := range map[string]func(h *house, holds, waits *client){
		waitGranted: func(h *house, holds, waits *client) {
			holds.do("COMMIT", "I")
			waits.answer()
			waits.leave()
			if total := h.line("client disconnected")["waited"].(time.Duration); total <= 0 {
				h.t.Errorf("in all it waited for %v", total)
			}
		},
		waitCanceled: func(h *house, holds, waits *client) {
			h.cancel(waits.key, false)
			waits.wantError("57014")
		},
		waitLeft: func(h *house, holds, waits *client) { waits.raw.Close() },
	} {
		t.Run(outcome, func(t *testing.T) {
			h := open(t, servers(1))
			holds, waits := h.login("app"), h.login("app")
			h.slowWaits(1)
			id := h.sessionOf(waits).conn.id
			holds.do("BEGIN", "T")
			waits.write(query("SELECT pid"))
			h.waits(waits)
			h.logged("client waited long for a server connection", 0)
			end(h, holds, waits)
			line := h.line("client waited long for a server connection")
			if line["outcome"] != outcome || line["client"] != id || line["ahead"] != int64(0) || line["waited"].(time.Duration) <= 0 {
				t.Errorf("it is told as %v", line)
			}
			if _, has := line["reason"]; has == (outcome == waitGranted) {
				t.Errorf("the reason is %v", line["reason"])
			}
		})
	}
}

func TestAWaitThatEndsWithItsTimeIsToldAsThat(t *testing.T) {
	h := open(t, servers(1), func(p *plan) { p.pool.QueryWaitTimeout = 500 * time.Millisecond }) // logins wait within it, too
	holds, waits := h.login("app"), h.login("app")
	h.slowWaits(50 * time.Millisecond)
	holds.do("BEGIN", "T")
	waits.write(query("SELECT pid"))
	waits.refused("53300")
	if line := h.line("client waited long for a server connection"); line["outcome"] != waitTimeout || line["waited"].(time.Duration) < 50*time.Millisecond {
		t.Errorf("it is told as %v", line)
	}
}

func TestWhoStandsBehindOthersInLineIsToldWithTheirNumber(t *testing.T) {
	h := open(t, servers(1))
	holds, first, second := h.login("app"), h.login("app"), h.login("app")
	holds.do("BEGIN", "T")
	first.write(query("SELECT pid"))
	h.waits(first)
	second.write(query("SELECT pid"))
	h.waits(second)
	h.slowWaits(1)
	second.raw.Close()
	if line := h.line("client waited long for a server connection"); line["ahead"] != int64(1) {
		t.Errorf("it is told as %v", line)
	}
}

func TestAWaitThatTookNotLongAndAnyWhereNoneIsLongAreNotTold(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Hour} {
		h := open(t, servers(1))
		holds, waits := h.login("app"), h.login("app")
		h.slowWaits(limit)
		holds.do("BEGIN", "T")
		waits.write(query("SELECT pid"))
		h.waits(waits)
		holds.do("COMMIT", "I")
		waits.answer()
		h.logged("client waited long for a server connection", 0)
	}
}

func TestALoginThatWaitedLongForAServerIsToldToo(t *testing.T) {
	h := open(t)
	h.slowWaits(1)
	c := h.login("app") // the first server has to be opened for it
	if line := h.line("client waited long for a server connection"); line["outcome"] != waitGranted || line["user"] != "alice" {
		t.Errorf("it is told as %v", line)
	}
	c.leave()
	if waited := h.line("client disconnected")["waited"].(time.Duration); waited <= 0 {
		t.Errorf("in all it waited for %v", waited)
	}
}

func TestTheLogSaysWhyAServerWasClosed(t *testing.T) {
	h := open(t)
	c := h.login("app")
	c.write(query("BEGIN"))
	c.want('C')
	c.wants(ready("T"))
	receive(t, "the server", h.server.opened).Close()
	c.refused("08006")
	line := h.line("server closed")
	if line["reason"] != pool.ClosedLost || line["server"] == nil || line["error"] == nil {
		t.Errorf("it is told as %v", line)
	}
}
