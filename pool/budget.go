package pool

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A budget counts what all pools of one database, or of one role, have
// together: max_db_connections and max_user_connections bound it across them.
type budget struct {
	servers atomic.Int64 // that exist, or are being opened or closed
	closing atomic.Int64 // those of them that are being closed
	blocked atomic.Int64 // pools with waiters that it has no room for
	clients atomic.Int64
}

// reserve counts one more server, unless limit, if it is not zero, forbids it.
func (b *budget) reserve(limit int) bool {
	for {
		n := b.servers.Load()
		if limit > 0 && n >= int64(limit) {
			return false
		}
		if b.servers.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// contended reports whether a pool waits for room that nothing under way makes.
func (b *budget) contended() bool { return b.blocked.Load() > b.closing.Load() }

// exceeds reports whether there are more servers than limit, which happens when it
// shrinks.
func (b *budget) exceeds(limit int) bool {
	return limit > 0 && b.servers.Load()-b.closing.Load() > int64(limit)
}

// roleBudgets are the budgets of the roles that have logged in. The zero value is
// ready for use.
type roleBudgets struct {
	mu     sync.Mutex
	byName map[string]*budget
}

// of returns what servers that log in as name, and clients of that name, count
// against.
func (r *roleBudgets) of(name string) *budget {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.byName[name]
	if b == nil {
		b = new(budget)
		if r.byName == nil {
			r.byName = map[string]*budget{}
		}
		r.byName[name] = b
	}
	return b
}

func (r *roleBudgets) all() map[string]*budget {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.byName)
}

// places counts the servers of one pool, in the pool and in the two budgets that it
// shares with others. mu of the pool guards it.
type places struct {
	ofDatabase, ofRole *budget

	live     int // servers that exist, or are being opened or closed
	closing  int // those of them that are being closed
	specials int // of live, those with startup values of a client's

	specialsClosing int // of closing likewise

	blocked *budget // what has no room for the server that somebody waits for
}

// reserve makes room for one more server, or returns what is full.
func (c *places) reserve(b *bounds, special bool) (full *budget) {
	if !c.ofDatabase.reserve(b.ofDatabase) {
		return c.ofDatabase
	}
	if !c.ofRole.reserve(b.ofRole) {
		c.ofDatabase.servers.Add(-1)
		return c.ofRole
	}
	c.live++
	if special {
		c.specials++
	}
	return nil
}

// release undoes reserve.
func (c *places) release(special bool) {
	c.live--
	if special {
		c.specials--
	}
	c.ofDatabase.servers.Add(-1)
	c.ofRole.servers.Add(-1)
}

// closes counts n more servers as being closed.
func (c *places) closes(special bool, n int) {
	c.closing += n
	if special {
		c.specialsClosing += n
	}
	c.ofDatabase.closing.Add(int64(n))
	c.ofRole.closing.Add(int64(n))
}

// left returns how many there are without those that are being closed, and
// plainLeft how many of these are not special.
func (c *places) left() int      { return c.live - c.closing }
func (c *places) plainLeft() int { return c.left() - (c.specials - c.specialsClosing) }

// plain returns how many servers there are, or are being opened or closed, that
// are not special.
func (c *places) plain() int { return c.live - c.specials }

// block notes what the pool's waiters have no room in, nil for nothing. It reports
// whether that is news.
func (c *places) block(full *budget) bool {
	if c.blocked == full {
		return false
	}
	if c.blocked != nil {
		c.blocked.blocked.Add(-1)
	}
	if c.blocked = full; full != nil {
		full.blocked.Add(1)
	}
	return true
}

// wantedElsewhere reports whether a server that is not needed in this pool would
// make room that clients of another pool wait for.
func (c *places) wantedElsewhere() bool { return c.ofDatabase.contended() || c.ofRole.contended() }

// surplus reports whether there is a server too many, which happens when a limit
// shrinks.
func (c *places) surplus(b *bounds) bool {
	return c.left() > b.size+b.reserve || c.ofDatabase.exceeds(b.ofDatabase) || c.ofRole.exceeds(b.ofRole)
}

// poolsOf returns the pools that count against b, which is a database's or else a
// role's.
func (m *Manager) poolsOf(b *budget) []*Pool {
	return slices.DeleteFunc(m.catalogue.pools(), func(p *Pool) bool { return p.policy.places.ofDatabase != b && p.policy.places.ofRole != b })
}

// makeRoom ends the server that was idle for the longest time among those that
// count against b. If none is idle, the next that comes back ends.
func (m *Manager) makeRoom(b *budget) {
	for b.contended() {
		var oldest *Pool
		var since time.Time
		for _, p := range m.poolsOf(b) {
			if at, ok := p.idleSince(); ok && (oldest == nil || at.Before(since)) {
				oldest, since = p, at
			}
		}
		if oldest == nil {
			return
		}
		oldest.evict(b)
	}
}

// idleSince returns since when the pool has had an idle server.
func (p *Pool) idleSince() (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.policy.idle.longest(anyServer)
	if i < 0 {
		return at, false
	}
	return p.policy.idle[i].idleSince, true
}

// evict ends the server that was idle for the longest time, if b still needs
// the room.
func (p *Pool) evict(b *budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.contended() {
		p.policy.endIdle(anyServer)
	}
}

// capacityFreed has the pools that wait for room in b try again, that of the client
// that has waited longest first.
func (m *Manager) capacityFreed(b *budget) {
	if b.blocked.Load() == 0 {
		return
	}
	type waiting struct {
		pool  *Pool
		since time.Time
	}
	var list []waiting
	for _, p := range m.poolsOf(b) {
		if since, ok := p.waitingSince(); ok {
			list = append(list, waiting{p, since})
		}
	}
	slices.SortFunc(list, func(a, b waiting) int { return a.since.Compare(b.since) })
	for _, w := range list {
		w.pool.retry()
	}
}

func (p *Pool) waitingSince() (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.policy.queue.head
	if other := p.policy.dedicated.head; first == nil || other != nil && other.since.Before(first.since) {
		first = other
	}
	if first == nil {
		return at, false
	}
	return first.since, true
}

// lackRoom returns the first waiter that a server could be opened for if there
// were one less, and the first that a special one could if there were one less
// of those, or nil. Room that is being made already is not made twice.
func (p *policy) lackRoom(now time.Time) (w, ofSpecials *Waiter) {
	if p.queue.length == 0 || p.closed != nil || p.backoff.active(now) {
		return nil, nil
	}
	w, ofSpecials = p.unserved()
	if p.places.specials-p.places.specialsClosing < p.bounds().special {
		ofSpecials = nil
	}
	full := p.places.left() >= p.most() || p.places.blocked != nil && p.places.blocked.contended()
	if p.opening != nil || !full {
		w = nil
	}
	return w, ofSpecials
}

// makeWay ends an idle server if somebody waits whom none fits and who has no
// room for one of its own.
func (p *policy) makeWay(now time.Time) {
	if len(p.idle) == 0 {
		return
	}
	w, ofSpecials := p.lackRoom(now)
	if ofSpecials != nil && p.endIdle((*Server).special) {
		return
	}
	if w != nil && p.places.left() >= p.most() { // makeRoom ends one if it is for a budget
		p.endIdle(anyServer)
	}
}

// endIdle ends the server that was idle for the longest time among those that
// may end, and reports whether there was one.
func (p *policy) endIdle(may func(*Server) bool) bool {
	i := p.idle.longest(may)
	if i < 0 {
		return false
	}
	p.end(p.idle.remove(i), ClosedLimit)
	return true
}
