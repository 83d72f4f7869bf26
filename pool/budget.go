package pool

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// A budget counts what all pools of one database, or of one role, have
// together: max_db_connections and max_user_connections bound it across them.
type budget struct {
	servers atomic.Int64 // that exist, or are being opened or closed
	closing atomic.Int64 // those of them that are being closed
	blocked atomic.Int64 // pools with waiters that it has no room for
	clients atomic.Int64
}

// claim counts one more server, unless limit, where it is not zero, forbids it.
func (b *budget) claim(limit int) bool {
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

// wanting reports whether a pool waits for room that nothing under way makes.
func (b *budget) wanting() bool { return b.blocked.Load() > b.closing.Load() }

// claim makes room for one more server in all that the pool counts against,
// or returns what is full. mu is held.
func (p *Pool) claim() (full *budget) {
	b := p.bounds()
	if !p.db.budget.claim(b.ofDatabase) {
		return &p.db.budget
	}
	if !p.role.claim(b.ofRole) {
		p.db.budget.servers.Add(-1)
		return p.role
	}
	p.live++
	return nil
}

// unclaim takes back one claim. mu is held.
func (p *Pool) unclaim() {
	p.live--
	p.db.budget.servers.Add(-1)
	p.role.servers.Add(-1)
}

// block notes what the pool's waiters have no room in, nil for nothing. mu is
// held.
func (p *Pool) block(full *budget) {
	if p.blocked == full {
		return
	}
	if p.blocked != nil {
		p.blocked.blocked.Add(-1)
	}
	if p.blocked = full; full != nil {
		full.blocked.Add(1)
	}
}

// wantRoom notes what the pool's waiters have no room in, and has it made once.
// Later the next server that comes back makes room. mu is held.
func (p *Pool) wantRoom(full *budget) {
	was := p.blocked
	if p.block(full); full != was {
		p.manager.children.Go(func() { p.manager.makeRoom(full) })
	}
}

// wantedElsewhere reports whether a server that nobody here waits for would
// make room that clients of another pool wait for.
func (p *Pool) wantedElsewhere() bool { return p.db.budget.wanting() || p.role.wanting() }

// overfull reports whether one of the limits across pools is exceeded, which
// happens when it shrinks. mu is held.
func (p *Pool) overfull() bool {
	b := p.bounds()
	return p.db.budget.over(b.ofDatabase) || p.role.over(b.ofRole)
}

func (b *budget) over(limit int) bool {
	return limit > 0 && b.servers.Load()-b.closing.Load() > int64(limit)
}

// poolsOf returns the pools that count against b, which is db's or else a
// role's.
func (m *Manager) poolsOf(b *budget) []*Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []*Pool
	for _, d := range m.databases {
		for _, p := range d.all() {
			if &p.db.budget == b || p.role == b {
				list = append(list, p)
			}
		}
	}
	return list
}

// makeRoom ends the server that was idle for the longest time among those that
// count against b. Where none is idle, the next that comes back ends.
func (m *Manager) makeRoom(b *budget) {
	for b.wanting() {
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
	for _, s := range p.idle {
		if !ok || s.idleSince.Before(at) {
			at, ok = s.idleSince, true
		}
	}
	return at, ok
}

// evict ends the server that was idle for the longest time, if b still needs
// the room.
func (p *Pool) evict(b *budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.wanting() {
		p.endIdle(func(*Server) bool { return true })
	}
}

// roomMade has the pools that wait for room in b try again, that of the client
// that has waited longest first.
func (m *Manager) roomMade(b *budget) {
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
	first := p.queue.head
	if owner := p.dedicated.head; first == nil || owner != nil && owner.since.Before(first.since) {
		first = owner
	}
	if first == nil {
		return at, false
	}
	return first.since, true
}

// retry opens a server where one is needed and there is room now.
func (p *Pool) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tryAgain()
}

// role returns what servers that log in as name, and clients of that name,
// count against.
func (m *Manager) role(name string) *budget {
	m.rolesMu.Lock()
	defer m.rolesMu.Unlock()
	b := m.roles[name]
	if b == nil {
		b = new(budget)
		m.roles[name] = b
	}
	return b
}

// Admit is Join for a client that logged in as user, where
// max_db_client_connections and max_user_client_connections allow it.
func (m *Manager) Admit(d *Database, user string, login Login) (p *Pool, leave func(), err error) {
	p, leavePool := m.Join(d, login)
	client := m.role(user)
	n := client.clients.Add(1)
	leave = func() {
		client.clients.Add(-1)
		leavePool()
	}
	spec := p.db.spec.Load()
	if limit := spec.maxDBClients(); limit > 0 && p.db.budget.clients.Load() > int64(limit) {
		err = tooMany("the database allows no more clients (max_db_client_connections)")
	} else if limit := spec.maxUserClients(user); limit > 0 && n > int64(limit) {
		err = tooMany("the role is allowed no more clients (max_user_client_connections)")
	}
	if err != nil {
		leave()
		return nil, nil, err
	}
	return p, leave, nil
}

func tooMany(message string) *wire.Error {
	return wire.Fatal(wire.CodeTooManyConnections, message).WithHint("It is a limit of the connection pooler.")
}
