package pool

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"

	"github.com/pgseal/pgseal/internal/wire"
)

// Errors that a waiter may get beside those of the server.
var (
	ErrWaitTimeout = wire.Fatal(wire.CodeTooManyConnections, "no server connection became free within query_wait_timeout")
	ErrClosed      = wire.Fatal(wire.CodeAdminShutdown, "the connection pooler is shutting down")
	ErrRemoved     = wire.Fatal(wire.CodeUndefinedDatabase, "the database was removed from the connection pooler")
)

// Pool lends the servers of one database under one login. All methods may be
// called from any goroutine, and none but OpenDedicated blocks.
type Pool struct {
	// Set once.
	manager *Manager
	db      *Database
	login   Login
	role    *budget // that of the login
	usage   *usage
	clients atomic.Int64
	retired atomic.Bool  // see retired.go
	cancels atomic.Int64 // CancelRequests that are on their way
	parked  atomic.Int64 // servers that come back when such a request is through

	// store makes servers and ends them. To it all that live are lent out: which
	// of them are idle stands in idle, where a certain one is found without a
	// lock and a turn for each of the others.
	store *puddle.Pool[*Server]

	mu        sync.Mutex
	queue     queue
	dedicated queue                // who waits for a place for a server of their own
	timer     *time.Timer          // expires the head of the queue; nil until needed
	servers   map[*Server]struct{} // that are open, or being closed
	idle      []*Server            // that are nobody's, the one that was used last at the end
	live      int                  // servers that exist, or are being opened or closed
	closing   int                  // those of them that are being closed
	asked     []*Server            // idle ones that are asked whether they live
	opening   *opening             // nil: none is under way
	allowed   bounds               // as bounds worked them out last
	logins    int                  // servers that clients open as their own
	blocked   *budget              // what has no room for the server that somebody waits for
	retryAt   time.Time            // no server is opened before
	lastErr   error                // why the last one could not be opened
	renewal   renewal
	closed    error

	params     []wire.Parameter // the defaults of new servers, as far as is known
	outdatedAt time.Time        // when servers were last told to make way for such

	specials        int // of live, those with startup values of a client's
	specialsClosing int // of closing likewise
}

// newPool returns a pool of db, whose mu is held.
func newPool(m *Manager, db *Database, login Login) *Pool {
	p := &Pool{manager: m, db: db, login: login, role: m.role(login.User), usage: db.usageOf(login.User), servers: map[*Server]struct{}{}}
	store, err := puddle.NewPool(&puddle.Config[*Server]{
		Constructor: p.construct,
		Destructor:  func(s *Server) { p.destruct(s) },
		MaxSize:     2 * maxPoolSize, // pool_size and reserve_pool_size
	})
	if err != nil {
		panic(err) // only for a MaxSize below one
	}
	p.store = store
	return p
}

// TryAcquire returns a server that n can use, where one is idle that nobody
// waits for, or nil.
func (p *Pool) TryAcquire(n *Need) *Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.takeFirst(n)
}

// takeFirst returns an idle server that n can use and nobody waits for, or nil.
// mu is held.
func (p *Pool) takeFirst(n *Need) *Server {
	if p.closed != nil || len(p.idle) == 0 || p.paused() {
		return nil
	}
	does := n.fits
	if p.queue.length > 0 {
		does = func(s *Server) bool { return n.fits(s) && !p.wanted(s) }
	}
	s := p.take(n.last(), does, time.Now())
	if s != nil {
		s.used = true
		p.usage.assignments.Add(1)
	}
	return s
}

// Acquire returns a server that w can use, where one is idle that nobody waits
// for. Otherwise it returns nil, and w gets a server or an error later; or it
// returns an error, where waiting is in vain.
func (p *Pool) Acquire(w *Waiter) (*Server, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.takeFirst(w.Need); s != nil {
		return s, nil
	}
	if p.closed != nil {
		return nil, p.closed
	}
	if p.live == 0 && p.lastErr != nil && time.Now().Before(p.retryAt) && !p.paused() {
		return nil, p.lastErr
	}
	w.since = time.Now()
	p.queue.push(w)
	p.armTimer()
	p.openMore()
	return nil, nil
}

// Leave takes w out of the queue. It returns false where w was not in it:
// then its Ready was called, or is about to be.
func (p *Pool) Leave(w *Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.relax()
	if !p.queue.remove(w) {
		return false
	}
	w.Waited = time.Since(w.since)
	return true
}

// relax has other pools make no room for this one where nobody waits any
// more. mu is held.
func (p *Pool) relax() {
	if p.queue.length+p.dedicated.length == 0 {
		p.block(nil)
	}
}

// Mode returns for how long clients of the pool hold a server: SessionMode,
// TransactionMode or StatementMode.
func (p *Pool) Mode() string { return p.db.spec.Load().mode(p.login.User) }

// take returns an idle server that does and is fit for use, or nil: last, where
// that is one. One that was idle for so long that it has to be asked first
// whether it lives comes back by itself. mu is held.
func (p *Pool) take(last *Server, does func(*Server) bool, now time.Time) *Server {
	for {
		i := p.choose(last, does, now)
		if i < 0 {
			return nil
		}
		s := p.takeOut(i)
		if why := p.unfit(s, now); why != "" {
			p.end(s, why)
			continue
		}
		if p.stale(s, now) {
			p.ask(s)
			return nil
		}
		return s
	}
}

// choose returns the place of the idle server that was used last of those that
// do, or with server_round_robin of that which was used first; -1 for none.
// Without it, last comes before all, unless it has to be asked first. mu is
// held.
func (p *Pool) choose(last *Server, does func(*Server) bool, now time.Time) int {
	if p.db.spec.Load().Defaults.ServerRoundRobin {
		return slices.IndexFunc(p.idle, does)
	}
	if last != nil && last.pool == p && last.idle && does(last) && !p.stale(last, now) {
		return slices.Index(p.idle, last)
	}
	for i, s := range slices.Backward(p.idle) {
		if does(s) {
			return i
		}
	}
	return -1
}

// takeOut takes the i-th of the idle servers. mu is held.
func (p *Pool) takeOut(i int) *Server {
	s := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	s.idle = false
	return s
}

// unfit returns why a server may not be lent again, or nothing; the caller ends
// one that may not. mu is held.
func (p *Pool) unfit(s *Server, now time.Time) (why string) {
	switch {
	case s.res == nil:
		return ClosedDedicated
	case !s.usable():
		return s.fate()
	case p.closed != nil:
		return ClosedPool
	case p.paused():
		return ClosedPaused
	case s.generation != p.db.generation.Load():
		return ClosedSettings
	case !s.expires.IsZero() && !now.Before(s.expires):
		return ClosedOld
	case p.makesWay(s):
		if s.outdated {
			return ClosedSettings
		}
		return ClosedRenewed
	}
	return ""
}

// surplus reports whether there is a server too many, which happens when
// a limit shrinks. mu is held.
func (p *Pool) surplus() bool {
	b := p.bounds()
	return p.live-p.closing > b.size+b.reserve || p.overfull()
}

// end closes a server that is in nobody's hands. mu is held.
func (p *Pool) end(s *Server, why string) {
	p.usage.closed.Inc(why)
	s.ending, s.ended = true, why
	p.closing++
	if s.special() {
		p.specialsClosing++
	}
	p.db.budget.closing.Add(1)
	p.role.closing.Add(1)
	if s.res == nil {
		go p.destruct(s) // the manager waits until the server has gone
		return
	}
	s.res.Destroy()
}

// Release takes back a server whose session is clean: outside a transaction,
// with no answer under way.
func (p *Pool) Release(s *Server) { p.takeBack(s, s.unlink(released)) }

// Discard ends a server that can't be lent again.
func (p *Pool) Discard(s *Server) { p.takeBack(s, s.unlink(discarded)) }

func (p *Pool) takeBack(s *Server, how returned) {
	switch how {
	case released:
		p.release(s)
	case discarded:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.end(s, s.fate())
	}
}

func (p *Pool) release(s *Server) {
	now := time.Now()
	p.mu.Lock()
	why := p.unfit(s, now)
	if why == "" && (p.surplus() || p.makesPlace()) {
		why = ClosedLimit
	}
	if why != "" {
		p.end(s, why)
		p.mu.Unlock()
		return
	}
	w, makesRoom := p.next(s, now)
	switch {
	case w != nil:
		s.used = true
		p.queue.remove(w)
		p.lent(w, now)
	case makesRoom || p.wantedElsewhere():
		p.end(s, ClosedLimit)
	default:
		s.idle, s.idleSince = true, now
		p.idle = append(p.idle, s)
	}
	p.relax()
	p.mu.Unlock()
	if w != nil {
		w.Ready(s, nil)
	}
}

// LastError returns why no server can be opened at present, or nil. It is
// what a client that logs in should be told instead of being made to wait.
func (p *Pool) LastError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == 0 && time.Now().Before(p.retryAt) {
		return p.lastErr
	}
	return nil
}

// clearBackoff lets a server be opened at once although the last could not be: what
// stood in its way may have changed.
func (p *Pool) clearBackoff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastErr, p.retryAt = nil, time.Time{}
	p.openMore()
}

// User returns the role that the pool's servers log in as.
func (p *Pool) User() string { return p.login.User }

// Clock returns the time in seconds since 1970, as of the manager's last look at
// its servers. It costs next to nothing.
func (p *Pool) Clock() int64 { return p.manager.clock.Load() }

// armTimer makes sure that the head of the queue is looked at when it has
// waited for query_wait_timeout, and when it may have a server of the reserve.
// mu is held.
func (p *Pool) armTimer() {
	if p.queue.length == 0 {
		return
	}
	spec := p.db.spec.Load()
	waited := time.Since(p.queue.head.since)
	wait := spec.Defaults.QueryWaitTimeout - waited
	if reserve := spec.Defaults.ReservePoolTimeout - waited; reserve > 0 && p.bounds().reserve > 0 {
		if spec.Defaults.QueryWaitTimeout == 0 || reserve < wait {
			wait = reserve
		}
	} else if spec.Defaults.QueryWaitTimeout == 0 {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.waitedLong)
	} else {
		p.timer.Reset(wait)
	}
}

// waitedLong tells those who have waited for query_wait_timeout, and opens
// servers of the reserve for others.
func (p *Pool) waitedLong() {
	var expired []*Waiter
	p.mu.Lock()
	limit := p.db.spec.Load().Defaults.QueryWaitTimeout
	for limit > 0 && p.queue.length > 0 && time.Since(p.queue.head.since) >= limit {
		w := p.queue.pop()
		w.Waited = time.Since(w.since)
		expired = append(expired, w)
	}
	p.usage.waitTimeouts.Add(uint64(len(expired)))
	p.openMore()
	p.armTimer()
	p.mu.Unlock()
	for _, w := range expired {
		w.Ready(nil, ErrWaitTimeout)
	}
}

// idleServerEnded removes a server that died while nobody held it.
func (p *Pool) idleServerEnded(*Server) { p.sweep() }

// sweep ends the idle servers that are dead, too old, idle for too long or
// of an old generation.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.tryAgain()
	spec := p.db.spec.Load()
	idleFor, least := spec.Defaults.ServerIdleTimeout, spec.least(p.login.User)
	now := time.Now()
	all := p.idle
	p.idle = p.idle[:0]
	for _, s := range all {
		why := p.unfit(s, now)
		switch {
		case why != "":
		case idleFor > 0 && now.Sub(s.idleSince) >= idleFor && (s.special() || p.plain()-(p.closing-p.specialsClosing) > least):
			why = ClosedIdle
		case p.surplus() || p.wantedElsewhere() && !p.wanted(s):
			why = ClosedLimit
		}
		if why != "" {
			s.idle = false
			p.end(s, why)
			continue
		}
		p.idle = append(p.idle, s)
	}
	clear(all[len(p.idle):])
}

// pick ends the i-th of the idle servers. mu is held.
func (p *Pool) pick(i int) { p.end(p.takeOut(i), ClosedLimit) }

// closeSoon closes a pool that another takes the place of, from a goroutine of
// the manager's, for callers that hold locks.
func (p *Pool) closeSoon(reason error) {
	p.manager.retired.add(p)
	p.manager.children.Go(func() { p.close(reason) })
}

// close fails who waits and ends what is idle; servers that are held end when
// they come back.
func (p *Pool) close(reason error) {
	p.mu.Lock()
	if p.closed != nil {
		p.mu.Unlock()
		return
	}
	p.closed = reason
	waiting := append(p.queue.popAll(), p.dedicated.popAll()...)
	p.relax()
	p.mu.Unlock()
	for _, w := range waiting {
		w.Ready(nil, reason)
	}
	p.sweep()
}

// counts returns how many servers there are and how many clients wait.
func (p *Pool) counts() (servers, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live, p.queue.length + p.dedicated.length
}
