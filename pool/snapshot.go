package pool

import (
	"cmp"
	"slices"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// Snapshots returns all pools by database and user. A pool that no new client
// finds, but that others still use, is part of the one that took its place, if
// there is one. It may be called from any goroutine.
func (m *Manager) Snapshots() []stats.Pool {
	pools := m.pools()
	list := make([]stats.Pool, len(pools))
	for i, p := range pools {
		list[i] = p.Snapshot()
	}
	m.mu.RLock()
	for i, p := range pools {
		list[i].Auto = p.db.auto
	}
	m.mu.RUnlock()
	for _, p := range m.retired.list() { // after the others, so that none is missed between
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

// pools returns all pools, by database and user.
func (m *Manager) pools() (list []*Pool) {
	m.mu.RLock()
	for _, d := range m.databases {
		list = append(list, d.all()...)
	}
	m.mu.RUnlock()
	slices.SortFunc(list, func(a, b *Pool) int {
		return cmp.Or(cmp.Compare(a.db.Name, b.db.Name), cmp.Compare(a.login.User, b.login.User))
	})
	return list
}

// Panics returns how many times the opening of a server panicked.
func (m *Manager) Panics() uint64 { return m.panics.Load() }

// Snapshot returns the pool as it is now.
func (p *Pool) Snapshot() stats.Pool {
	spec := p.db.spec.Load()
	user := p.login.User
	v := stats.Pool{
		Database: p.db.Name, User: user, Mode: spec.mode(user), Size: spec.size(user), Reserve: spec.reserve(user),
		LoadBalanceHosts: spec.loadBalance(), Clients: int(p.clients.Load()), Cancels: int(p.cancels.Load()), Totals: p.usage.read(),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	v.Waiting = p.queue.length + p.dedicated.length
	for _, first := range []*Waiter{p.queue.head, p.dedicated.head} {
		if first != nil {
			v.MaxWait = max(v.MaxWait, now.Sub(first.since))
		}
	}
	v.Servers = p.count(now)
	if p.live == 0 && now.Before(p.retryAt) {
		v.LastError = p.lastErr
	}
	return v
}

// states returns how many servers are in which state.
func (p *Pool) states(now time.Time) stats.ServerCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count(now)
}

// count is states; mu is held.
func (p *Pool) count(now time.Time) stats.ServerCounts {
	s := stats.ServerCounts{Idle: len(p.idle), Tested: len(p.asked), Closing: p.closing, Login: p.logins, BeingCanceled: int(p.parked.Load())}
	if p.opening != nil {
		s.Login++
	}
	for _, idle := range p.idle {
		if p.stale(idle, now) {
			s.Idle--
			s.Used++
		}
	}
	s.Active = max(p.live-s.Total(), 0)
	return s
}
