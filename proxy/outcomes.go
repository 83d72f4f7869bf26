package proxy

import (
	"strings"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

// Outcomes of a client's login.
const (
	LoginDone       = "ok"
	LoginHandshake  = "tls_handshake" // it failed
	LoginPassword   = "wrong_password"
	LoginRefused    = "refused" // by an access rule, a missing certificate, or for want of TLS
	LoginDatabase   = "no_database"
	LoginTooMany    = "too_many_clients"
	LoginNoServer   = "no_server" // the pool could open none
	LoginProtocol   = "protocol"  // the client broke it, or asked for what is not supported
	LoginTimeout    = "timeout"   // client_login_timeout
	LoginShutdown   = "shutdown"
	LoginClientLeft = "client_left"
	LoginOther      = "other"
)

// loginOutcomes says by the SQLSTATE that a client is refused with, or the
// beginning of one, what came of its login. The first that fits counts.
var loginOutcomes = []struct{ code, outcome string }{
	{wire.CodeInvalidPassword, LoginPassword},
	{"28", LoginRefused},
	{wire.CodeUndefinedDatabase, LoginDatabase},
	{wire.CodeTooManyConnections, LoginTooMany},
	{wire.CodeProtocolViolation, LoginProtocol},
	{"0A", LoginProtocol},
	{"08", LoginNoServer},
	{wire.CodeCannotConnectNow, LoginNoServer},
	{"57P", LoginShutdown},
}

func loginOutcome(e *wire.Error) string {
	if e == errLoginTimeout {
		return LoginTimeout
	}
	for _, o := range loginOutcomes {
		if strings.HasPrefix(e.Code, o.code) {
			return o.outcome
		}
	}
	return LoginOther
}

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
func (p *Server) Handshakes() stats.HandshakeTotals { return p.handshakes.Read() }

// HandshakesNow returns how many TLS handshakes with clients are computed at
// present, and how many wait for their turn.
func (p *Server) HandshakesNow() (running, waiting int) {
	now := p.handshakeTurns.Counts()
	return now.Running, now.Waiting
}

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
