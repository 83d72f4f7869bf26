package proxy

import (
	"context"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// desk is a console that only alice may use.
type desk struct{}

func (d *desk) Owns(database string) bool { return database == "pgseal" }

func (d *desk) Admits(user string) *wire.Error {
	if user == "alice" {
		return nil
	}
	return wire.Fatal(wire.CodeInsufficientPrivilege, "not you")
}

func (d *desk) Parameters() []wire.Parameter {
	return []wire.Parameter{{Name: "server_version", Value: "15.0"}}
}

func (d *desk) Serve(ctx context.Context, c ConsoleClient) {
	for ctx.Err() == nil {
		typ, body, err := wire.ReadMessage(c, nil, 100)
		if err != nil || typ == wire.Terminate {
			return
		}
		switch string(body) {
		case "wait\x00":
			<-c.Canceled
		case "panic\x00":
			panic("a mistake in the console")
		}
		if _, err := c.Write(wire.AppendReadyForQuery(nil, wire.StatusIdle)); err != nil {
			return
		}
	}
}

// withDesk gives the house a console.
func withDesk(p *plan) { p.desk = &desk{} }

func (c *client) hello() {
	c.t.Helper()
	c.write(query("hello"))
	c.wants(ready("I"))
}

func TestAClientOfTheConsoleLogsInLikeEverybody(t *testing.T) {
	h := open(t, withDesk)
	c := h.login("pgseal", "application_name", "psql")
	if c.params["server_version"] != "15.0" {
		t.Errorf("the client is told %v", c.params)
	}
	c.hello()
	list, logins := h.proxy.ClientList()
	if len(list) != 1 || logins != 0 {
		t.Fatalf("the clients are %+v and %d", list, logins)
	}
	v := list[0]
	if !v.Console || v.User != "alice" || v.Database != "pgseal" || v.Application != "psql" || v.Identity != "scram-sha-256:alice" ||
		v.Negotiation != NegotiatedSSLRequest || v.TLS == nil || v.TLS.ServerName != "localhost" || v.State != StateActive {
		t.Errorf("the client is shown as %+v", v)
	}
	if h.proxy.Clients() != 0 {
		t.Error("the console's session counts as a client")
	}
	c.leave()
	wrong := h.dialTLS()
	wrong.write(packet(version3, "user", "alice", "database", "pgseal"))
	wrong.authenticate("not the password")
	wrong.refused("28P01")
	bob := h.dialTLS()
	bob.write(packet(version3, "user", "bob", "database", "pgseal"))
	bob.authenticate(password)
	bob.authenticated()
	bob.refused("42501")
	walsender := h.dialTLS()
	walsender.write(packet(version3, "user", "alice", "database", "pgseal", "replication", "database"))
	walsender.authenticate(password)
	walsender.authenticated()
	walsender.refused("0A000")
}

func TestTheConsoleHasRoomWhenThePoolerIsFull(t *testing.T) {
	h := open(t, withDesk, func(p *plan) { p.pool.MaxClientConn = 1 })
	first := h.login("app")
	second := h.dialTLS()
	second.write(packet(version3, "user", "alice", "database", "app"))
	second.refused("53300")
	var consoles []*client
	for range maxConsoles {
		c := h.login("pgseal")
		c.hello()
		consoles = append(consoles, c)
	}
	extra := h.dialTLS()
	extra.write(packet(version3, "user", "alice", "database", "pgseal"))
	extra.authenticate(password)
	extra.authenticated()
	extra.refused("53300")
	first.ask("SELECT pid")
	for _, c := range append(consoles, first) {
		c.leave()
	}
}

func TestACancelRequestReachesTheConsole(t *testing.T) {
	h := open(t, withDesk)
	c := h.login("pgseal")
	c.write(query("wait"))
	h.cancel(c.key, true)
	c.wants(ready("I"))
}

func TestAnAdministratorEndsSessionsAndTheyAreToldSo(t *testing.T) {
	h := open(t, withDesk)
	console, busy, idle := h.login("pgseal"), h.login("app"), h.login("sess")
	console.hello()
	busy.do("BEGIN", "T")
	list, _ := h.proxy.ClientList()
	if len(list) != 3 || list[1].State != StateActive || list[1].Server == 0 || list[2].State != StateIdle {
		t.Fatalf("the clients are %+v", list)
	}
	if !h.proxy.Kill(list[1].ID) || h.proxy.Kill(12345) {
		t.Error("Kill does not tell whether there is such a client")
	}
	busy.refused("57P01")
	h.proxy.KillAll("app") // nobody is left there
	h.proxy.KillAll("sess")
	idle.refused("57P01")
	console.hello()
	if !h.proxy.Kill(list[0].ID) {
		t.Error("the console's session can't be ended")
	}
	console.refused("57P01")
	h.login("app").leave()
}

func TestAPanicInTheConsoleEndsOneSession(t *testing.T) {
	h := open(t, withDesk, func(p *plan) { p.panics = true })
	c, other := h.login("pgseal"), h.login("pgseal")
	c.write(query("panic"))
	c.refused("XX000")
	h.logged("panic in the console", 1)
	other.hello()
	other.leave()
}

func TestWhoAcceptsNobodyAnyMoreDoesNotListen(t *testing.T) {
	h := open(t)
	c := h.login("app")
	if !h.proxy.Listening() {
		t.Error("a server with a listener does not listen")
	}
	h.proxy.StopAccepting()
	if h.proxy.Listening() {
		t.Error("a server whose listeners are closed says that clients can connect")
	}
	c.ask("SELECT pid") // who is there stays
	c.leave()
}

func TestAConsoleWatchesTheEndOfAllOthers(t *testing.T) {
	h := open(t, withDesk)
	console, busy := h.login("pgseal"), h.login("app")
	busy.do("BEGIN", "T")
	done := make(chan error, 1)
	go func() { done <- h.proxy.Shutdown(context.Background()) }()
	console.hello()
	busy.do("COMMIT", "I")
	busy.refused("57P01")
	console.refused("57P01")
	ok(t, <-done)
}
