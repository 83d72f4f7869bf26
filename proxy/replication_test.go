package proxy

import (
	"testing"
)

// streams has the server start a replication that goes on until the client
// ends it, or leaves.
func (h *house) streams() {
	h.server.on("START_REPLICATION 0/0", func(b *backend) {
		b.send(msg('W', "\x00\x00\x00"), msg('d', "wal 1"))
		for {
			typ, body, err := readMsg(b)
			switch {
			case err != nil:
				return
			case typ == 'd':
				b.send(msg('d', "seen "+body))
			case typ == 'c':
				b.send(msg('c'), complete("START_REPLICATION"), ready("I"))
				return
			}
		}
	})
}

// replicate returns a replication connection of alice.
func (h *house) replicate(params ...string) *client {
	h.t.Helper()
	return h.login("app", append([]string{"replication", "true"}, params...)...)
}

func TestAReplicationConnectionHasAServerOfItsOwnThatEndsWithIt(t *testing.T) {
	h := open(t, servers(2))
	h.streams()
	c := h.replicate("TimeZone", "Europe/Berlin", "options", "-c geqo=off")
	b := receive(t, "its server", h.server.opened)
	if b.startup["replication"] != "true" || b.startup["TimeZone"] != "Europe/Berlin" || b.startup["options"] != "-c geqo=off" ||
		b.startup["user"] != "alice" || b.startup["database"] != "app" || len(b.startup) != 5 {
		t.Errorf("the server was started with %v", b.startup)
	}
	if got := c.ask("SELECT pid"); got != "1" {
		t.Errorf("it is served by %s", got)
	}
	other := h.login("app")
	if got := other.ask("SELECT pid"); got != "2" {
		t.Errorf("another client is served by %s", got)
	}
	c.write(query("START_REPLICATION 0/0"))
	c.wants(msg('W', "\x00\x00\x00"), msg('d', "wal 1"))
	for range 3 {
		c.write(msg('d', "status"))
		c.wants(msg('d', "seen status"))
	}
	c.write(msg('c'))
	c.wants(msg('c'), complete("START_REPLICATION"), ready("I"))
	if got := c.ask("SELECT pid"); got != "1" {
		t.Errorf("after the stream it is served by %s", got)
	}
	c.leave()
	if gone := receive(t, "the end of its server", h.server.closed); gone != b {
		t.Error("another server ended")
	}
	if got := other.ask("SELECT pid"); got != "2" {
		t.Errorf("the other client is served by %s", got)
	}
}

func TestAReplicationClientThatVanishesInItsStreamTakesItsServerAlong(t *testing.T) {
	h := open(t, servers(1))
	h.streams()
	c := h.replicate()
	b := receive(t, "its server", h.server.opened)
	c.write(query("START_REPLICATION 0/0"))
	c.wants(msg('W', "\x00\x00\x00"), msg('d', "wal 1"))
	c.raw.Close()
	if gone := receive(t, "the end of its server", h.server.closed); gone != b {
		t.Error("another server ended")
	}
	if got := h.login("app").ask("SELECT pid"); got != "2" {
		t.Errorf("the next client is served by %s", got)
	}
}

func TestAShutdownTellsAReplicationClientInItsStream(t *testing.T) {
	h := open(t)
	h.streams()
	idle, c := h.replicate(), h.replicate()
	c.write(query("START_REPLICATION 0/0"))
	c.wants(msg('W', "\x00\x00\x00"), msg('d', "wal 1"))
	done := h.shutdown(t.Context())
	c.refused("57P01")
	idle.refused("57P01")
	ok(t, receive(t, "the end of the shutdown", done))
}

func TestAServersRefusalOfAReplicationConnectionIsTheClientsAnswer(t *testing.T) {
	h := open(t)
	h.server.set(func() { h.server.refusal = serverError("42501") })
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app", "replication", "on"))
	c.authenticate(password)
	c.authenticated()
	c.refused("42501")
}

// The server may report a parameter while its client is greeted with those that
// it had. Only the race detector sees it.
func TestAReplicationServerMayReportWhileItsClientIsGreeted(t *testing.T) {
	h := open(t, servers(2))
	h.server.set(func() { h.server.behind = parameter("TimeZone", "Asia/Tokyo") })
	for range 50 {
		h.replicate().raw.Close()
		<-h.server.opened
	}
}
