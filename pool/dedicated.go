package pool

import (
	"context"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// OpenDedicated opens a server for the caller alone: its startup packet bears
// startup beside the role and the database, and it is lent to nobody else. It
// takes one of the pool's places. If all are taken an idle server gives way,
// or the caller waits for its turn among those who wait for a server, for
// query_wait_timeout at most. Release and Discard end the server.
//
// If the database was paused while the server logged in, or what it was verified by
// or where it leads has changed, that server ends and the caller waits for another.
//
// It blocks until ctx ends, so it may not be called on an event loop. Its
// errors are those of Acquire and of the server; if ctx ended, what it
// returns means no more than that.
func (p *Pool) OpenDedicated(ctx context.Context, startup []wire.Parameter) (*Server, error) {
	for {
		s, err := p.openDedicated(ctx, startup)
		if err != nil {
			return nil, err
		}
		why := s.overtaken()
		if p.db.paused.on() {
			why = ClosedPaused
		}
		if why == "" {
			return s, nil
		}
		s.setCloseReason(why)
		p.Discard(s)
	}
}

// openDedicated opens one server.
func (p *Pool) openDedicated(ctx context.Context, startup []wire.Parameter) (*Server, error) {
	w, err := p.queueForPlace()
	if err != nil {
		return nil, err
	}
	defer p.manager.children.Done()
	if err := p.awaitPlace(ctx, w); err != nil {
		return nil, err
	}
	s, err := p.dial(ctx, startup, true)
	p.mu.Lock()
	p.policy.loggedIn(err)
	p.mu.Unlock()
	if err != nil {
		p.manager.gone.notify()
		p.capacityFreed()
		p.retry()
		return nil, err
	}
	return s, nil
}

// place is a waiter for a place of the pool's, to open a dedicated server in.
type place struct {
	Waiter
	granted chan error
}

// queueForPlace joins the queue for a place. It counts the caller among the manager's
// children, so that the manager's end waits for it.
func (p *Pool) queueForPlace() (*place, error) {
	w := &place{granted: make(chan error, 1)}
	w.Ready = func(_ *Server, err error) { w.granted <- err }
	p.mu.Lock()
	defer p.unlock()
	if p.policy.closed != nil {
		return nil, p.policy.closed
	}
	p.manager.children.Add(1)
	w.since = time.Now()
	p.policy.dedicated.push(&w.Waiter)
	p.policy.openMore()
	return w, nil
}

// awaitPlace waits until the caller may open a server.
func (p *Pool) awaitPlace(ctx context.Context, w *place) (err error) {
	var expired <-chan time.Time
	if limit := p.db.spec.Load().Defaults.QueryWaitTimeout; limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case err := <-w.granted:
		return err
	case <-expired:
		err = ErrWaitTimeout
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	queued := p.policy.dedicated.remove(&w.Waiter)
	p.policy.tryAgain() // waiters behind it may be served now
	p.unlock()
	if !queued {
		return <-w.granted // it came at the same moment
	}
	if err == ErrWaitTimeout {
		p.usage.waitTimeouts.Add(1)
	}
	return err
}

// loggedIn notes how the login of a dedicated server has ended: err gives its
// place back.
func (p *policy) loggedIn(err error) {
	p.logins--
	if err != nil {
		p.usage.failed.Add(1)
		p.places.release(false)
		return
	}
	p.usage.opened.Add(1)
}

// givePlaces gives the places that are free to those who wait for one, as
// long as nobody has waited for a server longer, and has an idle server make
// place if none is.
func (p *policy) givePlaces() {
	for p.dedicatedIsNext() && p.places.live < p.most() {
		if full := p.places.reserve(p.bounds(), false); full != nil {
			p.requestRoom(full)
			return
		}
		p.logins++
		w := p.dedicated.pop()
		p.usage.lent(w, time.Now())
		w.Ready(nil, nil)
	}
	if p.makesPlace() && len(p.idle) > 0 {
		p.endIdle(anyServer)
	}
}

// dedicatedIsNext reports whether the one who has waited longest waits for a
// place, of those who need not wait for a special server first.
func (p *policy) dedicatedIsNext() bool {
	if p.dedicated.length == 0 || p.closed != nil {
		return false
	}
	first := p.queue.head
	for first != nil && len(first.Need.opens()) > 0 && p.places.specials >= p.bounds().special {
		first = first.next
	}
	return first == nil || !first.since.Before(p.dedicated.head.since)
}

// makesPlace reports whether a server that nobody holds has to end so that a
// dedicated one can be opened. One place is made at a time.
func (p *policy) makesPlace() bool { return p.dedicatedIsNext() && p.places.left() >= p.most() }
