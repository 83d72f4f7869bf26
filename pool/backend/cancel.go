package backend

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// cancelTimeout bounds a CancelRequest whose context has no deadline.
const cancelTimeout = 10 * time.Second

// Cancel opens a connection of its own to the address that p's led to, secured and
// verified likewise, sends a CancelRequest with p's key, and waits until
// PostgreSQL has closed the connection, which it does after it signalled the
// backend. sent reports whether the request may have gone out: if that comes
// with an error, the backend might still be signalled later. ctx bounds it, or
// cancelTimeout if that has no deadline.
func (d *Dialer) Cancel(ctx context.Context, p *Peer, trust *tlsconf.Upstream) (sent bool, err error) {
	if p.Key == (wire.CancelKey{}) {
		return false, errors.New("server sent no cancel key")
	}
	if _, bound := ctx.Deadline(); !bound {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cancelTimeout)
		defer cancel()
	}
	conn, err := d.connect(ctx, Address{p.network, p.Addr, p.Host}, trust)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	if _, err := conn.Write(wire.AppendCancelRequest(nil, p.Key)); err != nil {
		return true, err
	}
	if _, err := conn.Read(make([]byte, 1)); !closedByPeer(err) {
		return true, errors.New("PostgreSQL did not confirm the cancel request")
	}
	return true, nil
}

// closedByPeer reports whether a read ended because the other side closed the
// connection, with or without close_notify. PostgreSQL closes a cancel
// connection without one.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}
