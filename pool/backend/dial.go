package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// A Dialer opens connections to servers. Any goroutine may use it; the zero
// value is ready.
type Dialer struct {
	Net        DialFunc         // nil: that of a net.Dialer
	Handshakes stats.Handshakes // how the TLS handshakes with servers ended

	groups groupMemory
}

// Dial opens a Conn to the first host of the target that takes it. If a
// server refused the login the error is, or wraps, its *wire.Error, and no
// further host is tried: it knows the role. The error tells of all hosts that
// were tried, each with its address.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Conn, error) {
	var errs []error
	for _, at := range t.Hosts {
		c, err := d.open(ctx, &t, at)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", at.Addr, err))
		var refused *wire.Error
		if errors.As(err, &refused) {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// Dial opens a Conn for queries of pgseal's own to the first of hosts, in the
// place of t.Hosts. ctx bounds it. An error does not tell the address; one of
// the server is a *wire.Error.
func Dial(ctx context.Context, hosts string, port int, t Target) (*Conn, error) {
	t.Startup = append(slices.Clip(t.Startup), AsPgseal)
	return new(Dialer).open(ctx, &t, Addresses(hosts, port)[0])
}

// Reach verifies a host of the target, and logs in and out there if the target
// names a role. It tries all of them and returns the error of the last.
func (d *Dialer) Reach(ctx context.Context, t Target) (err error) {
	for _, at := range t.Hosts {
		if err = d.reach(ctx, &t, at); err == nil {
			return nil
		}
	}
	return err
}

func (d *Dialer) reach(ctx context.Context, t *Target, at Address) error {
	if t.Login.User != "" {
		c, err := d.open(ctx, t, at)
		if err == nil {
			c.Close()
		}
		return err
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	conn, err := d.connect(ctx, at, t.Trust)
	if err != nil {
		return err
	}
	return conn.Close()
}

// open opens a connection to one host: transport, TLS with verification, login.
func (d *Dialer) open(ctx context.Context, t *Target, at Address) (*Conn, error) {
	began := time.Now()
	ctx, cancel := t.bound(ctx)
	defer cancel()
	conn, err := d.connect(ctx, at, t.Trust)
	if err != nil {
		return nil, err
	}
	stop := endWith(ctx, conn)
	defer stop()
	c := &Conn{transport: conn}
	if err = c.enter(t, at); err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.Took = time.Since(began)
	return c, nil
}
