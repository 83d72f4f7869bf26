package proxy

import (
	"testing"

	"github.com/pgseal/pgseal/pool"
)

// serveRoles makes app a database of one server, whose clients share the login of
// svc.
func (h *house) serveRoles() {
	h.t.Helper()
	p := plan{pool: pool.DefaultConfig(), port: h.server.port()}
	p.pool.DefaultPoolSize = 1
	specs := h.specs(p)
	specs["app"].User, specs["app"].Secret = "svc", password
	h.manager.Apply(specs)
}

// loggedIn logs in, and asks for a role of the same name.
func (h *house) loggedIn(user string) *client {
	h.t.Helper()
	c := h.dialTLS()
	c.write(packet(version3, "user", user, "database", "app", "role", user))
	c.authenticate(password)
	c.greeted()
	return c
}

const (
	setAlice  = "SELECT pg_catalog.set_config('role', 'alice', false)"
	fromAlice = "SELECT pg_catalog.set_config('role', NULL, false), pg_catalog.set_config('role', 'bob', false)"
	fromBob   = "SELECT pg_catalog.set_config('role', NULL, false), pg_catalog.set_config('role', 'alice', false)"
)

func TestTheRoleThatAClientAsksForIsSetWhereAnotherWasThere(t *testing.T) {
	h := open(t, servers(1))
	h.serveRoles()
	alice := h.loggedIn("alice")
	h.ran(setAlice)
	for range 2 {
		alice.ask("SELECT pid")
	}
	h.ran("SELECT pid", "SELECT pid") // nobody was there meanwhile
	bob := h.loggedIn("bob")
	h.ran(fromAlice)
	if got := bob.ask("SHOW role"); got != "bob" {
		t.Errorf("bob is %s", got)
	}
	if got := alice.ask("SHOW role"); got != "alice" {
		t.Errorf("alice is %s", got)
	}
	h.ran("SHOW role", fromBob, "SHOW role")
}

func TestAClientsQueryWaitsUntilItsRoleWasTaken(t *testing.T) {
	// A refusal may be the server's own, so that a fresh one is tried.
	h := open(t, servers(1))
	h.serveRoles()
	alice := h.loggedIn("alice")
	h.loggedIn("bob")
	h.ran(setAlice, fromAlice)
	h.server.on(fromBob, func(b *backend) { b.send(serverError("42501"), ready("I")) }) // it was revoked meanwhile
	h.server.set(func() { h.server.refusal = fatal("42501") })
	alice.write(query("SELECT pid"))
	alice.refused("42501")
	h.ran(fromBob)
	h.server.set(func() { h.server.refusal = "" })
	bob := h.loggedIn("bob")
	bob.ask("SELECT pid")
	h.ran("SELECT pg_catalog.set_config('role', 'bob', false)", "SELECT pid") // on a new server, and alice's query never
}
