package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// transport is a connection to a server: raw, and TLS on it unless the
// configuration does without.
type transport struct {
	net.Conn // what is spoken through
	raw      *engine.Transport
	tls      *tls.Conn // nil without TLS
}

// Close closes the connection without TLS's close_notify, which may block for five
// seconds on a peer that does not read.
func (t *transport) Close() error { return t.raw.Close() }

// endWith has reads and writes fail when ctx ends, until stop is called. stop
// reports false if it was too late for that.
func endWith(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}

// connect opens a connection to a server and secures it as trust demands, with
// the key exchange that the server took before. The caller bounds it by ctx.
func (d *Dialer) connect(ctx context.Context, at Address, trust *tlsconf.Upstream) (*transport, error) {
	if trust.Groups() != nil {
		return d.offer(ctx, at, trust, 0)
	}
	id := peerID{at.Addr, trust.Verification()}
	group := d.groups.recall(id)
	t, err := d.offer(ctx, at, trust, group)
	if err != nil && group != 0 && refusedOffer(err) {
		d.groups.forget(id)
		group = 0
		t, err = d.offer(ctx, at, trust, group)
	}
	if err == nil && t.tls != nil && group == 0 {
		d.groups.learn(id, t.tls.ConnectionState())
	}
	return t, err
}

// offer is connect with one offer: a group that is not zero is the only key
// exchange offered. Nothing but an SSLRequest is sent before the server is
// verified.
func (d *Dialer) offer(ctx context.Context, at Address, trust *tlsconf.Upstream, group tls.CurveID) (*transport, error) {
	dial := d.Net
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, at.Network, at.Addr)
	if err != nil {
		return nil, err
	}
	t := &transport{raw: engine.NewTransport(conn)}
	t.Conn = t.raw
	if trust.Mode() == tlsconf.SSLModeDisable {
		return t, nil
	}
	if err := d.secure(ctx, t, at.Host, trust, group); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// secure runs SSLRequest, unless trust has it begin with TLS, and the TLS
// handshake on a new connection (PostgreSQL documentation, "SSL Session
// Encryption").
func (d *Dialer) secure(ctx context.Context, t *transport, host string, trust *tlsconf.Upstream, group tls.CurveID) error {
	defer endWith(ctx, t.raw)()
	if !trust.Direct() {
		if err := askForTLS(t.raw, trust.Mode()); err != nil {
			return err
		}
	}
	config := trust.ClientConfig(host)
	if group != 0 {
		config.CurvePreferences = []tls.CurveID{group}
	}
	began := time.Now()
	conn := tls.Client(t.raw, config)
	err := conn.HandshakeContext(ctx)
	if err != nil {
		err = fmt.Errorf("TLS handshake: %w", err)
	} else {
		err = trust.Assert(host, conn.ConnectionState())
	}
	if err != nil {
		d.Handshakes.Failed(stats.HandshakeFailed)
		return err
	}
	d.Handshakes.Done(conn.ConnectionState(), time.Since(began))
	t.Conn, t.tls = conn, conn
	return nil
}

// askForTLS sends an SSLRequest and takes no answer but yes. The answer is read
// as exactly one byte, so bytes that somebody put behind it reach the
// handshake, which fails on them, and never the session.
func askForTLS(raw *engine.Transport, mode string) error {
	if _, err := raw.Write(wire.AppendRequest(nil, wire.SSLRequestCode)); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(raw, answer[:]); err != nil {
		return fmt.Errorf("no answer to SSLRequest: %w", err)
	}
	switch answer[0] {
	case 'S':
	case 'N':
		return fmt.Errorf("server does not support SSL, but SSL was required (sslmode %s)", mode)
	case wire.ErrorResponse:
		// Its text is not shown: it came over an unverified connection.
		return errors.New("server sent an error response during SSL exchange")
	default:
		return fmt.Errorf("received invalid response to SSL negotiation: 0x%02x", answer[0])
	}
	if engine.HasUnread(raw) {
		return errors.New("received unencrypted data after SSL response")
	}
	return nil
}

// binding is what a login over this connection can be bound to.
func (t *transport) binding(trust *tlsconf.Upstream) auth.ChannelBinding {
	b := auth.ChannelBinding{Policy: trust.ChannelBinding()}
	if t.tls != nil {
		b.TLS = true
		b.EndpointHash = tlsconf.EndpointHash(t.tls.ConnectionState().PeerCertificates[0])
	}
	return b
}
