package backend

import (
	"crypto/tls"
	"errors"
	"maps"
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
// sides, at every connection. Any goroutine may use it; the zero value is ready.
type groupMemory struct {
	mu    sync.Mutex
	hosts map[peerID]groupChoice
}

// peerID says which server it was, as far as that was verified: what somebody
// chose that was not verified is not offered to a server that will be.
type peerID struct {
	addr     string // as it is configured
	verified string // an sslmode
}

type groupChoice struct {
	group tls.CurveID
	until time.Time
}

// recall returns what to offer to a server, or zero for everything.
func (m *groupMemory) recall(id peerID) tls.CurveID {
	m.mu.Lock()
	defer m.mu.Unlock()
	choice := m.hosts[id]
	if time.Now().After(choice.until) {
		return 0
	}
	return choice.group
}

// learn notes what a server chose when everything was offered.
func (m *groupMemory) learn(id peerID, state tls.ConnectionState) {
	if !state.HelloRetryRequest {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[peerID]groupChoice{}
	}
	now := time.Now()
	maps.DeleteFunc(m.hosts, func(_ peerID, old groupChoice) bool { return now.After(old.until) })
	m.hosts[id] = groupChoice{state.CurveID, now.Add(groupLife)}
}

func (m *groupMemory) forget(id peerID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.hosts, id)
}

// refusedOffer reports whether a handshake ended by an alert of the server's,
// as it does when the server takes nothing of what was offered.
func refusedOffer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
