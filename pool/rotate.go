package pool

import "time"

// Servers that were verified by a trust which has changed since, logged in with
// a client certificate that was replaced, or have other defaults than new ones
// (see defaults.go), make way one by one as they come
// back: a pool that lost all its servers at once would have its clients wait
// for logins, and PostgreSQL serve nothing else meanwhile. If there is room
// for one server more, the new one is opened first, so that no query waits for
// its login.
const (
	// rotationPause is the time between two servers of a pool that make way.
	rotationPause = 100 * time.Millisecond
	// rotationLimit bounds how long that takes for a pool of any size, if all its
	// servers come back: what is no longer trusted must not stay.
	rotationLimit = 10 * time.Second
)

// epoch says what a server was opened under: it counts the changes of its
// database's settings, after which no server is lent again, and of what servers are
// verified by and logged in with, after which they are replaced one by one.
type epoch struct{ settings, trust uint64 }

func (d *Database) epoch() epoch { return epoch{d.settings.Load(), d.trust.Load()} }

// overtaken says why a server must not be lent that was opened just now: what it
// was opened under has changed meanwhile.
func (s *Server) overtaken() (why string) {
	switch now := s.pool.db.epoch(); {
	case s.origin.epoch.settings != now.settings:
		return ClosedSettings
	case s.origin.epoch.trust != now.trust:
		return ClosedTrust
	}
	return ""
}

// rotation is how far a pool has come in replacing its servers.
type rotation struct {
	number uint64    // of the change of trust that it is about
	since  time.Time // when the pool first heard of that
	done   int       // servers that made way
	fresh  int       // new servers that none has made way for yet
}

// follow begins once more if there was another change.
func (r *rotation) follow(number uint64, now time.Time) {
	if r.number != number {
		*r = rotation{number: number, since: now}
	}
}

// due reports whether the pace lets one more of a pool's servers make way.
func (r *rotation) due(live int, now time.Time) bool {
	pause := min(rotationPause, rotationLimit/time.Duration(max(live, 1)))
	return now.Sub(r.since) >= time.Duration(r.done)*pause
}

// waits reports whether the next has to wait for a new server.
func (r *rotation) waits(now time.Time) bool { return r.fresh == 0 && now.Sub(r.since) < rotationLimit }

// replaced counts a server that makes way. Of a special one nobody knows whether
// another like that is needed.
func (r *rotation) replaced(special bool) {
	r.done++
	if !special {
		r.fresh = max(r.fresh-1, 0)
	}
}

// opened notes that a server was opened.
func (r *rotation) opened(s *Server) {
	if s.origin.epoch.trust == r.number && !s.special() {
		r.fresh++
	}
}

// rotate reports whether it is the turn of a server to make way for a new one,
// and counts it: the caller ends it.
func (p *policy) rotate(s *Server, now time.Time) bool {
	r := &p.rotation
	r.follow(p.db.trust.Load(), now)
	if !r.due(p.places.live, now) || !s.special() && r.waits(now) && p.openReplacement(now) {
		return false
	}
	r.replaced(s.special())
	return true
}

// openReplacement has a server opened that another will make way for, and reports
// whether one is on its way. There is none if nobody would miss the other,
// if the pool is full, or if none could be opened just now: then what was
// verified by the old trust does not stay for want of better.
func (p *policy) openReplacement(now time.Time) bool {
	switch {
	case p.clients.Load() == 0 || p.closed != nil || p.db.paused.on() || p.backoff.active(now):
		return false
	case p.opening != nil:
		return true
	case p.places.live >= p.bounds().size:
		return false
	}
	return p.begin(nil) == nil
}

// Rotate replaces the servers of the database one by one, because what they were
// verified by or logged in with has changed.
func (d *Database) Rotate() {
	d.trust.Add(1)
	d.each((*Pool).clearBackoff)
}

// Invalidate ends each server of the database when it next comes back, because
// what it was verified against, or where it leads, has changed.
func (d *Database) Invalidate() {
	d.settings.Add(1)
	d.each((*Pool).clearBackoff)
}
