package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/pgseal/pgseal/internal/engine"
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

// Close closes the connection without TLS's farewell, which may block for five
// seconds on a peer that does not read.
func (t *transport) Close() error { return t.raw.Close() }

// dialFunc opens a connection, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// connect opens a connection to addr and secures it as trust demands. Nothing
// but an SSLRequest is sent before the server is verified. The caller bounds
// it by ctx.
func connect(ctx context.Context, dial dialFunc, addr address, trust *tlsconf.Upstream) (*transport, error) {
	conn, err := dial(ctx, addr.network, addr.addr)
	if err != nil {
		return nil, err
	}
	t := &transport{raw: engine.NewTransport(conn)}
	t.Conn = t.raw
	if trust.Mode() == "disable" {
		return t, nil
	}
	if t.tls, err = secure(ctx, t.raw, addr.host, trust); err != nil {
		conn.Close()
		return nil, err
	}
	t.Conn = t.tls
	return t, nil
}

// secure runs SSLRequest and the TLS handshake on a new connection (PostgreSQL
// documentation, "SSL Session Encryption"). The answer is read as exactly one
// byte, so bytes that somebody put behind it reach the handshake, which fails
// on them, and never the session.
func secure(ctx context.Context, raw *engine.Transport, host string, trust *tlsconf.Upstream) (*tls.Conn, error) {
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := raw.Write(wire.AppendRequest(nil, wire.SSLRequestCode)); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(raw, answer[:]); err != nil {
		return nil, fmt.Errorf("no answer to SSLRequest: %w", err)
	}
	switch answer[0] {
	case 'S':
	case 'N':
		return nil, fmt.Errorf("the server does not offer TLS, and sslmode %s demands it", trust.Mode())
	case wire.ErrorResponse:
		// Its text is not shown: it came over an unverified connection.
		return nil, errors.New("the server answered SSLRequest with an error")
	default:
		return nil, fmt.Errorf("the server answered SSLRequest with byte 0x%02x", answer[0])
	}
	if engine.HasUnread(raw) {
		return nil, errors.New("the server sent unencrypted data after its answer to SSLRequest")
	}
	conn := tls.Client(raw, trust.ClientConfig(host))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if err := trust.Assert(host, conn.ConnectionState()); err != nil {
		return nil, err
	}
	return conn, nil
}
