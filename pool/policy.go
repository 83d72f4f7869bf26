package pool

import (
	"slices"
	"sync/atomic"
	"time"
)

// policy decides which client is lent which server of a pool, and when one is
// opened, asked whether it lives, or ended. It is state and rules: it starts no
// goroutine, waits for nothing, and leaves it to the Pool, whose mu guards it, to
// start what it decided and to tell waiters what they got.
type policy struct {
	// Set once.
	db    *Database
	user  string // the role that servers log in as
	usage *usage

	clients   atomic.Int64         // of the pool
	queue     queue                // waiters for a server
	dedicated queue                // waiters for a place for a dedicated server
	servers   map[*Server]struct{} // that are open, or being closed
	idle      idleServers
	asked     []*Server // idle ones that are asked whether they live
	places    places
	opening   *opening // nil: none is under way
	logins    int      // dedicated servers that log in
	backoff   backoff
	allowed   bounds // as bounds worked them out last
	rotation  rotation
	defaults  defaults
	crowded   *budget // what has to make room; the Pool sees to it
	closed    error
}

// takeFirst returns an idle server that n can use and nobody waits for, or nil.
func (p *policy) takeFirst(n *Need) *Server {
	if p.closed != nil || len(p.idle) == 0 || p.db.paused.on() {
		return nil
	}
	does := n.fits
	if p.queue.length > 0 {
		does = func(s *Server) bool { return n.fits(s) && !p.queue.wants(s) }
	}
	s := p.take(n.last(), does, time.Now())
	if s != nil {
		s.used = true
		p.usage.assignments.Add(1)
	}
	return s
}

// take returns an idle server that does and is fit for use, or nil: last, if
// that is one. One that was idle for so long that it has to be asked first
// whether it lives comes back by itself.
func (p *policy) take(last *Server, does func(*Server) bool, now time.Time) *Server {
	if last != nil && &last.pool.policy != p {
		last = nil
	}
	for {
		i := p.idle.choose(last, does, p.bounds(), now)
		if i < 0 {
			return nil
		}
		stale := p.bounds().stale(p.idle[i], now)
		s := p.idle.remove(i)
		if why := p.reasonToClose(s, now); why != "" {
			p.end(s, why)
			continue
		}
		if stale {
			p.ask(s)
			return nil
		}
		return s
	}
}

// reasonToClose returns why a server that is held by no client has to end now, or
// nothing.
// If that is to make way for a new one it is counted, so the caller must end it.
func (p *policy) reasonToClose(s *Server, now time.Time) (why string) {
	why = p.reasonNotToLend(s, now)
	if why != "" || s.origin.epoch.trust == p.db.trust.Load() && !s.outdated || !p.rotate(s, now) {
		return why
	}
	if s.outdated {
		return ClosedSettings
	}
	return ClosedTrust
}

// reasonNotToLend returns why a server may not be lent again, or nothing.
func (p *policy) reasonNotToLend(s *Server, now time.Time) (why string) {
	switch {
	case s.dedicated:
		return ClosedDedicated
	case !s.usable():
		return s.closeReason()
	case p.closed != nil:
		return ClosedPool
	case p.db.paused.on():
		return ClosedPaused
	case s.origin.epoch.settings != p.db.settings.Load():
		return ClosedSettings
	case s.origin.expired(now):
		return ClosedLifetime
	}
	return ""
}

// end closes a server that no client holds. A dedicated one is not puddle's: the
// Pool destroys it.
func (p *policy) end(s *Server, why string) {
	p.usage.closed.Inc(why)
	s.closed = why
	p.places.closes(s.special(), 1)
	if !s.dedicated {
		s.res.Destroy()
	}
}

// back takes back a server that is clean. It returns the waiter that gets it, if any,
// for the caller to tell.
func (p *policy) back(s *Server, now time.Time) (w *Waiter) {
	why := p.reasonToClose(s, now)
	if why == "" && (p.places.surplus(p.bounds()) || p.makesPlace()) {
		why = ClosedLimit
	}
	if why != "" {
		p.end(s, why)
		return nil
	}
	w, makesRoom := p.next(s, now)
	switch {
	case w != nil:
		p.lend(s, w, now)
	case makesRoom || p.places.wantedElsewhere():
		p.end(s, ClosedLimit)
	default:
		p.idle.add(s, now)
	}
	p.clearBlocked()
	return w
}

// lend gives a server to a waiter.
func (p *policy) lend(s *Server, w *Waiter, now time.Time) {
	s.used = true
	p.queue.remove(w)
	p.usage.lent(w, now)
}

// leave takes w out of the queue, and reports whether it was in it.
func (p *policy) leave(w *Waiter) bool {
	defer p.clearBlocked()
	if !p.queue.remove(w) {
		return false
	}
	w.Waited = time.Since(w.since)
	return true
}

// clearBlocked makes other pools stop making room for this one if nobody waits in it.
func (p *policy) clearBlocked() {
	if p.queue.length+p.dedicated.length == 0 {
		p.places.block(nil)
	}
}

// nextLook returns how long it takes until the head of the queue has waited for
// query_wait_timeout, or may have a server of the reserve; false for never.
func (p *policy) nextLook() (wait time.Duration, ok bool) {
	if p.queue.length == 0 {
		return 0, false
	}
	spec := p.db.spec.Load()
	waited := time.Since(p.queue.head.since)
	wait, ok = spec.Defaults.QueryWaitTimeout-waited, spec.Defaults.QueryWaitTimeout > 0
	if reserve := spec.Defaults.ReservePoolTimeout - waited; reserve > 0 && p.bounds().reserve > 0 && (!ok || reserve < wait) {
		return reserve, true
	}
	return wait, ok
}

// expire takes those out of the queue that have waited for query_wait_timeout, and
// has servers of the reserve opened for others.
func (p *policy) expire() (expired []*Waiter) {
	limit := p.db.spec.Load().Defaults.QueryWaitTimeout
	for limit > 0 && p.queue.length > 0 && time.Since(p.queue.head.since) >= limit {
		w := p.queue.pop()
		w.Waited = time.Since(w.since)
		expired = append(expired, w)
	}
	p.usage.waitTimeouts.Add(uint64(len(expired)))
	p.openMore()
	return expired
}

// sweep ends the idle servers that are dead, too old, idle for too long or of
// old settings.
func (p *policy) sweep() {
	spec := p.db.spec.Load()
	idleFor, least := spec.Defaults.ServerIdleTimeout, spec.least(p.user)
	now := time.Now()
	all := p.idle
	p.idle = p.idle[:0]
	for _, s := range all {
		why := p.reasonToClose(s, now)
		switch {
		case why != "":
		case idleFor > 0 && now.Sub(s.idleSince) >= idleFor && (s.special() || p.places.plainLeft() > least):
			why = ClosedIdle
		case p.places.surplus(p.bounds()) || p.places.wantedElsewhere() && !p.queue.wants(s):
			why = ClosedLimit
		}
		if why != "" {
			s.idleSince = time.Time{}
			p.end(s, why)
			continue
		}
		p.idle = append(p.idle, s)
	}
	clear(all[len(p.idle):])
	p.tryAgain()
}

// close stops lending servers, and returns the waiters.
func (p *policy) close(reason error) []*Waiter {
	if p.closed != nil {
		return nil
	}
	p.closed = reason
	waiting := append(p.queue.popAll(), p.dedicated.popAll()...)
	p.clearBlocked()
	return waiting
}

// ask sends the check query to a server that was idle, and has its answer decide
// what becomes of it.
func (p *policy) ask(s *Server) {
	if !s.ask(p.db.spec.Load()) {
		p.end(s, s.closeReason())
		return
	}
	p.asked = append(p.asked, s)
}

// answered notes that a server is no longer being asked.
func (p *policy) answered(s *Server) {
	p.asked = slices.DeleteFunc(p.asked, func(other *Server) bool { return other == s })
}
