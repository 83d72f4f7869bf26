package pool

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"

	"github.com/pgseal/pgseal/internal/wire"
)

// Errors that a waiter may get beside those of the server.
var (
	ErrWaitTimeout = wire.Fatal(wire.CodeTooManyConnections, "query_wait_timeout: no server connection available")
	ErrClosed      = wire.Fatal(wire.CodeAdminShutdown, "the connection pooler is shutting down")
	ErrRemoved     = wire.Fatal(wire.CodeUndefinedDatabase, "the database was removed from the connection pooler")
)

// Pool lends the servers of one database under one login. All methods may be
// called from any goroutine, and none but OpenDedicated blocks.
type Pool struct {
	// Set once.
	manager        *Manager
	db             *Database
	login          Login
	usage          *usage
	retired        atomic.Bool  // clients no longer find it
	cancels        atomic.Int64 // CancelRequests that are on their way
	awaitingCancel atomic.Int64 // servers that come back when such a request is through

	// store makes servers and ends them. To it all that live are lent out: which
	// of them are idle stands in the policy, where a certain one is found without a
	// lock and a turn for each of the others.
	store *puddle.Pool[*Server]

	mu     sync.Mutex
	policy policy
	timer  *time.Timer // expires the head of the queue; nil until needed
}

// newPool returns a pool of db, whose mu is held.
func newPool(m *Manager, db *Database, login Login) *Pool {
	p := &Pool{manager: m, db: db, login: login, usage: db.usageOf(login.User)}
	p.policy = policy{
		db: db, user: login.User, usage: p.usage, servers: map[*Server]struct{}{},
		places: places{ofDatabase: &db.budget, ofRole: m.roles.of(login.User)}, closed: db.closed,
	}
	p.store = newStore(p)
	return p
}

// unlock starts what the policy has decided to start, and unlocks.
func (p *Pool) unlock() {
	if o := p.policy.opening; o != nil && !o.started {
		o.started = true
		p.manager.children.Go(func() { p.open(o) })
	}
	if full := p.policy.crowded; full != nil {
		p.policy.crowded = nil
		p.manager.children.Go(func() { p.manager.makeRoom(full) })
	}
	p.mu.Unlock()
}

// TryAcquire returns a server that n can use, if one is idle that nobody
// waits for, or nil.
func (p *Pool) TryAcquire(n *Need) *Server {
	p.mu.Lock()
	defer p.unlock()
	return p.policy.takeFirst(n)
}

// Acquire returns a server that w can use, if one is idle that nobody waits
// for. Otherwise it returns nil, and w gets a server or an error later; or it
// returns an error, if waiting is useless.
func (p *Pool) Acquire(w *Waiter) (*Server, error) {
	p.mu.Lock()
	defer p.unlock()
	if s := p.policy.takeFirst(w.Need); s != nil {
		return s, nil
	}
	if err := p.policy.closed; err != nil {
		return nil, err
	}
	if err := p.policy.failing(); err != nil && !p.db.paused.on() {
		return nil, err
	}
	w.since = time.Now()
	p.policy.queue.push(w)
	p.armTimer()
	p.policy.openMore()
	return nil, nil
}

// Leave takes w out of the queue. It returns false if w was not in it:
// then its Ready was called, or is about to be.
func (p *Pool) Leave(w *Waiter) bool {
	p.mu.Lock()
	defer p.unlock()
	return p.policy.leave(w)
}

// Release takes back a server whose session is clean: outside a transaction,
// with no answer under way.
func (p *Pool) Release(s *Server) { p.takeBack(s, s.unlink(released)) }

// Discard ends a server that can't be lent again.
func (p *Pool) Discard(s *Server) { p.takeBack(s, s.unlink(discarded)) }

func (p *Pool) takeBack(s *Server, how returned) {
	if how == notReturned {
		return
	}
	var w *Waiter
	p.mu.Lock()
	if how == released {
		w = p.policy.back(s, time.Now())
	} else {
		p.policy.end(s, s.closeReason())
	}
	p.unlock()
	if w != nil {
		w.Ready(s, nil)
	}
	if s.dedicated {
		go p.destruct(s) // the manager waits until the server has gone
	}
}

// Mode returns for how long clients of the pool hold a server: SessionMode,
// TransactionMode or StatementMode.
func (p *Pool) Mode() string { return p.db.spec.Load().mode(p.login.User) }

// User returns the role that the pool's servers log in as.
func (p *Pool) User() string { return p.login.User }

// Database returns the database that the pool's servers are connected to.
func (p *Pool) Database() *Database { return p.db }

// Clock returns the time in seconds since 1970, as of the manager's last look at
// its servers. It costs next to nothing.
func (p *Pool) Clock() int64 { return p.manager.clock.Load() }

// close fails the waiters and ends idle servers; those that are held end when
// they come back.
func (p *Pool) close(reason error) {
	p.mu.Lock()
	waiting := p.policy.close(reason)
	p.unlock()
	for _, w := range waiting {
		w.Ready(nil, reason)
	}
	p.sweep()
}

// over reports whether the pool is closed and has no servers and clients left.
func (p *Pool) over() bool {
	p.mu.Lock()
	defer p.unlock()
	return p.policy.closed != nil && p.policy.places.live == 0 && p.policy.clients.Load() == 0
}

// counts returns how many servers there are and how many clients wait.
func (p *Pool) counts() (servers, waiting int) {
	p.mu.Lock()
	defer p.unlock()
	return p.policy.places.live, p.policy.queue.length + p.policy.dedicated.length
}
