package pool

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/pool/backend"
)

const (
	// reachEvery is how often the required databases are looked at.
	reachEvery = 5 * time.Second
	// reachAnew is after how long a database that has no server open is
	// connected to once more.
	reachAnew = 15 * time.Second
	// reachedFor is for how long a database counts as reachable.
	reachedFor = 30 * time.Second
)

// WatchRequired sees to it, until ctx ends, that Unreachable knows of the
// required databases.
func (m *Manager) WatchRequired(ctx context.Context) {
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	var looks sync.WaitGroup
	defer looks.Wait()
	for {
		for _, d := range m.required() {
			if d.probing.CompareAndSwap(false, true) { // one that hangs holds up no other
				looks.Go(func() {
					defer m.gone.notify() // a Pause may wait for it
					defer d.probing.Store(false)
					d.reach(ctx, m)
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Unreachable returns the names of the required databases that had no verified
// server within the last half minute.
func (m *Manager) Unreachable() []string {
	var names []string
	for _, d := range m.required() {
		if at := d.reached.Load(); at == nil || time.Since(*at) > reachedFor {
			names = append(names, d.Name)
		}
	}
	return names
}

// required returns the required databases, by name.
func (m *Manager) required() []*Database {
	return slices.DeleteFunc(m.catalogue.all(), func(d *Database) bool { return !d.spec.Load().Required })
}

// reach notes that the database has a server open, or can be connected to. The
// log is told if that has ended, once. A database that is paused is not
// connected to, and counts for what it was when that began: its clients are to
// wait here and not to be sent away.
func (d *Database) reach(ctx context.Context, m *Manager) {
	if m.catalogue.isPaused(d.Name) {
		if at := d.reached.Load(); at == nil || time.Since(*at) > reachedFor {
			return
		}
	} else if !d.open() {
		if at := d.reached.Load(); at != nil && time.Since(*at) < reachAnew {
			return
		}
		spec := d.spec.Load()
		// As its pools would: where its clients share no login, there is none.
		if err := m.dialer.Reach(ctx, spec.target(d.Name, spec.login(), backend.AsPgseal)); err != nil {
			if ctx.Err() == nil && !d.lost.Swap(true) {
				m.log.Warn("required database unreachable", zap.String("database", d.Name), zap.Error(err))
			}
			return
		}
	}
	now := time.Now()
	d.reached.Store(&now)
	d.lost.Store(false)
}

// open reports whether a pool of the database has a server that is logged in.
func (d *Database) open() bool {
	for _, p := range d.all() {
		if s := p.Snapshot().Servers; s.Total() > s.Login+s.Closing {
			return true
		}
	}
	return false
}
