package pool

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/pgseal/pgseal/internal/wire"
)

// What an administrator is told whose command does not fit the state of
// things. The words are PgBouncer's.
var (
	errPaused    = notNow("already suspended/paused")
	errNotPaused = notNow("pooler is not paused/suspended")
	errResumed   = notNow("RESUME came before all servers had ended")
)

func notNow(message string) *wire.Error {
	return &wire.Error{Severity: "ERROR", Code: wire.CodeNotInState, Message: message}
}

// paused reports whether the pool is paused: it lends no server and opens none,
// and those that come back end.
func (p *Pool) paused() bool { return p.db.paused.Load() != 0 || p.manager.Paused() }

// named returns the database of that name, or all of them where it is empty.
func (m *Manager) named(name string) ([]*Database, *wire.Error) {
	if name != "" {
		if d, ok := m.Database(name); ok {
			return []*Database{d}, nil
		}
		return nil, &wire.Error{Severity: "ERROR", Code: wire.CodeUndefinedDatabase, Message: "no such database: " + name}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]*Database, 0, len(m.databases))
	for _, d := range m.databases {
		all = append(all, d)
	}
	return all, nil
}

// Pause lends no server of a database from now on, or of any where name is
// empty, and returns when all that were lent have come back and ended. Clients
// that need one wait. Where ctx ends first it undoes what it did; where Resume
// comes first it fails, since servers are lent again.
func (m *Manager) Pause(ctx context.Context, name string) error {
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	number := m.holds.Add(1)
	if err := m.hold(list, name, number); err != nil {
		return err
	}
	err := m.awaitGone(ctx, func() (bool, error) {
		if !m.holding(name) {
			return false, errResumed
		}
		for _, p := range m.everyPool() { // one may have come meanwhile
			if servers, _ := p.counts(); servers > 0 && (name == "" || p.db.Name == name) {
				return false, nil
			}
		}
		return !m.probing(list), nil
	})
	if err != nil && !errors.Is(err, errResumed) {
		m.release(list, name, number)
	}
	return err
}

// probing reports whether one of the databases is being connected to, to see
// whether it can be reached.
func (m *Manager) probing(list []*Database) bool {
	return slices.ContainsFunc(list, func(d *Database) bool { return d.looking.Load() })
}

// isPaused reports whether the database is paused, by itself or with all. It
// brings no database of the AnyDatabase entry to life.
func (m *Manager) isPaused(database string) bool {
	m.mu.RLock()
	d := m.databases[database]
	m.mu.RUnlock()
	return m.Paused() || d != nil && d.paused.Load() != 0
}

// holding reports whether the database is paused, or all are where name is
// empty. One that was removed meanwhile counts as paused: nobody gets a server
// of it.
func (m *Manager) holding(name string) bool {
	if name == "" {
		return m.Paused()
	}
	list, _ := m.named(name)
	return len(list) == 0 || list[0].paused.Load() != 0
}

// release undoes what the Pause with this number did, unless others have undone
// it, or done the same, meanwhile.
func (m *Manager) release(list []*Database, name string, number uint64) {
	if name == "" {
		m.paused.CompareAndSwap(number, 0)
	}
	for _, d := range list {
		if name != "" {
			d.paused.CompareAndSwap(number, 0)
		}
		d.retry()
	}
}

// retry has servers opened for who waits.
func (d *Database) retry() {
	for _, p := range d.all() {
		p.retry()
	}
}

// hold pauses, and ends what is idle.
func (m *Manager) hold(list []*Database, name string, number uint64) error {
	if m.Paused() || name == "" && !m.paused.CompareAndSwap(0, number) {
		return errPaused
	}
	for _, d := range list {
		if name != "" && !d.paused.CompareAndSwap(0, number) {
			return notNow("database " + name + " is already paused")
		}
		d.sweepAll()
	}
	m.lookups.renew()
	return nil
}

// PauseNow is Pause without the wait: what KILL needs. A database that is paused
// already stays so.
func (m *Manager) PauseNow(name string) error {
	if m.Paused() {
		return errPaused
	}
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	for _, d := range list {
		d.paused.Store(m.holds.Add(1))
		d.sweepAll()
	}
	m.lookups.renew()
	return nil
}

// Resume undoes Pause and PauseNow: those of one database, or, where name is empty,
// those of all.
func (m *Manager) Resume(name string) error {
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	resumed := name == "" && m.paused.Swap(0) != 0
	for _, d := range list {
		resumed = d.paused.Swap(0) != 0 || resumed
	}
	switch {
	case !resumed && name != "":
		return notNow("database " + name + " is not paused")
	case !resumed:
		return errNotPaused
	}
	m.gone.ring() // a Pause may wait in vain
	for _, d := range list {
		d.retry()
	}
	return nil
}

// Paused reports whether all databases are paused together.
func (m *Manager) Paused() bool { return m.paused.Load() != 0 }

// Enable lets clients in to the database, or keeps new ones out.
func (m *Manager) Enable(name string, enabled bool) error {
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	for _, d := range list {
		d.disabled.Store(!enabled)
	}
	return nil
}

// Disabled returns why the database takes no client at present, or nil.
func (d *Database) Disabled() *wire.Error {
	if !d.disabled.Load() {
		return nil
	}
	return wire.Fatal(wire.CodeNotInState, `database "`+d.Name+`" is not currently accepting connections`).
		WithHint("An administrator of the connection pooler has disabled it.")
}

// Reconnect ends each server of a database, or of all where name is empty: the
// idle ones now, others when they come back.
func (m *Manager) Reconnect(name string) error {
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	for _, d := range list {
		d.Invalidate()
		d.sweepAll()
	}
	return nil
}

// WaitClose returns when no server is left of a database, or of any where name
// is empty, that has to end.
func (m *Manager) WaitClose(ctx context.Context, name string) error {
	if _, unknown := m.named(name); unknown != nil {
		return unknown
	}
	return m.awaitGone(ctx, func() (bool, error) {
		for _, s := range m.Servers() {
			if s.CloseNeeded && (name == "" || s.Database == name) {
				return false, nil
			}
		}
		return true, nil
	})
}

func (d *Database) sweepAll() {
	for _, p := range d.all() {
		p.sweep()
	}
}

// awaitGone returns when done reports true or an error. It looks each time that
// a server has gone.
func (m *Manager) awaitGone(ctx context.Context, done func() (bool, error)) error {
	for {
		next := m.gone.next()
		if over, err := done(); over || err != nil {
			return err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bell wakes all who wait for something to happen. The zero value is ready for
// use.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // nil: nobody waits
}

// next returns a channel that is closed when the bell is rung the next time.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
