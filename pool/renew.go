package pool

import "time"

// Servers that were verified by a trust which has changed since, logged in with
// a client certificate that was replaced, or have other defaults than new ones
// (see defaults.go), make way one by one as they come
// back: a pool that lost all its servers at once would have its clients wait
// for logins, and PostgreSQL serve nothing else meanwhile. Where there is room
// for one server more, the new one is opened first, so that no query waits for
// its login.
const (
	// renewPause is the time between two servers of a pool that make way.
	renewPause = 100 * time.Millisecond
	// renewWithin bounds how long that takes for a pool of any size, if all its
	// servers come back: what is not trusted any more must not stay.
	renewWithin = 10 * time.Second
)

// renewal is how far a pool has come in replacing its servers.
type renewal struct {
	number uint64    // of the change that it is about
	since  time.Time // when the pool first heard of that
	done   int       // servers that made way
	fresh  int       // new servers that none has made way for yet
}

// Renew replaces the servers of the database one by one, because what they were
// verified by or logged in with has changed.
func (d *Database) Renew() {
	d.renewals.Add(1)
	for _, p := range d.all() {
		p.clearBackoff()
	}
}

// makesWay reports whether a server that is in nobody's hands has to make way
// for a new one now, and counts it: the caller ends it. mu is held.
func (p *Pool) makesWay(s *Server) bool {
	number := p.db.renewals.Load()
	if s.renewal == number && !s.outdated {
		return false
	}
	if p.renewal.number != number {
		p.renewal = renewal{number: number, since: time.Now()}
	}
	age := time.Since(p.renewal.since)
	pause := min(renewPause, renewWithin/time.Duration(max(p.live, 1)))
	if age < time.Duration(p.renewal.done)*pause {
		return false
	}
	if !s.special() { // nobody knows whether another like that is needed
		if p.renewal.fresh == 0 && age < renewWithin && p.openAhead() {
			return false
		}
		p.renewal.fresh = max(p.renewal.fresh-1, 0)
	}
	p.renewal.done++
	return true
}

// openAhead has a server opened that another will make way for, and reports
// whether one is on its way. There is none where nobody would miss the other,
// where the pool is full, or where none could be opened just now: then what was
// verified by the old trust does not stay for want of better. mu is held.
func (p *Pool) openAhead() bool {
	switch {
	case p.clients.Load() == 0 || p.closed != nil || p.paused() || time.Now().Before(p.retryAt):
		return false
	case p.opening != nil:
		return true
	case p.live >= p.bounds().size || p.claim() != nil:
		return false
	}
	p.startOpening(nil)
	return true
}

// countFresh notes that a server was opened. mu is held.
func (p *Pool) countFresh(s *Server) {
	if s.renewal == p.renewal.number && !s.special() {
		p.renewal.fresh++
	}
}
