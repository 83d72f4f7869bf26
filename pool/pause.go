package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pgseal/pgseal/internal/wire"
)

// Errors of console commands that do not fit the current state. The messages are
// PgBouncer's.
var (
	errPaused    = notNow("already suspended/paused")
	errNotPaused = notNow("pooler is not paused/suspended")
	errResumed   = notNow("PAUSE was canceled by RESUME")
)

func notNow(message string) *wire.Error {
	return &wire.Error{Severity: "ERROR", Code: wire.CodeNotInState, Message: message}
}

// pause is whether servers of a database are lent, or of all together. While it is
// on none is lent or opened, and those that come back end.
type pause struct {
	number atomic.Uint64 // of the Pause or PauseNow that began it; zero: there is none
	all    *pause        // that of all together, nil for that itself
}

func (p *pause) on() bool { return p.number.Load() != 0 || p.all != nil && p.all.on() }

// begin reports whether there was none.
func (p *pause) begin(number uint64) bool { return p.number.CompareAndSwap(0, number) }

// undo ends it if nobody has ended it, or begun another, meanwhile.
func (p *pause) undo(number uint64) { p.number.CompareAndSwap(number, 0) }

// end reports whether there was one.
func (p *pause) end() bool { return p.number.Swap(0) != 0 }

// Pause lends no server of a database from now on, or of any if name is
// empty, and returns when all that were lent have come back and ended. Clients
// that need one wait. If ctx ends first it undoes what it did; if Resume
// comes first it fails, since servers are lent again.
func (m *Manager) Pause(ctx context.Context, name string) error {
	list, unknown := m.catalogue.named(name)
	if unknown != nil {
		return unknown
	}
	number := m.pauses.Add(1)
	if err := m.beginPause(list, name, number); err != nil {
		return err
	}
	err := m.awaitGone(ctx, func() (bool, error) {
		if !m.pauseLasts(name) {
			return false, errResumed
		}
		for _, p := range m.catalogue.everyPool() { // one may have come meanwhile
			if servers, _ := p.counts(); servers > 0 && (name == "" || p.db.Name == name) {
				return false, nil
			}
		}
		probed := slices.ContainsFunc(list, func(d *Database) bool { return d.probing.Load() })
		return !probed, nil
	})
	if err != nil && !errors.Is(err, errResumed) {
		m.undoPause(list, name, number)
	}
	return err
}

// beginPause pauses, and ends what is idle.
func (m *Manager) beginPause(list []*Database, name string, number uint64) error {
	all := &m.catalogue.paused
	if all.on() || name == "" && !all.begin(number) {
		return errPaused
	}
	for _, d := range list {
		if name != "" && !d.paused.begin(number) {
			return notNow("database " + name + " is already paused")
		}
		d.each((*Pool).sweep)
	}
	m.lookups.invalidate()
	return nil
}

// pauseLasts reports whether the database is paused, or all are if name is
// empty. One that was removed meanwhile counts as paused: nobody gets a server
// of it.
func (m *Manager) pauseLasts(name string) bool {
	if name == "" {
		return m.Paused()
	}
	list, _ := m.catalogue.named(name)
	return len(list) == 0 || list[0].paused.number.Load() != 0
}

// undoPause undoes what the Pause with this number did, unless others have undone
// it, or done the same, meanwhile.
func (m *Manager) undoPause(list []*Database, name string, number uint64) {
	if name == "" {
		m.catalogue.paused.undo(number)
	}
	for _, d := range list {
		if name != "" {
			d.paused.undo(number)
		}
		d.each((*Pool).retry)
	}
}

// PauseNow is Pause without the wait: what KILL needs. A database that is paused
// already stays so.
func (m *Manager) PauseNow(name string) error {
	if m.Paused() {
		return errPaused
	}
	list, unknown := m.catalogue.named(name)
	if unknown != nil {
		return unknown
	}
	for _, d := range list {
		d.paused.number.Store(m.pauses.Add(1))
		d.each((*Pool).sweep)
	}
	m.lookups.invalidate()
	return nil
}

// Resume undoes Pause and PauseNow: those of one database, or, if name is empty,
// those of all.
func (m *Manager) Resume(name string) error {
	list, unknown := m.catalogue.named(name)
	if unknown != nil {
		return unknown
	}
	resumed := name == "" && m.catalogue.paused.end()
	for _, d := range list {
		resumed = d.paused.end() || resumed
	}
	switch {
	case !resumed && name != "":
		return notNow("database " + name + " is not paused")
	case !resumed:
		return errNotPaused
	}
	m.gone.notify() // a Pause may wait for it
	for _, d := range list {
		d.each((*Pool).retry)
	}
	return nil
}

// Paused reports whether all databases are paused together.
func (m *Manager) Paused() bool { return m.catalogue.paused.on() }

// Enable lets clients in to the database, or keeps new ones out.
func (m *Manager) Enable(name string, enabled bool) error {
	list, unknown := m.catalogue.named(name)
	if unknown != nil {
		return unknown
	}
	for _, d := range list {
		d.disabled.Store(!enabled)
	}
	return nil
}

// Disabled returns why the database accepts no clients now, or nil.
func (d *Database) Disabled() *wire.Error {
	if !d.disabled.Load() {
		return nil
	}
	return wire.Fatal(wire.CodeNotInState, `database "`+d.Name+`" is not currently accepting connections`).
		WithHint("An administrator of the connection pooler has disabled it.")
}

// Reconnect ends each server of a database, or of all if name is empty: the
// idle ones now, others when they come back.
func (m *Manager) Reconnect(name string) error {
	list, unknown := m.catalogue.named(name)
	if unknown != nil {
		return unknown
	}
	for _, d := range list {
		d.Invalidate()
		d.each((*Pool).sweep)
	}
	return nil
}

// WaitClose returns when no server is left of a database, or of any if name
// is empty, that has to end.
func (m *Manager) WaitClose(ctx context.Context, name string) error {
	if _, unknown := m.catalogue.named(name); unknown != nil {
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

// broadcast wakes all goroutines that wait for an event. The zero value is ready
// for use.
type broadcast struct {
	mu   sync.Mutex
	rung chan struct{} // nil: nobody waits
}

// next returns a channel that is closed at the next notify.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
