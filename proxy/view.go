package proxy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/proxy/relay"
)

// ClientList returns the clients whose login is over, by their numbers, and
// how many others there are. It may be called from any goroutine, and holds
// each session up for a moment only.
func (p *Server) ClientList() (list []stats.Client, logins int) {
	for _, s := range p.list() {
		if v, ok := s.snapshot(); ok {
			list = append(list, v)
		} else {
			logins++
		}
	}
	slices.SortFunc(list, func(a, b stats.Client) int { return cmp.Compare(a.ID, b.ID) })
	return list, logins
}

func (s *session) snapshot() (v stats.Client, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseLogin { // a login is its goroutine's alone
		return v, false
	}
	v = stats.Client{
		ID: s.id, User: s.user, Database: s.database, State: stats.StateIdle, Replication: s.replication,
		Addr: s.raw.RemoteAddr(), Local: s.local, Connected: s.since, PID: s.key.PID, Negotiation: s.negotiation, Identity: s.identity,
		CloseNeeded: s.ending() != nil || s.killed != nil,
	}
	if s.tls != nil {
		v.TLS = stats.TLSOf(s.tls.ConnectionState())
	}
	if s.phase == phaseConsole {
		v.Console, v.State, v.Application = true, stats.StateActive, applicationNameIn(s.seat.told, "")
		return v, true
	}
	v.Application = applicationNameIn(s.relay.Told(), "")
	v.PoolUser, v.Prepared = s.pool.User(), s.relay.Names()
	if s.requested != 0 {
		v.Requested = time.Unix(s.requested, 0)
	}
	switch {
	case s.waiting:
		v.State, v.Wait = stats.StateWaiting, s.pool.Waiting(&s.waiter)
	case s.server != nil:
		v.State, v.Server = stats.StateActive, s.server.ID
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
