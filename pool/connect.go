package pool

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
	tls      *tls.Conn     // nil without TLS
	took     time.Duration // the TLS handshake
}

// Close closes the connection without TLS's farewell, which may block for five
// seconds on a peer that does not read.
func (t *transport) Close() error { return t.raw.Close() }

// dialFunc opens a connection, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// connect opens a connection to a server and secures it as trust demands,
// with the key exchange that the server took before.
func (m *Manager) connect(ctx context.Context, at address, trust *tlsconf.Upstream) (*transport, error) {
	if trust.Groups() != nil {
		return m.tryConnect(ctx, at, trust, 0)
	}
	group := m.groups.recall(at.addr)
	t, err := m.tryConnect(ctx, at, trust, group)
	if err != nil && group != 0 && refusedOffer(err) {
		m.groups.forget(at.addr)
		group = 0
		t, err = m.tryConnect(ctx, at, trust, group)
	}
	if err == nil && t.tls != nil && group == 0 {
		m.groups.learn(at.addr, t.tls.ConnectionState())
	}
	return t, err
}

// tryConnect is connect, and counts the handshake.
func (m *Manager) tryConnect(ctx context.Context, at address, trust *tlsconf.Upstream, group tls.CurveID) (*transport, error) {
	t, err := connect(ctx, m.dialer, at, trust, group)
	var handshake *handshakeError
	switch {
	case err == nil && t.tls != nil:
		m.handshakes.Done(t.tls.ConnectionState(), t.took)
	case errors.As(err, &handshake):
		m.handshakes.Failed(stats.HandshakeFailed)
	}
	return t, err
}

// Handshakes returns how the TLS handshakes with servers ended.
func (m *Manager) Handshakes() stats.HandshakeTotals { return m.handshakes.Read() }

// handshakeError is a TLS handshake with a server that failed, or that what
// came of it is not what was asked for.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// connect opens a connection to addr and secures it as trust demands. Nothing
// but an SSLRequest is sent before the server is verified. A group that is not
// zero is the only key exchange offered. The caller bounds it by ctx.
func connect(ctx context.Context, dial dialFunc, addr address, trust *tlsconf.Upstream, group tls.CurveID) (*transport, error) {
	conn, err := dial(ctx, addr.network, addr.addr)
	if err != nil {
		return nil, err
	}
	t := &transport{raw: engine.NewTransport(conn)}
	t.Conn = t.raw
	if trust.Mode() == tlsconf.SSLModeDisable {
		return t, nil
	}
	if t.tls, t.took, err = secure(ctx, t.raw, addr.host, trust, group); err != nil {
		conn.Close()
		return nil, err
	}
	t.Conn = t.tls
	return t, nil
}

// secure runs SSLRequest, unless trust has it begin with TLS, and the TLS
// handshake on a new connection (PostgreSQL documentation, "SSL Session
// Encryption").
func secure(ctx context.Context, raw *engine.Transport, host string, trust *tlsconf.Upstream, group tls.CurveID) (_ *tls.Conn, took time.Duration, _ error) {
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if !trust.Direct() {
		if err := askForTLS(raw, trust.Mode()); err != nil {
			return nil, 0, err
		}
	}
	config := trust.ClientConfig(host)
	if group != 0 {
		config.CurvePreferences = []tls.CurveID{group}
	}
	began := time.Now()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, 0, &handshakeError{fmt.Errorf("TLS handshake: %w", err)}
	}
	if err := trust.Assert(host, conn.ConnectionState()); err != nil {
		return nil, 0, &handshakeError{err}
	}
	return conn, time.Since(began), nil
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
		return fmt.Errorf("the server does not offer TLS, and sslmode %s demands it", mode)
	case wire.ErrorResponse:
		// Its text is not shown: it came over an unverified connection.
		return errors.New("the server answered SSLRequest with an error")
	default:
		return fmt.Errorf("the server answered SSLRequest with byte 0x%02x", answer[0])
	}
	if engine.HasUnread(raw) {
		return errors.New("the server sent unencrypted data after its answer to SSLRequest")
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
