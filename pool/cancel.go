package pool

import "context"

// A Cancel is a CancelRequest that may be sent to a server. While it exists,
// the server is lent to nobody but its present holder, so that the request
// can't hit the query of another client.
type Cancel struct{ server *Server }

// PrepareCancel reserves the server for a CancelRequest. The holder calls it
// while it knows that its query runs, under the lock that also guards the
// release of the server; Send must follow.
func (s *Server) PrepareCancel() Cancel {
	s.beginCancel()
	return Cancel{s}
}

// Send sends the CancelRequest and waits until PostgreSQL has confirmed it. Where
// it can't be known whether it came, the server is given up: its backend might
// still be signalled later.
func (c Cancel) Send(ctx context.Context) error {
	s := c.server
	defer s.endCancel()
	ctx, cancel := context.WithTimeout(ctx, s.pool.db.spec.Load().Defaults.CancelWaitTimeout)
	defer cancel()
	sent, err := s.pool.manager.dialer.Cancel(ctx, &s.Peer, s.trust.Load())
	if sent && err != nil {
		s.Break()
	}
	return err
}
