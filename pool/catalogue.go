package pool

import (
	"maps"
	"slices"
	"sync"

	"github.com/pgseal/pgseal/internal/wire"
)

// maxAutoDatabases bounds how many databases the AnyDatabase entry may bring
// to life, since clients choose their names.
const maxAutoDatabases = 1000

// catalogue is the databases that there are, by name, and the pools that outlive
// theirs. Any goroutine may use it.
type catalogue struct {
	paused  pause // of all databases together
	retired retired

	mu        sync.RWMutex
	databases map[string]*Database
	closed    bool
}

func (c *catalogue) newDatabase(name string, spec *Spec, auto bool) *Database {
	d := &Database{Name: name, paused: pause{all: &c.paused}, pools: map[string]*Pool{}, usages: map[string]*usage{}}
	d.auto.Store(auto)
	d.spec.Store(spec)
	return d
}

// apply makes specs, by name, the databases that exist from now on.
func (c *catalogue) apply(specs map[string]*Spec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for name, d := range c.databases {
		spec := specs[name]
		if d.auto.Load() && spec == nil {
			spec = specs[AnyDatabase]
		}
		if spec == nil {
			d.remove() // before it can no longer be found
			delete(c.databases, name)
			continue
		}
		d.auto.Store(d.auto.Load() && specs[name] == nil)
		d.apply(spec)
	}
	for name, spec := range specs {
		if c.databases[name] == nil {
			c.databases[name] = c.newDatabase(name, spec, false)
		}
	}
}

// find returns the database of that name, and false if there is none. It may
// bring one of the AnyDatabase entry to life.
func (c *catalogue) find(name string) (*Database, bool) {
	if name == AnyDatabase { // it is a pattern, and no database
		return nil, false
	}
	if d, any := c.known(name); d != nil {
		return d, true
	} else if any == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.databases[name]; d != nil {
		return d, true
	}
	autos := 0
	for _, d := range c.databases {
		if d.auto.Load() {
			autos++
		}
	}
	any := c.databases[AnyDatabase]
	if c.closed || autos >= maxAutoDatabases || any == nil {
		return nil, false
	}
	d := c.newDatabase(name, any.spec.Load(), true)
	c.databases[name] = d
	return d, true
}

// known returns the database of that name, nil if there is none as yet, and the
// AnyDatabase entry, which is nil if there is none.
func (c *catalogue) known(name string) (d, any *Database) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.databases[name], c.databases[AnyDatabase]
}

// specOf returns what is known of the database of that name, nil if there can
// be none. It brings none to life.
func (c *catalogue) specOf(name string) *Spec {
	d, any := c.known(name)
	switch {
	case name == AnyDatabase:
		return nil
	case d != nil:
		return d.spec.Load()
	case any != nil:
		return any.spec.Load()
	}
	return nil
}

// isPaused reports whether the database is paused, by itself or with all. It
// brings none to life.
func (c *catalogue) isPaused(name string) bool {
	d, _ := c.known(name)
	return c.paused.on() || d != nil && d.paused.on()
}

// all returns the databases by name. The AnyDatabase entry is one of them.
func (c *catalogue) all() []*Database {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]*Database, 0, len(c.databases))
	for _, name := range slices.Sorted(maps.Keys(c.databases)) {
		list = append(list, c.databases[name])
	}
	return list
}

// named returns the database of that name, or all of them if it is empty.
func (c *catalogue) named(name string) ([]*Database, *wire.Error) {
	if name == "" {
		return c.all(), nil
	}
	if d, ok := c.find(name); ok {
		return []*Database{d}, nil
	}
	return nil, &wire.Error{Severity: "ERROR", Code: wire.CodeUndefinedDatabase, Message: "no such database: " + name}
}

// keep counts a client of d, so that it will not be forgotten. If it was
// already, the one that has its name now is counted, or it is known again.
func (c *catalogue) keep(d *Database) *Database {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch known := c.databases[d.Name]; {
	case known != nil:
		d = known
	case d.auto.Load() && !c.closed && c.databases[AnyDatabase] != nil:
		c.databases[d.Name] = d
	}
	d.budget.clients.Add(1)
	return d
}

// forget drops a database that is unused.
func (c *catalogue) forget(d *Database) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.databases[d.Name] == d && d.unused() {
		delete(c.databases, d.Name)
	}
}

// pools returns the pools that clients find, by database.
func (c *catalogue) pools() (list []*Pool) {
	for _, d := range c.all() {
		list = append(list, d.all()...)
	}
	return list
}

// everyPool returns all pools, retired ones that still have clients or servers included.
func (c *catalogue) everyPool() []*Pool {
	all := c.pools()
	for _, p := range c.retired.list() { // after the others, so that none is missed between
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// close accepts no further databases, and returns those that there are.
func (c *catalogue) close() []*Database {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.all()
}

// retired holds the pools that clients no longer find, because a password
// changed or the database was removed, until the last of their servers and
// clients has gone.
// The zero value is ready for use.
type retired struct {
	mu    sync.Mutex
	pools []*Pool
}

// add is called before the pool can no longer be found. One that a removed
// database had may be given again, for a changed password.
func (r *retired) add(p *Pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.retired.Swap(true) {
		return
	}
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

// retire closes a pool that clients shall no longer find, from a goroutine of the
// manager's, for callers that hold locks.
func (p *Pool) retire(reason error) {
	p.manager.catalogue.retired.add(p)
	p.manager.children.Go(func() { p.close(reason) })
}
