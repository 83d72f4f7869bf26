package pool

import (
	"context"
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

// Manager owns all databases, their pools and servers.
type Manager struct {
	log      *zap.Logger
	engine   engine.Engine
	newState func(startup []wire.Parameter) State
	children sync.WaitGroup // openers
	servers  sync.WaitGroup
	lastID   atomic.Uint64
	dialer   backend.Dialer
	pauses   atomic.Uint64 // the number of the last Pause or PauseNow
	clock    atomic.Int64  // seconds since 1970, as of the last sweep
	gone     broadcast     // notified when a server has gone
	panics   atomic.Uint64

	catalogue catalogue
	roles     roleBudgets
	lookups   lookups
}

// NewManager returns a Manager without databases, whose servers are driven by
// engine. newState makes the State of a server that was opened with the values of
// a client's startup packet. Apply gives the Manager databases; Run has to run
// beside it.
func NewManager(log *zap.Logger, engine engine.Engine, newState func(startup []wire.Parameter) State) *Manager {
	m := &Manager{log: log, engine: engine, newState: newState}
	m.catalogue.databases = map[string]*Database{}
	m.lookups.dialer, m.lookups.catalogue = &m.dialer, &m.catalogue
	m.clock.Store(time.Now().Unix())
	return m
}

// Apply makes specs, by name, the databases that exist from now on. Servers
// of a database whose host, login or TLS settings changed end when they come
// back; those of a database that is gone likewise, and its clients with them.
func (m *Manager) Apply(specs map[string]*Spec) {
	m.catalogue.apply(specs)
	m.lookups.invalidate()
}

// RotateTrust replaces the servers of the databases that are verified by this
// store.
func (m *Manager) RotateTrust(store *reload.Store[*tlsconf.Upstream]) {
	m.lookups.invalidate()
	for _, d := range m.catalogue.all() {
		if d.spec.Load().Trust == store {
			d.Rotate()
		}
	}
}

// Database returns the database of that name, and false if there is none.
// It is asked only for clients that have proved who they are: a name may
// bring a database of the AnyDatabase entry to life.
func (m *Manager) Database(name string) (*Database, bool) { return m.catalogue.find(name) }

// Join returns the pool for a client of the database whose servers log in as
// login, and counts the client until leave is called.
func (m *Manager) Join(d *Database, login Login) (p *Pool, leave func()) {
	d = m.catalogue.keep(d)
	p = d.pool(m, login)
	p.policy.clients.Add(1)
	return p, func() {
		p.policy.clients.Add(-1)
		p.db.budget.clients.Add(-1)
	}
}

// Handshakes returns how the TLS handshakes with servers ended.
func (m *Manager) Handshakes() stats.HandshakeTotals { return m.dialer.Handshakes.Read() }

// Run looks after idle servers, and opens those that min_pool_size asks for,
// until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	for _, d := range m.catalogue.all() {
		d.warm(m)
	}
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
	for _, d := range m.catalogue.all() {
		servers := 0
		d.warm(m)
		for _, p := range d.all() {
			p.sweep()
			n, _ := p.counts()
			servers += n
		}
		if servers == 0 && d.unused() {
			m.catalogue.forget(d)
		}
	}
}

// Close fails all waiters, ends all servers, those that are held when
// they come back, and returns when the last has gone or ctx ends.
func (m *Manager) Close(ctx context.Context) error {
	for _, d := range m.catalogue.close() {
		d.close(ErrClosed)
	}
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
