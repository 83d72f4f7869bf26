package proxy

import (
	"slices"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// learn takes the values that a server reports of what the client is told. It
// has just tried out the client's: these are the same in their canonical form,
// also where it had them before and so reported no change. mu is held.
func (s *session) learn(now []wire.Parameter) {
	told := slices.Clone(s.told)
	for i := range told {
		if j := index(now, told[i].Name); j >= 0 {
			told[i].Value = now[j].Value
		}
	}
	s.told = told
}

// acquireNow waits for a server during login, on the goroutine of the login.
func (s *session) acquireNow() (*pool.Server, error) {
	grants := make(chan grant, 1)
	w := pool.Waiter{Ready: func(server *pool.Server, err error) { grants <- grant{server, err} }}
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
	timer := time.NewTimer(time.Until(s.deadline))
	defer timer.Stop()
	var err error
	select {
	case g := <-grants:
		return g
	case <-timer.C:
		err = errLoginTimeout
	case <-s.stop:
		err = errShutdown
	}
	if s.pool.Leave(w) {
		return grant{nil, err}
	}
	return <-grants
}

// tryOut has a server check the parameters of a client that logs in, and
// learns their canonical values from it. The server's refusal is returned.
func (s *session) tryOut(server *pool.Server) error {
	settled := make(chan error, 1)
	s.mu.Lock()
	s.settled = settled
	s.mu.Unlock()
	if !s.attach(server) {
		return errServerLost
	}
	if len(s.setup) == 0 {
		s.settle(server)
		return nil
	}
	timer := time.AfterFunc(time.Until(s.deadline), func() { s.breakServer(server) })
	defer timer.Stop()
	server.Write(s.setup, nil)
	s.setup = nil
	return <-settled
}
