package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
)

// closeWait is how long a client may take to read our last message.
const closeWait = time.Second

// clientConn is a client's connection, and what is known of its client. The arrival
// sets that, each field once; user and database under the session's mu, because
// its certificate may be judged meanwhile. Others look at it after the login.
type clientConn struct {
	id           uint64
	since        time.Time
	addr         string
	local        net.Addr
	raw          *engine.Transport // the engine's, once the session is ready
	tls          *tls.Conn         // nil without TLS
	negotiation  string            // how TLS began; empty without it
	user         string
	database     string
	identity     string // that it proved: a method, a colon and a name
	method, rule string // of the access rule that decided how the client proves who it is, and its place
	key          wire.CancelKey
}

func newClientConn(id uint64, conn net.Conn) clientConn {
	return clientConn{id: id, since: time.Now(), addr: peerName(conn), local: conn.LocalAddr(), raw: engine.NewTransport(conn)}
}

// fields identifies the client in a log line.
func (c *clientConn) fields() []zap.Field {
	f := []zap.Field{zap.Uint64("client", c.id), zap.String("addr", c.addr)}
	if c.user != "" {
		f = append(f, zap.String("user", c.user), zap.String("database", c.database))
	}
	if c.tls != nil {
		f = append(f, zap.String("tls", tls.VersionName(c.tls.ConnectionState().Version)))
	}
	return f
}

// sendFinal runs send, which writes the last message on a connection that the
// engine does not have, and shuts the connection down for writing.
func (c *clientConn) sendFinal(send func()) {
	c.raw.SetDeadline(time.Now().Add(closeWait))
	send()
	if c.tls != nil {
		c.tls.CloseWrite()
	}
	c.raw.CloseWrite()
}

// drainAndClose closes such a connection so that the client can still read the
// last message: closing a socket with unread bytes in it would discard that.
func (c *clientConn) drainAndClose() {
	io.CopyN(io.Discard, c.raw, 1<<20)
	c.raw.Close()
}

func peerName(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil && a.Network() != "unix" {
		return a.String()
	}
	return "unix"
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
