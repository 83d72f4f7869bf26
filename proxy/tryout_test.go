package proxy

import (
	"testing"
	"time"

	"github.com/pgseal/pgseal/proxy/login"
)

// hangsAtParameters has the server never answer the statement that sets a
// client's search_path, and returns a client that waits for that in its login.
func (h *house) hangsAtParameters() *client {
	h.t.Helper()
	h.login("app", "search_path", "a").leave()
	started, _ := h.server.hangs(receive(h.t, "the statement that sets it", h.server.statements).sql)
	h.login("app").ask("SELECT pid") // takes it back
	c := h.as("alice", "search_path", "a")
	c.authenticate(password)
	receive(h.t, "the start of the statement", started)
	return c
}

func TestALoginWhoseParametersTakeTooLongEndsByItsTimeout(t *testing.T) {
	const limit = 500 * time.Millisecond
	h := open(t, servers(1), func(p *plan) { p.pool.ClientLoginTimeout = limit })
	c := h.hangsAtParameters()
	c.authenticated()
	if e := c.refused("28000"); e['M'] != login.ErrTimeout.Told.Message {
		t.Errorf("told %q", e['M'])
	}
	if got := h.audited("refusal")["reason"]; got != login.Timeout.String() {
		t.Errorf("the refusal is audited as %v", got)
	}
	if n := h.proxy.Logins()[login.OutcomeTimeout]; n != 1 {
		t.Errorf("%d logins are counted as that", n)
	}
	settings := *h.proxy.settings.Load()
	settings.Pool.ClientLoginTimeout = patience
	h.proxy.Configure(settings)
	if got := h.login("app").ask("SELECT pid"); got != "2" {
		t.Errorf("the next client got server %s: the first owes an answer", got)
	}
}

func TestAShutdownDoesNotWaitForALoginWhoseParametersAreTriedOut(t *testing.T) {
	h := open(t, servers(1))
	c := h.hangsAtParameters()
	began := time.Now()
	done := h.shutdown(t.Context())
	c.authenticated()
	c.refused("57P01")
	ok(t, receive(t, "the end of the shutdown", done))
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	if got := h.audited("refusal")["reason"]; got != login.Shutdown.String() {
		t.Errorf("the refusal is audited as %v", got)
	}
}
