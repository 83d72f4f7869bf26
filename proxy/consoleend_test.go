package proxy

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/pgseal/pgseal/internal/devca"
)

// theConsole returns the session of the console.
func (h *house) theConsole() *session {
	h.t.Helper()
	for _, s := range h.proxy.sessions.list() {
		if s.atConsole() {
			return s
		}
	}
	h.t.Fatal("there is no session of the console")
	return nil
}

func TestThePlaceOfAConsoleIsGivenBackHoweverItsClientEnds(t *testing.T) {
	for name, end := range map[string]func(h *house, c *client){
		"it says goodbye":          func(_ *house, c *client) { c.leave() },
		"it closes the connection": func(_ *house, c *client) { c.raw.Close() },
		"it resets the connection": func(_ *house, c *client) { c.raw.(*net.TCPConn).SetLinger(0); c.raw.Close() },
		"it sends rubbish for TLS": func(_ *house, c *client) { c.raw.Write([]byte("this is no record of TLS")) },
		"it sends too much":        func(_ *house, c *client) { c.write("Q\x00\x00\xff\xff") },
		"the console panics":       func(_ *house, c *client) { c.write(query("panic")) },
		"it is killed":             func(h *house, _ *client) { h.proxy.Kill(h.theConsole().conn.id) },
		"it is killed while it waits": func(h *house, c *client) {
			c.write(query("wait"))
			h.cancel(c.key, true)
			h.proxy.Kill(h.theConsole().conn.id)
		},
		"its certificate counts no more": func(h *house, c *client) {
			h.theConsole().distrust(errors.New("revoked"))
			c.refused("28000")
		},
		"it is cut off": func(h *house, _ *client) { h.theConsole().abort() },
		"pgseal stops":  func(h *house, _ *client) { ok(h.t, h.proxy.Shutdown(context.Background())) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, withDesk, func(p *plan) { p.panics = name == "the console panics" })
			h.askForCertificates()
			c := h.dialCertificate(devca.Request{CommonName: "alice"})
			c.write(packet(version3, "user", "alice", "database", "pgseal"))
			c.authenticate(password)
			c.greeted()
			c.hello()
			if n := h.proxy.consoles.taken.Load(); n != 1 {
				t.Fatalf("%d places are taken", n)
			}
			end(h, c)
			eventually(t, "the place is free", func() bool { return h.proxy.consoles.taken.Load() == 0 && h.proxy.sessions.connected.Load() == 0 })
			if got := h.proxy.counters.panics.Load(); got != 0 != (name == "the console panics") {
				t.Errorf("%d panics are counted", got)
			}
		})
	}
}

func TestALoginToTheConsoleThatFailsTakesNoPlace(t *testing.T) {
	h := open(t, withDesk)
	for _, ask := range [][]string{{"user", "bob", "database", "pgseal"}, {"user", "alice", "database", "pgseal", "replication", "true"}} {
		c := h.dialTLS()
		c.write(packet(version3, ask...))
		c.authenticate(password)
		c.authenticated()
		c.wantError(map[bool]string{true: "42501", false: "0A000"}[ask[1] == "bob"])
	}
	for range 20 { // some go before they are greeted, some while
		c := h.dialTLS()
		c.write(packet(version3, "user", "alice", "database", "pgseal"))
		c.authenticate(password)
		c.raw.(*net.TCPConn).SetLinger(0)
		c.raw.Close()
	}
	eventually(t, "all places are free", func() bool { return h.proxy.consoles.taken.Load() == 0 && h.proxy.sessions.connected.Load() == 0 })
}
