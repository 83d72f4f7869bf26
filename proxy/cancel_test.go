package proxy

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

func TestACancelRequestReachesTheServerThatRunsTheQuery(t *testing.T) {
	for name, overTLS := range map[string]bool{"in plaintext": false, "inside TLS": true} {
		t.Run(name, func(t *testing.T) {
			h := open(t, servers(2))
			started, _ := h.server.hangs("SELECT pg_sleep(60)")
			other, c := h.login("app"), h.login("app")
			other.do("BEGIN", "T")
			c.write(query("SELECT pg_sleep(60)"))
			b := receive(t, "the start of the query", started)
			h.cancel(c.key, overTLS)
			c.wantError("57014")
			c.wants(ready("I"))
			got := receive(t, "the CancelRequest", h.server.cancels)
			if got.key != b.key() || !got.encrypted {
				t.Errorf("the server got %+v, want key %q and TLS", got, b.key())
			}
			if strings.Contains(c.key, got.key[4:]) {
				t.Error("the client knows the server's own key")
			}
			other.do("COMMIT", "I")
			c.ask("SELECT pid") // the session goes on
			h.logged("query canceled", 1)
		})
	}
}

func TestACancelRequestWithAWrongKeyReachesNobody(t *testing.T) {
	h := open(t)
	started, release := h.server.hangs("SELECT pg_sleep(60)")
	c := h.login("app")
	c.write(query("SELECT pg_sleep(60)"))
	b := receive(t, "the start of the query", started)
	for _, key := range []string{
		c.key[:4] + "\x00\x00\x00\x00", // another secret
		"\x00\x00\x00\x00" + c.key[4:], // another process
		c.key + "\x00", c.key[:7],      // another length
		c.key[:4] + c.key[:4],
		b.key(), // the server's own
		c.key[:4], "", strings.Repeat("\xff", 260), strings.Repeat("x", 5000),
	} {
		h.cancel(key, false)
		h.cancel(key, true)
	}
	nothing(t, "a CancelRequest", h.server.cancels)
	close(release)
	c.want('C')
	c.wants(ready("I"))
}

func TestACancelRequestReachesNobodyWhileNoQueryRuns(t *testing.T) {
	h := open(t, servers(1))
	c, other := h.login("app"), h.login("app")
	h.cancel(c.key, true)
	c.do("BEGIN", "T")
	h.cancel(c.key, true) // idle in its transaction
	c.do("COMMIT", "I")
	h.cancel(c.key, true)
	started, release := h.server.hangs("SELECT pg_sleep(60)")
	other.write(query("SELECT pg_sleep(60)")) // on the server that c had
	receive(t, "the start of the query", started)
	h.cancel(c.key, true)
	nothing(t, "a CancelRequest", h.server.cancels)
	close(release)
	other.want('C')
}

func TestACancelRequestForAClientThatWaitsEndsItsWait(t *testing.T) {
	h := open(t, servers(1))
	a, b := h.login("app"), h.login("app")
	a.do("BEGIN", "T")
	b.write(query("SELECT pid"))
	h.waits(b)
	h.cancel(b.key, true)
	b.wantError("57014")
	b.wants(ready("I"))
	nothing(t, "a CancelRequest", h.server.cancels)
	a.do("COMMIT", "I")
	if got := b.ask("SELECT pid"); got != "1" { // the session goes on
		t.Errorf("got server %s", got)
	}
	h.ran("BEGIN", "COMMIT", "SELECT pid")
}

func TestACancelledBatchIsSkippedUpToItsSync(t *testing.T) {
	h := open(t, servers(1))
	a, b := h.login("app"), h.login("app")
	a.do("BEGIN", "T")
	b.write(parse + bind + execute)
	h.waits(b)
	h.cancel(b.key, true)
	b.wantError("57014")
	b.write(parse + execute + syncMsg)
	b.wants(ready("I"))
	a.do("COMMIT", "I")
	if got := b.ask("SELECT pid"); got != "1" {
		t.Errorf("got server %s", got)
	}
}

// sessionOf returns the pooler's side of a client.
func (h *house) sessionOf(c *client) *session {
	h.t.Helper()
	for _, s := range h.proxy.sessions.list() {
		if s.conn.addr == c.raw.LocalAddr().String() {
			return s
		}
	}
	h.t.Fatal("the client has no session")
	return nil
}

func TestTheKeyOfAClientThatLeftIsWorthless(t *testing.T) {
	h := open(t, servers(1))
	c := h.login("app")
	key := c.key
	c.leave()
	eventually(t, "the session is gone", func() bool { return h.proxy.Clients() == 0 })
	other := h.login("app")
	started, release := h.server.hangs("SELECT pg_sleep(60)")
	other.write(query("SELECT pg_sleep(60)"))
	receive(t, "the start of the query", started)
	h.cancel(key, true)
	nothing(t, "a CancelRequest", h.server.cancels)
	close(release)
	other.want('C')
}

// waits asserts that a client comes to wait for a server.
func (h *house) waits(c *client) {
	h.t.Helper()
	s := h.sessionOf(c)
	eventually(h.t, "the client waits for a server", func() bool {
		s.talk.mu.Lock()
		defer s.talk.mu.Unlock()
		return s.talk.wait.waiting
	})
}

func TestAServerIsNotLentAsLongAsACancelRequestIsUnderWay(t *testing.T) {
	h := open(t, servers(1))
	gate := make(chan struct{})
	h.server.set(func() { h.server.gate = gate })
	started, release := h.server.hangs("SELECT pg_sleep(1)")
	a, victim := h.login("app"), h.login("app")
	a.write(query("SELECT pg_sleep(1)"))
	receive(t, "the start of the query", started)
	canceler := h.dial()
	canceler.write(packet("\x04\xd2\x16\x2e" + a.key))
	receive(t, "the CancelRequest", h.server.cancels)
	close(release) // the query ends by itself before the request takes effect
	a.want('C')
	a.wants(ready("I"))
	h.ran("SELECT pg_sleep(1)")
	victim.write(query("SELECT pid"))
	h.waits(victim)
	nothing(t, "a statement that the request could hit", h.server.statements)
	close(gate)
	canceler.ended()
	if got := victim.answer(); got != "1" {
		t.Errorf("the next client was answered by %q", got)
	}
}

// loginLong returns a session of alice in protocol 3.2.
func (h *house) loginLong() *client {
	h.t.Helper()
	c := h.dialTLS()
	c.write(packet(version32, "user", "alice", "database", "app"))
	c.authenticate(password)
	c.greeted()
	if len(c.key) != 36 {
		h.t.Fatalf("the key has %d bytes", len(c.key))
	}
	return c
}

func TestALongKeyCancelsAndNoPartOfItDoes(t *testing.T) {
	h := open(t)
	started, _ := h.server.hangs("SELECT pg_sleep(60)")
	c := h.loginLong()
	c.write(query("SELECT pg_sleep(60)"))
	b := receive(t, "the start of the query", started)
	for n := range 36 {
		h.cancel(c.key[:n], n%2 == 0)
	}
	flipped := []byte(c.key)
	flipped[35] ^= 1
	for _, key := range []string{string(flipped), c.key + "\x00", c.key + strings.Repeat("\x00", 224)} {
		h.cancel(key, true)
	}
	nothing(t, "a CancelRequest", h.server.cancels)
	h.cancel(c.key, true)
	c.wantError("57014")
	c.wants(ready("I"))
	if got := receive(t, "the CancelRequest", h.server.cancels); got.key != b.key() {
		t.Errorf("the server got %q, want %q", got.key, b.key())
	}
}

func TestNoTwoKeysAreAlikeAndEachSecretIsWhole(t *testing.T) {
	var keys cancelKeys
	seen := map[wire.CancelKey]bool{}
	byPID := map[uint32]bool{}
	for i := range 2000 {
		s, version, size := &session{}, uint32(wire.Version30), shortSecret
		if i%2 == 0 {
			version, size = wire.Version32, longSecret
		}
		keys.issue(s, version)
		if len(s.conn.key.Secret) != size || seen[s.conn.key] || byPID[s.conn.key.PID] || s.conn.key.PID == 0 || s.conn.key.PID > 1<<31-1 {
			t.Fatalf("key %d: process %d with a secret of %d bytes", i, s.conn.key.PID, len(s.conn.key.Secret))
		}
		seen[s.conn.key], byPID[s.conn.key.PID] = true, true
		if keys.find(s.conn.key) != s {
			t.Fatal("a key leads to another session")
		}
	}
}

func TestAKeyOfNobodyCostsNoMemory(t *testing.T) {
	var keys cancelKeys
	for range 1000 {
		keys.issue(&session{}, wire.Version32)
	}
	guess := wire.CancelKey{PID: 1, Secret: strings.Repeat("x", longSecret)}
	var found *session
	if n := testing.AllocsPerRun(10_000, func() {
		guess.PID++
		found = keys.find(guess)
	}); n > 0 || found != nil {
		t.Errorf("a guess costs %v allocations and finds %v", n, found != nil)
	}
	if len(keys.byPID) != 1000 {
		t.Errorf("%d keys are known, want 1000", len(keys.byPID))
	}
}

func TestACancelRequestThatComesWhileAnotherIsUnderWayIsNotLost(t *testing.T) {
	h := open(t, servers(1))
	gate := make(chan struct{})
	h.server.set(func() { h.server.gate = gate })
	first, release := h.server.hangs("SELECT pg_sleep(1)")
	second, _ := h.server.hangs("SELECT pg_sleep(2)")
	c := h.login("app")
	c.do("BEGIN", "T")
	c.write(query("SELECT pg_sleep(1)"))
	receive(t, "the start of the first query", first)
	early := h.dial()
	early.write(packet("\x04\xd2\x16\x2e" + c.key))
	receive(t, "the first CancelRequest", h.server.cancels)
	close(release) // too late: the query has ended
	c.want('C')
	c.wants(ready("T"))
	c.write(query("SELECT pg_sleep(2)"))
	receive(t, "the start of the second query", second)
	var late []*client
	for range 5 {
		x := h.dial()
		x.write(packet("\x04\xd2\x16\x2e" + c.key))
		late = append(late, x)
	}
	s := h.sessionOf(c)
	eventually(t, "another cancel waits for its turn", func() bool {
		s.talk.mu.Lock()
		defer s.talk.mu.Unlock()
		return s.talk.cancels.queued
	})
	h.server.set(func() { h.server.gate = nil })
	close(gate)
	c.wantError("57014")
	for _, x := range append(late, early) {
		x.ended()
	}
	if n := len(h.server.cancels); n > 5 {
		t.Errorf("%d more requests reached the server", n)
	}
}
