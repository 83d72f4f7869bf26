package pool

import "time"

// Servers that were verified by a trust which has changed since, or logged in
// with a client certificate that was replaced, make way one by one as they come
// back: a pool that lost all its servers at once would have its clients wait
// for logins, and PostgreSQL serve nothing else meanwhile.
const (
	// renewPause is the time between two servers of a pool that make way, unless
	// there are so many that renewWithin takes more. Each login that follows is
	// felt by others: a handshake, and a new process of PostgreSQL.
	renewPause = 500 * time.Millisecond
	// renewWithin bounds how long that takes for a pool of any size, if all its
	// servers come back: what is not trusted any more must not stay.
	renewWithin = 10 * time.Second
)

// renewal is how far a pool has come in replacing its servers.
type renewal struct {
	number uint64    // of the change that it is about
	since  time.Time // when the pool first heard of that
	done   int       // servers that made way
}

// Renew replaces the servers of the database one by one, because what they were
// verified by or logged in with has changed.
func (d *Database) Renew() {
	d.renewals.Add(1)
	for _, p := range d.all() {
		p.forgive()
	}
}

// makesWay reports whether a server that is in nobody's hands has to make way
// for a new one now, and counts it: the caller ends it. mu is held.
func (p *Pool) makesWay(s *Server) bool {
	number := p.db.renewals.Load()
	if s.renewal == number {
		return false
	}
	if p.renewal.number != number {
		p.renewal = renewal{number: number, since: time.Now()}
	}
	pause := min(renewPause, renewWithin/time.Duration(max(p.live, 1)))
	if time.Since(p.renewal.since) < time.Duration(p.renewal.done)*pause {
		return false
	}
	p.renewal.done++
	return true
}
