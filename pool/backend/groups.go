package backend

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// groupLife is how long a server's choice of a key exchange is remembered. Then
// all are offered once more, since the server may have learned a better one.
const groupLife = time.Hour

// groupMemory remembers the key exchange of servers that took none of those
// that a client of crypto/tls sends a key for at once. PostgreSQL before 18 is
// configured with prime256v1 alone, and answers the usual offer with a
// HelloRetryRequest (RFC 8446, section 4.1.4): a round trip, and work for both
// sides, at every connection. Only the choice of a server that was verified is
// remembered. Any goroutine may use it; the zero value is ready.
type groupMemory struct {
	mu    sync.Mutex
	hosts map[string]groupChoice // by address, so by what is configured
}

type groupChoice struct {
	group tls.CurveID
	until time.Time
}

// recall returns what to offer to a server, or zero for everything.
func (m *groupMemory) recall(addr string) tls.CurveID {
	m.mu.Lock()
	defer m.mu.Unlock()
	choice := m.hosts[addr]
	if time.Now().After(choice.until) {
		return 0
	}
	return choice.group
}

// learn notes what a verified server chose when everything was offered.
func (m *groupMemory) learn(addr string, state tls.ConnectionState) {
	if !state.HelloRetryRequest {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[string]groupChoice{}
	}
	m.hosts[addr] = groupChoice{state.CurveID, time.Now().Add(groupLife)}
}

func (m *groupMemory) forget(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.hosts, addr)
}

// refusedOffer reports whether a handshake ended by an alert of the server's,
// as it does when the server takes nothing of what was offered.
func refusedOffer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
