package proxy

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/proxy/guard"
)

// counters count what happens since the start. Any goroutine may use them.
type counters struct {
	logins, cancels, pins stats.Counts[string]
	panics                atomic.Uint64
	errors                errorLog
}

// Logins returns how clients' logins ended since the start, by outcome. A
// connection that left before it said who it is was none.
func (p *Server) Logins() map[string]uint64 { return p.counters.logins.Read() }

// Cancels returns what became of clients' CancelRequests since the start.
func (p *Server) Cancels() map[string]uint64 { return p.counters.cancels.Read() }

// PinCounts returns how often clients were pinned since the start, by reason.
func (p *Server) PinCounts() map[string]uint64 { return p.counters.pins.Read() }

// Panics returns how many logins ended in a panic. Those of sessions are the
// engine's to count.
func (p *Server) Panics() uint64 { return p.counters.panics.Load() }

// ErrorCounts returns how many errors clients were sent since the start. The
// caller owns the map, which has few entries whatever servers send.
func (p *Server) ErrorCounts() map[stats.ErrorClass]uint64 { return p.counters.errors.counts.Read() }

// LastErrors returns the last errors that clients were sent, the newest first:
// a hundred at most.
func (p *Server) LastErrors() []stats.Error { return p.counters.errors.read() }

// Handshakes returns how the TLS handshakes with clients ended.
func (p *Server) Handshakes() stats.HandshakeTotals { return p.logins.Handshakes().Read() }

// HandshakesNow returns how many TLS handshakes with clients are computed at
// present, and how many wait for their turn.
func (p *Server) HandshakesNow() (running, waiting int) {
	now := p.guards.handshakes.Counts()
	return now.Running, now.Waiting
}

// FailedLogins returns the counts of failed logins as they are now. It may be
// called from any goroutine.
func (p *Server) FailedLogins() guard.FailedLoginCounts { return p.guards.failed.Counts() }

// LoginsByAddress returns the counts of connections that are not logged in.
func (p *Server) LoginsByAddress() guard.LoginCounts { return p.guards.addresses.Counts() }

// Listening reports whether clients can connect: there is a listener, it is not
// closed, and the server is not about to stop.
func (p *Server) Listening() bool { return p.listeners.open() }

// Clients returns how many connections there are, from accept to close.
func (p *Server) Clients() int { return int(p.sessions.connected.Load()) }

// Busy is how many clients the server has of those that count against
// max_client_conn, and how many it may have.
func (p *Server) Busy() (clients, limit int) {
	return p.Clients(), p.settings.Load().Pool.MaxClientConn
}

// ClientList returns the clients whose login is over, by their numbers, and
// how many others there are. It may be called from any goroutine, and holds
// each session up for a moment only.
func (p *Server) ClientList() (list []stats.Client, logins int) {
	for _, s := range p.sessions.list() {
		if v, ok := s.snapshot(); ok {
			list = append(list, v)
		} else {
			logins++
		}
	}
	slices.SortFunc(list, func(a, b stats.Client) int { return cmp.Compare(a.ID, b.ID) })
	return list, logins
}

// Pins returns the clients that keep their servers now, the longest first. It
// may be called from any goroutine.
func (p *Server) Pins() []stats.Pin {
	var list []stats.Pin
	for _, s := range p.sessions.list() {
		if pin, ok := s.pin(); ok {
			list = append(list, pin)
		}
	}
	slices.SortFunc(list, func(a, b stats.Pin) int { return a.Since.Compare(b.Since) })
	return list
}

// Statements returns how many different prepared statements clients and
// servers have, and how many bytes of memory they take.
func (p *Server) Statements() (count int, bytes int64) { return p.statements.Use() }

// StatementList returns the prepared statements that there are, the most used
// first.
func (p *Server) StatementList() (list []stats.Statement) {
	p.statements.Each(func(name, query string, bytes, clients int) {
		list = append(list, stats.Statement{Name: name, Bytes: bytes, Clients: clients, Query: query})
	})
	slices.SortFunc(list, func(a, b stats.Statement) int {
		return cmp.Or(cmp.Compare(b.Clients, a.Clients), strings.Compare(a.Name, b.Name))
	})
	return list
}

// snapshot tells of the session, or reports false during its login, which is its
// goroutine's alone.
func (s *session) snapshot() (v stats.Client, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseLogin {
		return v, false
	}
	c := &s.conn
	v = stats.Client{
		ID: c.id, User: c.user, Database: c.database, State: stats.StateIdle,
		Addr: c.raw.RemoteAddr(), Local: c.local, Connected: c.since, PID: c.key.PID, Negotiation: c.negotiation, Identity: c.identity,
		CloseNeeded: s.ends.soon() != nil,
	}
	if c.tls != nil {
		v.TLS = stats.TLSOf(c.tls.ConnectionState())
	}
	if s.phase == phaseConsole {
		v.Console, v.State, v.Application = true, stats.StateActive, applicationNameIn(s.console.reported, "")
		return v, true
	}
	s.talk.describe(&v)
	return v, true
}

// pin tells what keeps the client on its server, if anything does.
func (s *session) pin() (pin stats.Pin, pinned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseReady {
		return pin, false
	}
	pin, pinned = s.talk.pin()
	pin.Client, pin.User, pin.Database = s.conn.id, s.conn.user, s.conn.database
	return pin, pinned
}
