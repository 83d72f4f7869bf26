package proxy

import "testing"

// finish asks for a session and returns the records of what ends its login, as
// many bytes as each has.
func (h *house) finish(database string, read func(c *client)) []int {
	h.t.Helper()
	c := h.dial()
	c.write(sslRequest)
	c.wantByte('S')
	wire := &recorder{Conn: c.raw}
	c.raw = wire
	c.handshake()
	c.write(packet(version3, "user", "alice", "database", database))
	c.authenticate(password)
	before := len(wire.records())
	read(c)
	const alert = 2 + 1 + 16 // the goodbye of TLS
	var rest []int
	for _, n := range wire.records()[before:] {
		if n != alert {
			rest = append(rest, n)
		}
	}
	return rest
}

func TestTheEndOfScramComesInOneRecordWithTheGreeting(t *testing.T) {
	h := open(t)
	for range 2 { // the first needs a server, the second does not
		if n := h.finish("app", (*client).greeted); len(n) != 1 {
			t.Errorf("the login ended in records of %v bytes, want one", n)
		}
	}
}

func TestTheEndOfScramComesInOneRecordWithTheRefusalBehindIt(t *testing.T) {
	h := open(t)
	n := h.finish("nowhere", func(c *client) {
		c.authenticated()
		c.refused("3D000")
	})
	if len(n) != 1 {
		t.Errorf("the login ended in records of %v bytes, want one", n)
	}
}

func TestTheEndOfScramIsNotLostWhereTheServersRefuse(t *testing.T) {
	h := open(t)
	h.server.set(func() { h.server.refusal = serverError("53300") })
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.authenticated()
	c.refused("53300")
}

func TestTheEndOfScramIsNotLostInALoginThatAShutdownEnds(t *testing.T) {
	h := open(t)
	stall := make(chan struct{})
	h.server.set(func() { h.server.stall = stall })
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate(password)
	eventually(t, "the login waits for a server", func() bool {
		for _, s := range h.manager.Snapshots() {
			if s.Waiting == 1 {
				return true
			}
		}
		return false
	})
	done := h.shutdown(t.Context())
	c.authenticated()
	c.refused("57P01")
	close(stall)
	ok(t, receive(t, "the end of the shutdown", done))
}

func TestAWrongPasswordIsToldWithoutAnEndOfScram(t *testing.T) {
	h := open(t)
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app"))
	c.authenticate("wrong")
	c.refused("28P01")
}
