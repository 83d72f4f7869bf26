package proxy

import (
	"cmp"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
	"github.com/pgseal/pgseal/tlsconf"
)

// States of a client, under PgBouncer's names.
const (
	StateActive  = "active"  // it holds a server
	StateIdle    = "idle"    // it needs none
	StateWaiting = "waiting" // for a server
)

// How a client's TLS began.
const (
	NegotiatedSSLRequest = login.NegotiatedSSLRequest
	NegotiatedDirect     = login.NegotiatedDirect
)

// ClientView is a client as it was when it was looked at.
type ClientView struct {
	ID             uint64 // its number in the log
	User, Database string
	PoolUser       string // the role that its servers are logged in as; empty at the console
	Console        bool
	State          string
	Replication    bool
	Addr, Local    net.Addr
	Connected      time.Time
	Requested      time.Time     // when it got its last server, to a second; zero: never
	Wait           time.Duration // for a server, until now
	CloseNeeded    bool          // it ends when it is idle
	Server         uint64        // the number of the server that it holds; 0: none
	PID            uint32        // that it was greeted with
	TLS            *tlsconf.Facts
	Negotiation    string // how its TLS began; empty without TLS
	Identity       string // what it proved to be, as PostgreSQL's SYSTEM_USER has it; empty: nothing
	Application    string
	Prepared       int      // prepared statements that it has
	ServerPrepared int      // that the server has which it holds
	Pins           []string // why it keeps its server
}

// ClientList returns the clients whose login is over, by their numbers, and
// how many others there are. It may be called from any goroutine, and holds
// each session up for a moment only.
func (p *Server) ClientList() (list []ClientView, logins int) {
	for _, s := range p.list() {
		if v, ok := s.view(); ok {
			list = append(list, v)
		} else {
			logins++
		}
	}
	slices.SortFunc(list, func(a, b ClientView) int { return cmp.Compare(a.ID, b.ID) })
	return list, logins
}

func (s *session) view() (v ClientView, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseLogin { // a login is its goroutine's alone
		return v, false
	}
	v = ClientView{
		ID: s.id, User: s.user, Database: s.database, State: StateIdle, Replication: s.replication,
		Addr: s.raw.RemoteAddr(), Local: s.local, Connected: s.since, PID: s.key.PID, Negotiation: s.negotiation, Identity: s.identity,
		CloseNeeded: s.ending() != nil || s.killed != nil,
	}
	if s.tls != nil {
		v.TLS = tlsconf.FactsOf(s.tls.ConnectionState())
	}
	if s.phase == phaseConsole {
		v.Console, v.State, v.Application = true, StateActive, applicationNameIn(s.seat.told, "")
		return v, true
	}
	v.Application = applicationNameIn(s.relay.Told(), "")
	v.PoolUser, v.Prepared = s.pool.User(), s.relay.Names()
	if s.requested != 0 {
		v.Requested = time.Unix(s.requested, 0)
	}
	switch {
	case s.waiting:
		v.State, v.Wait = StateWaiting, s.pool.Waiting(&s.waiter)
	case s.server != nil:
		v.State, v.Server = StateActive, s.server.ID
		v.Pins = relay.Reasons(s.relay.HoldsFor())
		v.ServerPrepared = s.relay.ServerPrepared()
	}
	return v, true
}

// Busy is how many clients the server has of those that count against
// max_client_conn, and how many it may have.
func (p *Server) Busy() (clients, limit int) {
	return int(p.clients.Load()), p.settings.Load().Pool.MaxClientConn
}

// StatementView is a prepared statement that clients or servers have.
type StatementView = relay.StatementView

// StatementList returns the prepared statements that there are, the most used
// first.
func (p *Server) StatementList() []StatementView {
	list := p.statements.List()
	slices.SortFunc(list, func(a, b StatementView) int {
		return cmp.Or(cmp.Compare(b.Clients, a.Clients), strings.Compare(a.Name, b.Name))
	})
	return list
}
