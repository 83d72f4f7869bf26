package pool

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/pgseal/pgseal/internal/wire"
)

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

// Send opens a connection of its own to the host that the server's connection
// went to, with the same TLS and verification, sends the CancelRequest and
// waits until PostgreSQL has closed the connection, which it does after it
// signalled the backend. Where that can't be known, the server is given up:
// its backend might still be signalled later.
func (c Cancel) Send(ctx context.Context) error {
	s := c.server
	defer s.endCancel()
	if s.key == (wire.CancelKey{}) {
		return errors.New("the server gave no cancel key")
	}
	spec := s.pool.db.spec.Load()
	ctx, cancel := context.WithTimeout(ctx, spec.Defaults.CancelWaitTimeout)
	defer cancel()
	conn, err := s.pool.manager.connect(ctx, s.at, s.trust.Load())
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(wire.AppendCancelRequest(nil, s.key)); err != nil {
		s.Break()
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); !closedByPeer(err) {
		s.Break()
		return errors.New("PostgreSQL did not confirm the cancel request")
	}
	return nil
}

// closedByPeer reports whether a read ended because the other side closed the
// connection, with or without a farewell. PostgreSQL closes a cancel
// connection without one.
func closedByPeer(err error) bool {
	return err != nil && !isTimeout(err) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET))
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
