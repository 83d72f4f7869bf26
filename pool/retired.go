package pool

import (
	"slices"
	"sync"
)

// retired holds the pools that no client finds any more, because a password
// changed or the database was removed, until the last of their servers and
// clients has gone.
// The zero value is ready for use.
type retired struct {
	mu    sync.Mutex
	pools []*Pool
}

// add is called before the pool can't be found any more.
func (r *retired) add(p *Pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.retired.Store(true)
	r.sweep()
	r.pools = append(r.pools, p)
}

func (r *retired) list() []*Pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep()
	return slices.Clone(r.pools)
}

// sweep forgets those that have nothing left. mu is held.
func (r *retired) sweep() { r.pools = slices.DeleteFunc(r.pools, (*Pool).over) }

// over reports whether the pool is closed and nobody is left in it.
func (p *Pool) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed != nil && p.live == 0 && p.clients.Load() == 0
}

// everyPool returns all pools that there are or that somebody is left in.
func (m *Manager) everyPool() []*Pool {
	all := m.pools()
	for _, p := range m.retired.list() { // after the others, so that none is missed between
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}
