package pool

import "time"

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
