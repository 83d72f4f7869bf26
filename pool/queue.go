package pool

import (
	"slices"
	"time"
)

// A Waiter waits for a server. The zero value with Ready set is ready for use;
// it may be used again once Ready was called or Leave returned true.
type Waiter struct {
	// Ready is called once, with a server or an error, from any goroutine. It
	// must not block.
	Ready func(*Server, error)

	// Need says which servers do; nil for any that is plain.
	Need *Need

	// Waited is for how long it was in the queue, and Ahead how many were in it
	// before. They are set when Ready is called or Leave returned.
	Waited time.Duration
	Ahead  int

	since      time.Time
	next, prev *Waiter
	queued     bool
}

// queue is a first-come-first-served list of waiters, linked through them so
// that joining and leaving cost no allocation.
type queue struct {
	head, tail *Waiter
	length     int
}

func (q *queue) push(w *Waiter) {
	w.prev, w.next, w.queued, w.Ahead = q.tail, nil, true, q.length
	if q.tail != nil {
		q.tail.next = w
	} else {
		q.head = w
	}
	q.tail = w
	q.length++
}

// remove takes w out of the queue and reports whether it was in it.
func (q *queue) remove(w *Waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.tail = w.prev
	}
	w.next, w.prev, w.queued = nil, nil, false
	q.length--
	return true
}

// pop takes the first waiter out of the queue, or returns nil.
func (q *queue) pop() *Waiter {
	w := q.head
	if w != nil {
		q.remove(w)
	}
	return w
}

// popAll empties the queue and returns the waiters.
func (q *queue) popAll() []*Waiter {
	var list []*Waiter
	for w := q.pop(); w != nil; w = q.pop() {
		w.Waited = time.Since(w.since)
		list = append(list, w)
	}
	return list
}

// wants reports whether a waiter could use s.
func (q *queue) wants(s *Server) bool {
	for w := q.head; w != nil; w = w.next {
		if w.Need.fits(s) {
			return true
		}
	}
	return false
}

// Waiting returns for how long w has been in the pool's queue.
func (p *Pool) Waiting(w *Waiter) time.Duration {
	p.mu.Lock()
	defer p.unlock()
	if !w.queued {
		return 0
	}
	return time.Since(w.since)
}

// armTimer makes sure that the head of the queue is looked at when it has
// waited for query_wait_timeout, and when it may have a server of the reserve.
// mu is held.
func (p *Pool) armTimer() {
	wait, ok := p.policy.nextLook()
	switch {
	case !ok:
	case p.timer == nil:
		p.timer = time.AfterFunc(wait, p.waitedLong)
	default:
		p.timer.Reset(wait)
	}
}

// waitedLong fails those that have waited for query_wait_timeout.
func (p *Pool) waitedLong() {
	p.mu.Lock()
	expired := p.policy.expire()
	p.armTimer()
	p.unlock()
	for _, w := range expired {
		w.Ready(nil, ErrWaitTimeout)
	}
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

// unserved returns the first waiter that none of the servers that are being
// asked whether they live will serve: one has to be opened for it. Of those who
// need a special one while there may be none more, it returns the first as
// bounded, who holds up nobody.
func (p *policy) unserved() (w, bounded *Waiter) {
	var asked []*Server
	if len(p.asked) > 0 {
		asked = slices.Clone(p.asked)
	}
	for w = p.queue.head; w != nil; w = w.next {
		if i := slices.IndexFunc(asked, w.Need.fits); i >= 0 {
			asked = slices.Delete(asked, i, i+1)
			continue
		}
		if len(w.Need.opens()) == 0 || p.places.specials < p.bounds().special {
			return w, bounded
		}
		if bounded == nil {
			bounded = w
		}
	}
	return nil, bounded
}

// next returns the first waiter that a server serves which has come back. If
// there is one before it that no server fits, and that has no room for one of its
// own, the server ends instead, so that nobody is passed by for ever.
func (p *policy) next(s *Server, now time.Time) (w *Waiter, makesRoom bool) {
	if w = p.queue.head; w == nil || w.Need.fits(s) {
		return w, false
	}
	lacksRoom, lacksSpecial := p.lackRoom(now)
	for ; w != nil; w = w.next {
		if w.Need.fits(s) {
			return w, false
		}
		if w == lacksRoom || w == lacksSpecial && s.special() {
			return nil, true
		}
	}
	return nil, false
}

// serve takes the idle servers for those who wait, in turn, but for that of an
// opening, which is first for whom it was opened for. The caller grants.
func (p *policy) serve(o *opening, now time.Time) (grants []granted) {
	one := func(w *Waiter) {
		if s := p.take(w.Need.last(), w.Need.fits, now); s != nil {
			p.lend(s, w, now)
			grants = append(grants, granted{w, s})
		}
	}
	if w := o.waiter; w != nil && w.queued && w.Need.strict() && w.Need.fits(o.server) {
		one(w)
	}
	for w := p.queue.head; w != nil && len(p.idle) > 0; {
		next := w.next
		if slices.ContainsFunc(p.idle, w.Need.fits) {
			one(w)
		}
		w = next
	}
	return grants
}

// granted is a server and the waiter that gets it.
type granted struct {
	waiter *Waiter
	server *Server
}
