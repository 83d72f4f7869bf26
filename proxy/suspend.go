package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

// flushEvery is how often Suspend looks whether all has been sent.
const flushEvery = 10 * time.Millisecond

var errSuspended = &wire.Error{Severity: "ERROR", Code: wire.CodeNotInState, Message: "already suspended/paused"}

// suspension is whether the Server is suspended. The zero value is ready for
// use, by any goroutine.
type suspension struct {
	mu   sync.Mutex
	over chan struct{} // is closed at its end; nil: there is none
}

// ending returns what is closed at the end of the suspension, nil if there
// is none.
func (n *suspension) ending() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.over
}

// Suspend has nothing read of clients and servers until Unsuspend, and returns
// when all that was read before has been sent on. Clients that log in wait
// meanwhile, but for the console's. If ctx ends first it is undone.
func (p *Server) Suspend(ctx context.Context) error {
	n := &p.suspension
	n.mu.Lock()
	if n.over != nil {
		n.mu.Unlock()
		return errSuspended
	}
	n.over = make(chan struct{})
	p.engine.Suspend()
	n.mu.Unlock()
	for p.engine.Unsent() > 0 {
		select {
		case <-time.After(flushEvery):
		case <-ctx.Done():
			p.Unsuspend()
			return ctx.Err()
		}
	}
	return nil
}

// Unsuspend undoes Suspend, and reports false if there is nothing to undo.
func (p *Server) Unsuspend() bool {
	n := &p.suspension
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over == nil {
		return false
	}
	p.engine.Resume()
	close(n.over)
	n.over = nil
	return true
}

// Suspended reports whether Suspend is in force.
func (p *Server) Suspended() bool { return p.suspension.ending() != nil }

// await holds up a login while the Server is suspended, on the login's goroutine.
func (n *suspension) await(in *login.Login) error {
	over := n.ending()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-in.Context().Done():
		return context.Cause(in.Context())
	}
}
