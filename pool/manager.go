package pool

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
	"github.com/pgseal/pgseal/tlsconf"
)

// sweepEvery is how often idle servers are looked at. Idle timeouts and
// lifetimes are kept to this precision.
const sweepEvery = time.Second

// AnyDatabase is the name of the entry that stands for every database that
// has none of its own.
const AnyDatabase = "*"

// maxAutoDatabases bounds how many databases the AnyDatabase entry may bring
// to life, since clients choose their names.
const maxAutoDatabases = 1000

// Spec is all that is known of one database: its configuration with the
// defaults it rests on, its password and its trust.
type Spec struct {
	DatabaseConfig
	Defaults Config
	Users    map[string]UserConfig // by role; it is never changed
	Secret   string                // the password of User, wherever it came from
	AuthPass string                // the password of AuthUser, from its file
	Trust    *reload.Store[*tlsconf.Upstream]
}

// Database is an entry of the configuration, or a database that the
// AnyDatabase entry stands for. Its methods may be called from any goroutine.
type Database struct {
	Name string

	auto       bool          // made from AnyDatabase
	paused     atomic.Uint64 // the number of the Pause or PauseNow; zero: it is not
	disabled   atomic.Bool   // new clients are kept out
	spec       atomic.Pointer[Spec]
	generation atomic.Uint64 // servers of an older one end when they come back
	budget     budget
	renewals   atomic.Uint64             // likewise, but at a set pace
	reached    atomic.Pointer[time.Time] // see reach.go
	looking    atomic.Bool
	lost       atomic.Bool

	mu     sync.Mutex
	pools  map[string]*Pool  // by login role
	usages map[string]*usage // likewise
	closed error             // why it opens no server any more
}

// Mode returns for how long clients of the database hold a server, where
// their role has no mode of its own: Pool.Mode knows.
func (d *Database) Mode() string { return d.spec.Load().mode("") }

// ResetQuery returns what is sent to a server between two sessions.
func (d *Database) ResetQuery() string { return d.spec.Load().Defaults.ServerResetQuery }

// FixedLogin returns the login that all clients of the database share, and
// false where each comes with its own.
func (d *Database) FixedLogin() (Login, bool) {
	s := d.spec.Load()
	return s.login(), s.User != ""
}

// login returns the database's own login, of no role where it has none.
func (s *Spec) login() Login { return Login{User: s.User, Password: s.Secret} }

// StampsIdentity reports whether servers are told who a client is, behind its
// application_name.
func (d *Database) StampsIdentity() bool { return d.spec.Load().StampIdentity }

// Manager owns all databases, their pools and servers.
type Manager struct {
	log      *zap.Logger
	engine   engine.Engine
	newState func(startup []wire.Parameter) State
	children sync.WaitGroup // openers
	servers  sync.WaitGroup
	lastID   atomic.Uint64
	dialer   backend.Dialer
	paused   atomic.Uint64 // all databases, as in Database
	holds    atomic.Uint64 // the number of the last Pause or PauseNow
	retired  retired
	clock    atomic.Int64 // seconds since 1970, as of the last sweep
	gone     bell         // rung when a server has gone
	lookups  lookups
	panics   atomic.Uint64

	mu        sync.RWMutex
	databases map[string]*Database
	closed    bool

	rolesMu sync.Mutex
	roles   map[string]*budget // of those that have logged in
}

// NewManager returns a Manager without databases, whose servers are driven by
// engine. newState makes the State of a server that was opened with the values of
// a client's startup packet. Apply gives the Manager databases; Run has to run
// beside it.
func NewManager(log *zap.Logger, engine engine.Engine, newState func(startup []wire.Parameter) State) *Manager {
	m := &Manager{log: log, engine: engine, newState: newState, databases: map[string]*Database{}, roles: map[string]*budget{}}
	m.clock.Store(time.Now().Unix())
	return m
}

// Apply makes specs, by name, the databases that exist from now on. Servers
// of a database whose host, login or TLS settings changed end when they come
// back; those of a database that is gone likewise, and its clients with them.
func (m *Manager) Apply(specs map[string]*Spec) {
	defer m.lookups.renew() // without the lock
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for name, d := range m.databases {
		spec := specs[name]
		if d.auto && spec == nil {
			spec = specs[AnyDatabase]
		}
		if spec == nil {
			delete(m.databases, name)
			for _, p := range d.all() {
				m.retired.add(p)
			}
			m.children.Go(func() { d.close(ErrRemoved) })
			continue
		}
		d.auto = d.auto && specs[name] == nil
		d.apply(spec)
	}
	for name, spec := range specs {
		if m.databases[name] == nil {
			m.databases[name] = newDatabase(name, spec, false)
		}
	}
}

func newDatabase(name string, spec *Spec, auto bool) *Database {
	d := &Database{Name: name, auto: auto, pools: map[string]*Pool{}, usages: map[string]*usage{}}
	d.spec.Store(spec)
	return d
}

func (d *Database) apply(spec *Spec) {
	old := d.spec.Swap(spec)
	a, b := old.DatabaseConfig, spec.DatabaseConfig
	a.DatabaseLimits, b.DatabaseLimits = DatabaseLimits{}, DatabaseLimits{}
	a.LookupConfig, b.LookupConfig = LookupConfig{}, LookupConfig{}
	a.Required = b.Required
	sameTrust := a.UpstreamConfig == b.UpstreamConfig
	a.UpstreamConfig = b.UpstreamConfig
	if !sameTrust {
		d.Renew()
	}
	sameLogin := old.login().Equal(spec.login())
	if !reflect.DeepEqual(a, b) || !sameLogin {
		d.reached.Store(nil)
		d.Invalidate()
		d.mu.Lock()
		defer d.mu.Unlock()
		if !sameLogin {
			for user, p := range d.pools {
				delete(d.pools, user)
				p.closeSoon(wire.Fatal(wire.CodeAdminShutdown, "the login of this database changed in the connection pooler"))
			}
		}
	}
}

// Invalidate ends each server of the database when it next comes back, because
// what it was verified against, or where it leads, has changed.
func (d *Database) Invalidate() {
	d.generation.Add(1)
	for _, p := range d.all() {
		p.clearBackoff()
	}
}

// RenewTrust renews the servers of the databases that are verified by this
// store.
func (m *Manager) RenewTrust(store *reload.Store[*tlsconf.Upstream]) {
	m.lookups.renew()
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, d := range m.databases {
		if d.spec.Load().Trust == store {
			d.Renew()
		}
	}
}

// Database returns the database of that name, and false where there is none.
// It is asked only for clients that have proved who they are: a name may
// bring a database of the AnyDatabase entry to life.
func (m *Manager) Database(name string) (*Database, bool) {
	if name == AnyDatabase { // it is a pattern, and no database
		return nil, false
	}
	m.mu.RLock()
	d, any := m.databases[name], m.databases[AnyDatabase]
	m.mu.RUnlock()
	if d != nil {
		return d, true
	}
	if any == nil {
		return nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.databases[name]; d != nil {
		return d, true
	}
	autos := 0
	for _, d := range m.databases {
		if d.auto {
			autos++
		}
	}
	if m.closed || autos >= maxAutoDatabases || m.databases[AnyDatabase] == nil {
		return nil, false
	}
	d = newDatabase(name, any.spec.Load(), true)
	m.databases[name] = d
	return d, true
}

// Join returns the pool for a client of the database whose servers log in as
// login, and counts the client until leave is called.
func (m *Manager) Join(d *Database, login Login) (p *Pool, leave func()) {
	d = m.keep(d)
	p = d.pool(m, login)
	p.clients.Add(1)
	return p, func() {
		p.clients.Add(-1)
		p.db.budget.clients.Add(-1)
	}
}

// pool returns the pool whose servers log in as login.
func (d *Database) pool(m *Manager, login Login) *Pool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pools[login.User]
	if p == nil || !p.login.Equal(login) {
		if p != nil { // the role's password changed
			p.closeSoon(wire.Fatal(wire.CodeInvalidPassword, "the password of this role changed"))
		}
		p = newPool(m, d, login)
		p.closed = d.closed
		d.pools[login.User] = p
	}
	return p
}

// usageOf returns the counters of all pools whose servers log in as user. mu is
// held.
func (d *Database) usageOf(user string) *usage {
	u := d.usages[user]
	if u == nil {
		u = new(usage)
		d.usages[user] = u
	}
	return u
}

// keep counts a client of d, so that it will not be forgotten. Where it was
// already, the one that has its name now is counted, or it is known again.
func (m *Manager) keep(d *Database) *Database {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch known := m.databases[d.Name]; {
	case known != nil:
		d = known
	case d.auto && !m.closed && m.databases[AnyDatabase] != nil:
		m.databases[d.Name] = d
	}
	d.budget.clients.Add(1)
	return d
}

// Database returns the database that the pool's servers are connected to.
func (p *Pool) Database() *Database { return p.db }

func (m *Manager) serverGone() { m.servers.Done() }

// Handshakes returns how the TLS handshakes with servers ended.
func (m *Manager) Handshakes() stats.HandshakeTotals { return m.dialer.Handshakes.Read() }

// Run looks after idle servers, and opens those that min_pool_size asks for,
// until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	m.warm()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.sweep()
		}
	}
}

func (m *Manager) sweep() {
	m.clock.Store(time.Now().Unix())
	m.lookups.sweep()
	m.mu.RLock()
	var unused []string
	for name, d := range m.databases {
		servers := 0
		d.warm(m)
		for _, p := range d.all() {
			p.sweep()
			n, _ := p.counts()
			servers += n
		}
		if d.auto && servers == 0 && d.budget.clients.Load() == 0 && d.paused.Load() == 0 && !d.disabled.Load() {
			unused = append(unused, name)
		}
	}
	m.mu.RUnlock()
	for _, name := range unused {
		m.forget(name)
	}
}

func (m *Manager) warm() {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, d := range m.databases {
		d.warm(m)
	}
}

// warm makes the pool of a database whose clients share one login, so that
// min_pool_size holds before the first of them has come.
func (d *Database) warm(m *Manager) {
	if login, fixed := d.FixedLogin(); fixed && d.Name != AnyDatabase && d.spec.Load().least(login.User) > 0 {
		d.pool(m, login).retry()
	}
}

// forget drops an automatic database that nobody uses.
func (m *Manager) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.databases[name]; d != nil && d.auto && d.budget.clients.Load() == 0 {
		delete(m.databases, name)
	}
}

func (d *Database) all() []*Pool {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*Pool, 0, len(d.pools))
	for _, p := range d.pools {
		list = append(list, p)
	}
	return list
}

func (d *Database) close(reason error) {
	d.mu.Lock()
	d.closed = reason
	d.mu.Unlock()
	for _, p := range d.all() {
		p.close(reason)
	}
}

// Close fails everybody who waits, ends all servers, those that are held when
// they come back, and returns when the last has gone or ctx ends.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	for _, d := range m.databases {
		d.close(ErrClosed)
	}
	m.mu.Unlock()
	m.lookups.close()
	gone := make(chan struct{})
	go func() {
		m.children.Wait() // an opener may yet bring a server
		m.servers.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
