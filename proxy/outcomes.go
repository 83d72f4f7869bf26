package proxy

import (
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/proxy/guard"
)

// What became of clients' CancelRequests.
const (
	CancelSent    = "sent"        // to the server that ran the query
	CancelFailed  = "failed"      // the server did not take it
	CancelWait    = "wait_ended"  // the client's wait for a server was ended
	CancelIdle    = "nothing_ran" // or one more cancels the same
	CancelUnknown = "unknown_key"
)

// Logins returns how clients' logins ended since the start, by outcome. A
// connection that left before it said who it is was none.
func (p *Server) Logins() map[string]uint64 { return p.loginCounts.Read() }

// Cancels returns what became of clients' CancelRequests since the start.
func (p *Server) Cancels() map[string]uint64 { return p.cancelCounts.Read() }

// Handshakes returns how the TLS handshakes with clients ended.
func (p *Server) Handshakes() stats.HandshakeTotals { return p.logins.Handshakes().Read() }

// HandshakesNow returns how many TLS handshakes with clients are computed at
// present, and how many wait for their turn.
func (p *Server) HandshakesNow() (running, waiting int) {
	now := p.handshakeTurns.Counts()
	return now.Running, now.Waiting
}

// FailedLogins returns the counts of failed logins as they are now. It may be
// called from any goroutine.
func (p *Server) FailedLogins() guard.FailedLoginCounts { return p.failedLogins.Counts() }

// Panics returns how many logins ended in a panic. Those of sessions are the
// engine's to count.
func (p *Server) Panics() uint64 { return p.panics.Load() }

// Listening reports whether clients can connect: there is a listener, it is not
// closed, and the server is not about to stop.
func (p *Server) Listening() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.listeners) > 0 && !p.closed && !p.draining
}
