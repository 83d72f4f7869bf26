package proxy

import (
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// acquire takes a server from the pool, or waits for one in its queue.
func (s *session) acquire() (*pool.Server, error) {
	server, err := s.pool.Acquire(&s.waiter)
	if server != nil || err != nil {
		return server, err
	}
	s.setWaiting(true)
	defer s.setWaiting(false)
	if s.isGreeted() {
		g := <-s.grants
		return g.server, g.err
	}
	timer := time.NewTimer(time.Until(s.since.Add(s.proxy.settings.Load().Pool.ClientLoginTimeout)))
	defer timer.Stop()
	select {
	case g := <-s.grants:
		return g.server, g.err
	case <-timer.C:
		s.stopWaiting(errLoginTimeout)
		g := <-s.grants
		return g.server, g.err
	}
}

// stopWaiting makes acquire return err, unless it is about to return anyway.
func (s *session) stopWaiting(err error) {
	if s.pool.Leave(&s.waiter) {
		s.grants <- grant{err: err}
	}
}

func (s *session) setWaiting(waiting bool) {
	s.mu.Lock()
	s.waiting = waiting
	s.mu.Unlock()
}

func (s *session) isGreeted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greeted
}

// link gets a server for what the client is about to send.
func (s *session) link() error {
	for {
		server, err := s.acquire()
		if err != nil {
			return err
		}
		var ok bool
		if s.setup, ok = s.attach(server); ok {
			return nil
		}
	}
}

// attach makes server the session's, and returns the message that gives it the
// session's parameters, empty where it has them. It reports false where the
// server died on the way; it is discarded then.
func (s *session) attach(server *pool.Server) (setup []byte, ok bool) {
	s.mu.Lock()
	var set []wire.Parameter
	var reset []string
	server.ViewParameters(func(now []wire.Parameter) {
		set, reset = difference(now, server.Applied, s.told, s.extra)
	})
	if i := index(set, "DateStyle"); i >= 0 && !s.greeted {
		// "German" alone completes itself from the value in force, which must
		// not be that of another client.
		reset = append(reset, set[i].Name)
	}
	ours := 0
	if len(set)+len(reset) > 0 {
		setup = wire.AppendQuery(nil, setQuery(set, reset))
		server.Applied = append(server.Applied[:0], s.extra...)
		ours = 1
	}
	s.server, s.reset, s.rolledBack = server, false, false
	s.relay.link(ours)
	s.mu.Unlock()
	if server.SetLink(s) {
		return setup, true
	}
	s.mu.Lock()
	s.server = nil
	s.relay.unlink()
	s.mu.Unlock()
	s.pool.Discard(server)
	return nil, false
}

// tryOut has a server check the parameters of a client that logs in, and
// learns their canonical values from it. The server's refusal is returned.
func (s *session) tryOut(server *pool.Server) error {
	settled := make(chan error, 1)
	s.mu.Lock()
	s.settled = settled
	s.mu.Unlock()
	setup, ok := s.attach(server)
	if !ok {
		return errServerLost
	}
	if len(setup) == 0 {
		s.settle(server)
		return nil
	}
	deadline := s.since.Add(s.proxy.settings.Load().Pool.ClientLoginTimeout)
	timer := time.AfterFunc(time.Until(deadline), func() { s.breakServer(server) })
	defer timer.Stop()
	server.Write(setup)
	return <-settled
}

// ServerBytes implements pool.Link.
func (s *session) ServerBytes(server *pool.Server, b []byte) (used int) {
	defer func() {
		if r := recover(); r != nil {
			s.proxy.log.Error("panic in a session", append(s.fields(), zap.Any("panic", r), zap.Stack("stack"))...)
			used = len(b)
			s.abort()
		}
	}()
	used, err := s.passToClient(b)
	if err != nil {
		s.fail(server, err)
		return len(b)
	}
	s.settle(server)
	return used
}

// passToClient steps through what the server sent.
func (s *session) passToClient(b []byte) (used int, failure *wire.Error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	for {
		st, mute := s.stepServer(b[used:])
		used += st.used
		if len(st.pass) > 0 && !mute {
			if _, err := s.conn.Write(st.pass); err != nil {
				s.clientLost()
			}
		}
		switch {
		case st.verdict == failed:
			return used, st.err
		case st.verdict == needMore, used == len(b):
			return used, nil
		}
	}
}

func (s *session) stepServer(b []byte) (st step, mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.relay.fromServer(b, s.onParam), s.broken || !s.greeted || s.end != nil
}

// parameter notes a ParameterStatus. mu is held.
func (s *session) parameter(body []byte) {
	p, err := wire.ParseParameterStatus(body)
	if err != nil {
		return
	}
	s.server.SetParameter(p)
	if s.relay.left {
		return
	}
	if i := index(s.told, p.Name); i >= 0 {
		s.told[i].Value = p.Value
	} else {
		s.told = append(s.told, p)
	}
}

// learn takes the values that a server reports of what the client is told. It
// has just tried out the client's: these are the same in their canonical form,
// also where it had them before and so reported no change. mu is held.
func (s *session) learn(now []wire.Parameter) {
	for i := range s.told {
		if j := index(now, s.told[i].Name); j >= 0 {
			s.told[i].Value = now[j].Value
		}
	}
}

// settle gives the server back where the session needs it no longer, or sends
// the next query that has to run before it may.
func (s *session) settle(server *pool.Server) {
	s.mu.Lock()
	if s.server != server || server == nil {
		s.mu.Unlock()
		return
	}
	query, release := s.next()
	if query != "" {
		s.relay.ours++
	}
	if release {
		if s.settled != nil {
			server.ViewParameters(s.learn)
		}
		s.relay.unlink()
		s.server = nil
		if s.leaveTimer != nil {
			s.leaveTimer.Stop()
		}
	}
	wake := s.draining && s.greeted && (release || s.relay.atRest())
	settled := s.settled
	if release {
		s.settled = nil
	}
	s.mu.Unlock()
	if query != "" {
		server.Write(wire.AppendQuery(nil, query))
	}
	if release {
		s.pool.Release(server)
		if settled != nil {
			settled <- nil
		}
	}
	if wake {
		s.poke()
	}
}

// next says what is to become of a server that is held. mu is held.
func (s *session) next() (query string, release bool) {
	switch {
	case !s.relay.quiet():
		return "", false
	case !s.relay.left:
		return "", s.relay.atRest() && (!s.greeted || s.db.Mode() == pool.TransactionMode)
	}
	reset := ""
	if s.db.Mode() == pool.SessionMode && !s.reset {
		reset = s.db.ResetQuery()
	}
	query = s.relay.clean(reset)
	switch {
	case query == "":
		return "", true
	case s.relay.status != wire.StatusIdle && s.rolledBack:
		s.server.Break() // it would not let go of its transaction
		return "", false
	case s.relay.status != wire.StatusIdle:
		s.rolledBack = true
	default:
		s.reset = true
		s.server.Applied = nil
	}
	return query, false
}

// ServerClosed implements pool.Link.
func (s *session) ServerClosed(server *pool.Server, err error) {
	s.mu.Lock()
	if s.server != server {
		s.mu.Unlock()
		return
	}
	if s.end == nil {
		s.end = errServerLost.WithCause(err)
		if s.relay.fatalSeen() {
			s.end = errServerSaid
		}
	}
	// What the client got of a message stays torn: betweenMessages looks at
	// the relay, which is left as it is.
	s.server = nil
	settled, end := s.settled, s.end
	s.settled = nil
	s.mu.Unlock()
	s.pool.Discard(server)
	if settled != nil {
		settled <- end
	}
	s.poke()
}

// fail ends the session, and the server it holds, for what the server sent.
func (s *session) fail(server *pool.Server, err *wire.Error) {
	s.mu.Lock()
	if s.end == nil {
		s.end = err
	}
	s.relay.doubt = true
	s.mu.Unlock()
	server.Break()
}

// clientLost notes that nothing reaches the client any more.
func (s *session) clientLost() {
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	s.raw.Close()
}
