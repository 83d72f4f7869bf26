package proxy

import (
	"context"
	"time"

	"github.com/pgseal/pgseal/pool"
)

// acquireNow waits for a server during login, on the goroutine of the login.
func (s *session) acquireNow() (*pool.Server, error) {
	grants := make(chan grant, 1)
	w := pool.Waiter{Need: &s.need, Ready: func(server *pool.Server, err error) { grants <- grant{server, err} }}
	server, err := s.pool.Acquire(&w)
	if server != nil || err != nil {
		return server, err
	}
	g := s.awaitNow(&w, grants)
	s.mu.Lock()
	s.totals.waited += w.Waited
	s.mu.Unlock()
	s.tellWait(&w, waitOutcome(g.err), g.err)
	return g.server, g.err
}

// awaitNow waits until w has got something, or the login has to end.
func (s *session) awaitNow(w *pool.Waiter, grants <-chan grant) grant {
	ctx := s.login.Context()
	select {
	case g := <-grants:
		return g
	case <-ctx.Done():
	}
	if s.pool.Leave(w) {
		return grant{nil, context.Cause(ctx)}
	}
	return <-grants
}

// tryOut has a server check the parameters of a client that logs in, and tells
// the relay their canonical values. The server's refusal is returned; again says
// that it is to be tried on one that nobody was lent.
func (s *session) tryOut(server *pool.Server) (again bool, err error) {
	settled := make(chan error, 1)
	s.mu.Lock()
	s.settled = settled
	s.relay.Try()
	s.mu.Unlock()
	if !s.attach(server) {
		return false, errServerLost
	}
	if len(s.setup) == 0 {
		s.settle(server)
	} else {
		timer := time.AfterFunc(time.Until(s.login.Deadline()), func() { s.breakServer(server) })
		defer timer.Stop()
		server.Write(s.setup, nil)
		s.setup = nil
	}
	err = <-settled
	s.mu.Lock()
	defer s.mu.Unlock()
	return err == nil && s.relay.Tries(), err
}
