package pool

import (
	"context"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// OpenDedicated opens a server that is the caller's own: its startup packet bears
// startup beside the role and the database, and it is lent to nobody else. It
// takes one of the pool's places. Where all are taken an idle server gives way,
// or the caller waits for its turn among those who wait for a server, for
// query_wait_timeout at most. Release and Discard end the server.
//
// While the database is paused nobody gets one: who logs in meanwhile waits again.
// So he does where what the server was verified by, or where it leads, has changed
// meanwhile.
//
// It blocks until ctx ends, so it may not be called on an event loop. Its
// errors are those of Acquire and of the server; where ctx ended, what it
// returns means no more than that.
func (p *Pool) OpenDedicated(ctx context.Context, startup []wire.Parameter) (*Server, error) {
	for {
		s, err := p.openDedicated(ctx, startup)
		if err != nil {
			return nil, err
		}
		why := p.overtaken(s)
		if p.paused() {
			why = ClosedPaused
		}
		if why == "" {
			return s, nil
		}
		s.setFate(why)
		p.Discard(s)
	}
}

func (p *Pool) openDedicated(ctx context.Context, startup []wire.Parameter) (*Server, error) {
	if err := p.takePlace(ctx); err != nil {
		return nil, err
	}
	defer p.manager.children.Done()
	s, conn, err := p.manager.dial(ctx, p.db, p.login, startup)
	p.loggedIn()
	if err != nil {
		p.usage.failed.Add(1)
		p.leavePlace()
		return nil, err
	}
	p.usage.opened.Add(1)
	s.pool, s.dedicated, s.State = p, true, p.manager.newState(nil)
	p.mu.Lock()
	p.servers[s] = struct{}{}
	p.mu.Unlock()
	p.manager.adopt(s, conn)
	return s, nil
}

// takePlace waits until the caller may open a server. It holds on to the
// manager's children then, so that the manager's end waits for the caller.
func (p *Pool) takePlace(ctx context.Context) error {
	granted := make(chan error, 1)
	w := &Waiter{Ready: func(_ *Server, err error) { granted <- err }, since: time.Now()}
	p.mu.Lock()
	if p.closed != nil {
		p.mu.Unlock()
		return p.closed
	}
	p.dedicated.push(w)
	p.openMore()
	p.mu.Unlock()
	var expired <-chan time.Time
	if limit := p.db.spec.Load().Defaults.QueryWaitTimeout; limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	var err error
	select {
	case err := <-granted:
		return err
	case <-expired:
		err = ErrWaitTimeout
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	queued := p.dedicated.remove(w)
	p.tryAgain() // who stood behind it may be served now
	p.mu.Unlock()
	if queued {
		if err == ErrWaitTimeout {
			p.usage.waitTimeouts.Add(1)
		}
		return err
	}
	return <-granted // it came at the same moment
}

// loggedIn notes that a login of a client's own server has ended.
func (p *Pool) loggedIn() {
	p.mu.Lock()
	p.logins--
	p.mu.Unlock()
}

// leavePlace gives back a place that no server came to.
func (p *Pool) leavePlace() {
	p.mu.Lock()
	p.unclaim()
	p.mu.Unlock()
	p.manager.gone.ring()
	p.roomMade()
	p.retry()
}

// givePlaces gives the places that are free to those who wait for one, as
// long as nobody has waited for a server longer, and has an idle server make
// place where none is. mu is held.
func (p *Pool) givePlaces() {
	for p.dedicatedIsNext() && p.live < p.most() {
		if full := p.claim(); full != nil {
			p.wantRoom(full)
			return
		}
		p.manager.children.Add(1)
		p.logins++
		w := p.dedicated.pop()
		p.lent(w, time.Now())
		w.Ready(nil, nil)
	}
	if p.makesPlace() && len(p.idle) > 0 {
		p.endIdle(func(*Server) bool { return true })
	}
}

// dedicatedIsNext reports whether the one who has waited longest waits for a
// place, of those who need not wait for a special server first. mu is held.
func (p *Pool) dedicatedIsNext() bool {
	if p.dedicated.length == 0 || p.closed != nil {
		return false
	}
	first := p.queue.head
	for first != nil && len(first.Need.opens()) > 0 && p.specials >= p.bounds().special {
		first = first.next
	}
	return first == nil || !first.since.Before(p.dedicated.head.since)
}

// makesPlace reports whether a server that nobody holds has to end so that
// somebody can open his own. One place is made at a time. mu is held.
func (p *Pool) makesPlace() bool { return p.dedicatedIsNext() && p.live-p.closing >= p.most() }
