package pool

import (
	"context"
	"sync"

	"github.com/pgseal/pgseal/internal/wire"
)

// What an administrator is told whose command does not fit the state of
// things. The words are PgBouncer's.
var (
	errPaused    = notNow("already suspended/paused")
	errNotPaused = notNow("pooler is not paused/suspended")
)

func notNow(message string) *wire.Error {
	return &wire.Error{Severity: "ERROR", Code: wire.CodeNotInState, Message: message}
}

// held reports whether the pool is paused: it lends no server and opens none,
// and those that come back end.
func (p *Pool) held() bool { return p.db.paused.Load() || p.manager.paused.Load() }

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
// that need one wait. Where ctx ends first it undoes what it did.
func (m *Manager) Pause(ctx context.Context, name string) error {
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	if err := m.hold(list, name); err != nil {
		return err
	}
	err := m.awaitGone(ctx, func() bool {
		list, _ := m.named(name) // one may have come meanwhile
		for _, d := range list {
			if d.servers() > 0 {
				return false
			}
		}
		return true
	})
	if err != nil {
		m.release(list, name)
	}
	return err
}

// release undoes what Pause did.
func (m *Manager) release(list []*Database, name string) {
	if name == "" {
		m.paused.Store(false)
	}
	for _, d := range list {
		if name != "" {
			d.paused.Store(false)
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
func (m *Manager) hold(list []*Database, name string) error {
	if m.paused.Load() || name == "" && !m.paused.CompareAndSwap(false, true) {
		return errPaused
	}
	for _, d := range list {
		if name != "" && !d.paused.CompareAndSwap(false, true) {
			return notNow("database " + name + " is already paused")
		}
		d.sweepAll()
	}
	return nil
}

// Hold is Pause without the wait: what KILL needs. A database that is paused
// already stays so.
func (m *Manager) Hold(name string) error {
	if m.paused.Load() {
		return errPaused
	}
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	for _, d := range list {
		d.paused.Store(true)
		d.sweepAll()
	}
	return nil
}

// Resume undoes Pause and Hold: those of one database, or, where name is empty,
// those of all.
func (m *Manager) Resume(name string) error {
	list, unknown := m.named(name)
	if unknown != nil {
		return unknown
	}
	resumed := name == "" && m.paused.Swap(false)
	for _, d := range list {
		resumed = d.paused.Swap(false) || resumed
	}
	switch {
	case !resumed && name != "":
		return notNow("database " + name + " is not paused")
	case !resumed:
		return errNotPaused
	}
	for _, d := range list {
		d.retry()
	}
	return nil
}

// Paused reports whether all databases are paused together.
func (m *Manager) Paused() bool { return m.paused.Load() }

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

// admits returns why the database takes no client at present, or nil.
func (d *Database) admits() *wire.Error {
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
		d.Recycle()
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
	return m.awaitGone(ctx, func() bool {
		for _, s := range m.Servers() {
			if s.CloseNeeded && (name == "" || s.Database == name) {
				return false
			}
		}
		return true
	})
}

func (d *Database) sweepAll() {
	for _, p := range d.all() {
		p.sweep()
	}
}

// servers counts the servers that exist, or are being opened or closed.
func (d *Database) servers() (n int) {
	for _, p := range d.all() {
		live, _ := p.counts()
		n += live
	}
	return n
}

// awaitGone returns when done reports true. It looks each time that a server
// has gone.
func (m *Manager) awaitGone(ctx context.Context, done func() bool) error {
	for {
		next := m.gone.next()
		if done() {
			return nil
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
