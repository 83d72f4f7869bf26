package pool

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// Servers returns the servers that there are, by their numbers. It may be
// called from any goroutine.
func (m *Manager) Servers() (list []stats.Server) {
	for _, p := range m.catalogue.everyPool() {
		p.mu.Lock()
		for s := range p.policy.servers {
			list = append(list, s.view())
		}
		p.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b stats.Server) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// view describes the server. mu of its pool is held.
func (s *Server) view() stats.Server {
	p := s.pool
	v := stats.Server{
		ID: s.ID, Database: p.db.Name, User: p.login.User, State: s.state(), Host: s.Host, Addr: s.Remote, Local: s.Local,
		Connected: s.Created, PID: s.Key.PID, Dedicated: s.dedicated, Prepared: s.State.Prepared(),
		TLS: s.Facts, Verified: s.Verified, Bound: s.Bound,
		CloseNeeded: s.origin.epoch != p.db.epoch() || s.outdated || p.retired.Load() || p.policy.closed != nil || s.closed != "",
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

// state names the server's state. mu of its pool is held.
func (s *Server) state() string {
	s.mu.Lock()
	_, tested := s.link.(*check)
	held, canceled := s.link != nil, s.cancels.underWay > 0
	s.mu.Unlock()
	switch {
	case !s.idleSince.IsZero() && s.pool.policy.bounds().stale(s, time.Now()):
		return stats.StateUsed
	case !s.idleSince.IsZero(), s.closed != "":
		return stats.StateIdle
	case tested:
		return stats.StateTested
	case !held && canceled:
		return stats.StateBeingCanceled
	}
	return stats.StateActive
}

// loadBalance names how hosts are chosen, if there are several.
func (s *Spec) loadBalance() string {
	if strings.Contains(s.Host, ",") {
		return "disable" // they are tried in turn
	}
	return ""
}

// Databases returns the databases that there are, by name. The entry for any
// database is one of them.
func (m *Manager) Databases() (list []stats.Database) {
	for _, d := range m.catalogue.all() {
		s := d.spec.Load()
		v := stats.Database{
			Name: d.Name, Host: s.Host, Port: s.Port, DBName: s.DBName, ForceUser: s.User,
			PoolSize: s.size(s.User), MinPoolSize: s.least(s.User), ReserveSize: own(s.DatabaseLimits.ReservePoolSize, s.Defaults.ReservePoolSize),
			ServerLifetime: s.lifetime(), PoolMode: s.DatabaseLimits.PoolMode, LoadBalanceHosts: s.loadBalance(),
			MaxServers: s.maxDBConnections(), Servers: int(d.budget.servers.Load()),
			MaxClients: s.maxDBClients(), Clients: int(d.budget.clients.Load()),
			Paused: d.paused.on(), Disabled: d.disabled.Load(), Auto: d.auto.Load(),
		}
		if v.DBName == "" && v.Name != AnyDatabase {
			v.DBName = v.Name
		}
		list = append(list, v)
	}
	return list
}

// Users returns the roles that have an entry in the configuration or have
// logged in, by name.
func (m *Manager) Users() (list []stats.User) {
	names := map[string]bool{}
	budgets := m.roles.all()
	for name := range budgets {
		names[name] = true
	}
	var spec *Spec
	for _, d := range m.catalogue.all() { // the roles are the same for all
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
		if b := budgets[name]; b != nil {
			v.Servers, v.Clients = int(b.servers.Load()), int(b.clients.Load())
		}
		list = append(list, v)
	}
	return list
}

// Snapshots returns all pools by database and user. A pool that no new client
// finds, but that others still use, is part of the one that took its place, if
// there is one. It may be called from any goroutine.
func (m *Manager) Snapshots() []stats.Pool {
	pools := m.catalogue.pools()
	list := make([]stats.Pool, len(pools))
	for i, p := range pools {
		list[i] = p.Snapshot()
	}
	slices.SortFunc(list, byName)
	for _, p := range m.catalogue.retired.list() { // after the others, so that none is missed between
		if slices.Contains(pools, p) {
			continue
		}
		old := p.Snapshot()
		at, found := slices.BinarySearchFunc(list, old, byName)
		if found {
			addRetired(&list[at], old)
		} else {
			list = slices.Insert(list, at, old)
		}
	}
	return list
}

func byName(a, b stats.Pool) int {
	return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User))
}

// addRetired adds what is left of a pool that s took the place of.
func addRetired(s *stats.Pool, old stats.Pool) {
	s.Servers.Add(old.Servers)
	s.Clients += old.Clients
	s.Waiting += old.Waiting
	s.Cancels += old.Cancels
	s.MaxWait = max(s.MaxWait, old.MaxWait)
}

// Panics returns how many times the opening of a server panicked.
func (m *Manager) Panics() uint64 { return m.panics.Load() }

// Snapshot returns the pool as it is now.
func (p *Pool) Snapshot() stats.Pool {
	spec := p.db.spec.Load()
	user := p.login.User
	v := stats.Pool{
		Database: p.db.Name, User: user, Auto: p.db.auto.Load(), Mode: spec.mode(user), Size: spec.size(user), Reserve: spec.reserve(user),
		LoadBalanceHosts: spec.loadBalance(), Clients: int(p.policy.clients.Load()), Cancels: int(p.cancels.Load()), Totals: p.usage.read(),
	}
	p.mu.Lock()
	defer p.unlock()
	y, now := &p.policy, time.Now()
	v.Waiting = y.queue.length + y.dedicated.length
	for _, first := range []*Waiter{y.queue.head, y.dedicated.head} {
		if first != nil {
			v.MaxWait = max(v.MaxWait, now.Sub(first.since))
		}
	}
	c := &v.Servers
	*c = stats.ServerCounts{Idle: len(y.idle), Tested: len(y.asked), Closing: y.places.closing, Login: y.logins, BeingCanceled: int(p.awaitingCancel.Load())}
	if y.opening != nil {
		c.Login++
	}
	for _, s := range y.idle {
		if y.bounds().stale(s, now) {
			c.Idle--
			c.Used++
		}
	}
	c.Active = max(y.places.live-c.Total(), 0)
	v.LastError = y.failing()
	return v
}

// Why servers are closed.
const (
	ClosedIdle      = "idle"        // server_idle_timeout
	ClosedLifetime  = "lifetime"    // server_lifetime
	ClosedSettings  = "settings"    // host, login or RECONNECT: what it was opened with has changed, or its defaults
	ClosedPaused    = "paused"      // PAUSE or KILL of the console
	ClosedTrust     = "trust"       // what it was verified by has changed
	ClosedLimit     = "limit"       // a pool's size shrank, or another pool needed the room
	ClosedLost      = "lost"        // PostgreSQL or the network ended it
	ClosedDirty     = "dirty"       // its client left it in a state that it can't be lent in
	ClosedCheck     = "check"       // it did not answer server_check_query
	ClosedDedicated = "dedicated"   // it was opened for one client, which has left
	ClosedPool      = "pool_closed" // its pool has gone: a new password, a removed database, the end of pgseal
)

// Work is what a client has had done since it last told its pool of it.
type Work struct {
	Transactions, Queries      uint64
	Received, Sent             uint64 // bytes from and to the client
	ClientParses, ServerParses uint64 // Parse messages that clients sent, and that went to servers
	Binds                      uint64
	TransactionTime            time.Duration
}

// usage is what all clients of a database under one login have had done since
// pgseal started. It outlives the pool, which a new password replaces.
type usage struct {
	transactions, queries      atomic.Uint64
	received, sent             atomic.Uint64
	clientParses, serverParses atomic.Uint64
	binds                      atomic.Uint64
	transactionTime            atomic.Int64 // nanoseconds
	assignments                atomic.Uint64
	waitTimeouts               atomic.Uint64
	opened, failed             atomic.Uint64 // servers
	waits, queryTimes          stats.Histogram
	closed                     stats.Counts[string]
}

// Count adds what a client has had done, and empties w.
func (p *Pool) Count(w *Work) {
	u := p.usage
	add(&u.transactions, w.Transactions)
	add(&u.queries, w.Queries)
	add(&u.received, w.Received)
	add(&u.sent, w.Sent)
	add(&u.clientParses, w.ClientParses)
	add(&u.serverParses, w.ServerParses)
	add(&u.binds, w.Binds)
	if w.TransactionTime != 0 {
		u.transactionTime.Add(int64(w.TransactionTime))
	}
	*w = Work{}
}

// add spares the cache line if there is nothing to add.
func add(to *atomic.Uint64, n uint64) {
	if n != 0 {
		to.Add(n)
	}
}

// QueriesTook counts the time of n queries, that is of the cycles that end in
// a ReadyForQuery.
func (p *Pool) QueriesTook(d time.Duration, n uint64) { p.usage.queryTimes.AddSome(d, n) }

// lent counts that a server was given to a client that had waited.
func (u *usage) lent(w *Waiter, now time.Time) {
	w.Waited = now.Sub(w.since)
	u.assignments.Add(1)
	u.waits.Add(w.Waited)
}

func (u *usage) read() stats.PoolTotals {
	return stats.PoolTotals{
		Assignments: u.assignments.Load(), Transactions: u.transactions.Load(), Queries: u.queries.Load(),
		Received: u.received.Load(), Sent: u.sent.Load(),
		ClientParses: u.clientParses.Load(), ServerParses: u.serverParses.Load(), Binds: u.binds.Load(),
		TransactionTime: time.Duration(u.transactionTime.Load()),
		QueryTime:       u.queryTimes.Read(), WaitTime: u.waits.Read(), WaitTimeouts: u.waitTimeouts.Load(),
		ServersOpened: u.opened.Load(), ServersFailed: u.failed.Load(), ServersClosed: u.closed.Read(),
	}
}
