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

// clearBlocked makes other pools stop making room for this one if nobody waits in it.
func (p *policy) clearBlocked() {
	if p.queue.length+p.dedicated.length == 0 {
		p.places.block(nil)
	}
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

// idleServers are the servers that no client holds, the one that was used last at the
// end. mu of the pool guards them.
type idleServers []*Server

func (l *idleServers) add(s *Server, now time.Time) {
	s.idleSince = now
	*l = append(*l, s)
}

// remove takes the i-th.
func (l *idleServers) remove(i int) *Server {
	s := (*l)[i]
	*l = slices.Delete(*l, i, i+1)
	s.idleSince = time.Time{}
	return s
}

// choose returns the place of the server that was used last of those that do, or
// with server_round_robin of that which was used first; -1 for none. Without it,
// last, which is of the same pool, comes before all, unless it has to be asked
// first.
func (l idleServers) choose(last *Server, does func(*Server) bool, b *bounds, now time.Time) int {
	if b.spec.Defaults.ServerRoundRobin {
		return slices.IndexFunc(l, does)
	}
	if last != nil && !last.idleSince.IsZero() && does(last) && !b.stale(last, now) {
		return slices.Index(l, last)
	}
	for i, s := range slices.Backward(l) {
		if does(s) {
			return i
		}
	}
	return -1
}

// longest returns the place of the server that was idle for the longest time of
// those that may end; -1 for none.
func (l idleServers) longest(may func(*Server) bool) int {
	longest := -1
	for i, s := range l {
		if may(s) && (longest < 0 || s.idleSince.Before(l[longest].idleSince)) {
			longest = i
		}
	}
	return longest
}

func anyServer(*Server) bool { return true }
