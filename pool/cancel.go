package pool

import "context"

// A Cancel is a CancelRequest that may be sent to a server. While it exists,
// the server is lent to no other client, so that the request
// can't hit the query of another client.
type Cancel struct{ server *Server }

// PrepareCancel reserves the server for a CancelRequest. The holder calls it
// while it knows that its query runs, under the lock that also guards the
// release of the server; Send must follow.
func (s *Server) PrepareCancel() Cancel {
	s.mu.Lock()
	s.cancels.underWay++
	s.mu.Unlock()
	s.pool.cancels.Add(1)
	return Cancel{s}
}

// Send sends the CancelRequest and waits until PostgreSQL has confirmed it. If
// it can't be known whether it came, the server is given up: its backend might
// still be signalled later.
func (c Cancel) Send(ctx context.Context) error {
	s := c.server
	defer c.end()
	ctx, cancel := context.WithTimeout(ctx, s.pool.db.spec.Load().Defaults.CancelWaitTimeout)
	defer cancel()
	sent, err := s.pool.manager.dialer.Cancel(ctx, &s.Peer, s.origin.trust.Load())
	if sent && err != nil {
		s.Break()
	}
	return err
}

// end undoes PrepareCancel and runs what waited for it.
func (c Cancel) end() {
	s := c.server
	s.mu.Lock()
	how := s.cancels.end()
	s.mu.Unlock()
	s.pool.cancels.Add(-1)
	if how != notReturned {
		s.pool.awaitingCancel.Add(-1)
	}
	s.pool.takeBack(s, how)
}

// cancels counts the CancelRequests for a server that are under way. Until the last
// has ended no other client gets the server, because a request could hit it. mu of the
// server guards it.
type cancels struct {
	underWay int
	then     returned // what waits for them to end
}

// end notes that one has ended, and returns what waited for it.
func (c *cancels) end() (how returned) {
	if c.underWay--; c.underWay == 0 {
		how, c.then = c.then, notReturned
	}
	return how
}
