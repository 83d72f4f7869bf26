package pool

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/tlsconf"
)

// States of a server, under PgBouncer's names.
const (
	StateActive        = "active"         // a client holds it
	StateIdle          = "idle"           // ready to be lent
	StateUsed          = "used"           // idle for so long that it is asked first whether it lives
	StateTested        = "tested"         // it is being asked
	StateBeingCanceled = "being_canceled" // it comes back when a CancelRequest for it is through
)

// ServerView is a server as it was when it was looked at.
type ServerView struct {
	ID          uint64 // its number in the log
	Database    string
	User        string // the role that it is logged in as
	State       string
	Host        string // as configured; a directory for a unix socket
	Addr, Local net.Addr
	Connected   time.Time
	Requested   time.Time // when it was lent last, to a second; zero: never
	PID         uint32    // of its backend
	CloseNeeded bool      // it ends when it comes back
	Prepared    int       // statements that it had when it came back last
	Own         bool      // a client's own, for replication
	TLS         *tlsconf.Facts
	Direct      bool // TLS began without an SSLRequest
	Verified    string
	Bound       bool
}

// Servers returns the servers that there are, by their numbers. It may be
// called from any goroutine.
func (m *Manager) Servers() (list []ServerView) {
	for _, p := range m.everyPool() {
		p.mu.Lock()
		for s := range p.servers {
			list = append(list, p.view(s))
		}
		p.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b ServerView) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// view describes a server. mu is held.
func (p *Pool) view(s *Server) ServerView {
	v := ServerView{
		ID: s.ID, Database: p.db.Name, User: p.login.User, State: p.stateOf(s), Host: s.at.host, Addr: s.remote, Local: s.local,
		Connected: s.Created, PID: s.key.PID, Own: s.own, Prepared: int(s.prepared.Load()),
		TLS: s.facts, Direct: s.direct, Verified: s.Verified, Bound: s.Bound,
		CloseNeeded: s.generation != p.db.generation.Load() || s.renewal != p.db.renewals.Load() || s.outdated || p.retired.Load() || p.closed != nil || s.ending,
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
		return StateUsed
	case s.idle, s.ending:
		return StateIdle
	case tested:
		return StateTested
	case !held && canceled:
		return StateBeingCanceled
	}
	return StateActive
}

// loadBalance names how hosts are chosen, where there are several.
func (s *Spec) loadBalance() string {
	if strings.Contains(s.Host, ",") {
		return "disable" // they are tried in turn
	}
	return ""
}

// DatabaseView is a database as it was when it was looked at.
type DatabaseView struct {
	Name, Host                         string
	Port                               int
	DBName, ForceUser                  string
	PoolSize, MinPoolSize, ReserveSize int
	ServerLifetime                     time.Duration
	PoolMode                           string // empty: the default
	LoadBalanceHosts                   string
	MaxServers, Servers                int
	MaxClients, Clients                int
	Paused, Disabled                   bool
	Auto                               bool // made from the entry for any database
}

// Databases returns the databases that there are, by name. The entry for any
// database is one of them.
func (m *Manager) Databases() (list []DatabaseView) {
	m.mu.RLock()
	auto := make(map[*Database]bool, len(m.databases))
	for _, d := range m.databases {
		auto[d] = d.auto
	}
	m.mu.RUnlock()
	for d := range auto {
		s := d.spec.Load()
		v := DatabaseView{
			Name: d.Name, Host: s.Host, Port: s.Port, DBName: s.DBName, ForceUser: s.User,
			PoolSize: s.size(s.User), MinPoolSize: s.least(s.User), ReserveSize: firstSet(s.DatabaseLimits.ReservePoolSize, s.Defaults.ReservePoolSize),
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
	slices.SortFunc(list, func(a, b DatabaseView) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// UserView is a role as it was when it was looked at.
type UserView struct {
	Name                string
	PoolSize            int // 0: the database's
	ReserveSize         int // negative: the database's
	PoolMode            string
	MaxServers, Servers int
	MaxClients, Clients int
}

// Users returns the roles that have an entry in the configuration or have
// logged in, by name.
func (m *Manager) Users() (list []UserView) {
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
		v := UserView{
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
