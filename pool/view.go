package pool

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// Servers returns the servers that there are, by their numbers. It may be
// called from any goroutine.
func (m *Manager) Servers() (list []stats.Server) {
	for _, p := range m.everyPool() {
		p.mu.Lock()
		for s := range p.servers {
			list = append(list, p.view(s))
		}
		p.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b stats.Server) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// view describes a server. mu is held.
func (p *Pool) view(s *Server) stats.Server {
	v := stats.Server{
		ID: s.ID, Database: p.db.Name, User: p.login.User, State: p.stateOf(s), Host: s.Host, Addr: s.Remote, Local: s.Local,
		Connected: s.Created, PID: s.Key.PID, Own: s.own, Prepared: int(s.prepared.Load()),
		TLS: s.Facts, Verified: s.Verified, Bound: s.Bound,
		CloseNeeded: s.generation != p.db.generation.Load() || s.renewal != p.db.renewals.Load() || s.outdated || p.retired.Load() || p.closed != nil || s.ending,
	}
	switch {
	case s.Facts == nil:
	case s.Direct:
		v.Negotiation = stats.NegotiatedDirect
	default:
		v.Negotiation = stats.NegotiatedSSLRequest
	}
	if at := s.lent.Load(); at != 0 {
		v.Requested = time.Unix(at, 0)
	}
	return v
}

// stateOf names the state of a server. mu is held.
func (p *Pool) stateOf(s *Server) string {
	s.mu.Lock()
	_, tested := s.link.(*check)
	held, canceled := s.link != nil, s.cancels > 0
	s.mu.Unlock()
	switch {
	case s.idle && p.stale(s, time.Now()):
		return stats.StateUsed
	case s.idle, s.ending:
		return stats.StateIdle
	case tested:
		return stats.StateTested
	case !held && canceled:
		return stats.StateBeingCanceled
	}
	return stats.StateActive
}

// loadBalance names how hosts are chosen, where there are several.
func (s *Spec) loadBalance() string {
	if strings.Contains(s.Host, ",") {
		return "disable" // they are tried in turn
	}
	return ""
}

// Databases returns the databases that there are, by name. The entry for any
// database is one of them.
func (m *Manager) Databases() (list []stats.Database) {
	m.mu.RLock()
	auto := make(map[*Database]bool, len(m.databases))
	for _, d := range m.databases {
		auto[d] = d.auto
	}
	m.mu.RUnlock()
	for d := range auto {
		s := d.spec.Load()
		v := stats.Database{
			Name: d.Name, Host: s.Host, Port: s.Port, DBName: s.DBName, ForceUser: s.User,
			PoolSize: s.size(s.User), MinPoolSize: s.least(s.User), ReserveSize: own(s.DatabaseLimits.ReservePoolSize, s.Defaults.ReservePoolSize),
			ServerLifetime: s.lifetime(), PoolMode: s.DatabaseLimits.PoolMode, LoadBalanceHosts: s.loadBalance(),
			MaxServers: s.maxDBConnections(), Servers: int(d.share.servers.Load()),
			MaxClients: s.maxDBClients(), Clients: int(d.share.clients.Load()),
			Paused: d.paused.Load() != 0 || m.Paused(), Disabled: d.disabled.Load(), Auto: auto[d],
		}
		if v.DBName == "" && v.Name != AnyDatabase {
			v.DBName = v.Name
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b stats.Database) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Users returns the roles that have an entry in the configuration or have
// logged in, by name.
func (m *Manager) Users() (list []stats.User) {
	names := map[string]bool{}
	m.rolesMu.Lock()
	shares := maps.Clone(m.roles)
	m.rolesMu.Unlock()
	for name := range shares {
		names[name] = true
	}
	all, _ := m.named("")
	var spec *Spec
	for _, d := range all { // the roles are the same for all
		spec = d.spec.Load()
		for name := range spec.Users {
			names[name] = true
		}
	}
	if spec == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		u := spec.user(name)
		v := stats.User{
			Name: name, PoolSize: u.PoolSize, ReserveSize: u.ReservePoolSize, PoolMode: u.PoolMode,
			MaxServers: spec.maxUserConnections(name), MaxClients: spec.maxUserClients(name),
		}
		if h := shares[name]; h != nil {
			v.Servers, v.Clients = int(h.servers.Load()), int(h.clients.Load())
		}
		list = append(list, v)
	}
	return list
}
