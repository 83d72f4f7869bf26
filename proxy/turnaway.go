package proxy

import (
	"io"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
)

// maxTurnedAway is how many connections may be told at once that there are too
// many. Those beyond are closed without a word.
const maxTurnedAway = 64

// turnedAwayWait is how long a connection that is turned away may take to say
// whether it can be told, and to read what it is told.
const turnedAwayWait = time.Second

var errTooManyLogins = wire.Fatal(wire.CodeTooManyConnections, "sorry, too many connections from this address are logging in (max_address_logins)").
	WithHint("Try again, or raise max_address_logins of the connection pooler.")

// LoginsByAddress returns the counts of connections that are not logged in.
func (p *Server) LoginsByAddress() guard.LoginCounts { return p.addressLogins.Counts() }

// turnAway refuses a connection whose source has too many logins, in plaintext
// and before it costs a handshake: as PostgreSQL's postmaster does it, an error
// is the answer to whatever the client asked for. One that begins with TLS can't
// read it and is closed.
func (p *Server) turnAway(conn net.Conn, first bool) {
	if first {
		p.log.Warn("too many connections from an address are logging in, more are turned away", zap.String("addr", peerName(conn)))
	}
	select {
	case p.turningAway <- struct{}{}:
	default:
		conn.Close()
		return
	}
	p.children.Go(func() {
		defer func() { <-p.turningAway }()
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(turnedAwayWait))
		begin, ok, err := engine.PeekByte(conn)
		if err != nil || ok && login.BeginsTLS(begin) {
			return
		}
		if _, err := conn.Write(errTooManyLogins.Append(nil)); err != nil {
			return
		}
		// A socket that is closed with bytes unread loses what was written.
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			c.CloseWrite()
		}
		io.CopyN(io.Discard, conn, wire.StartupLimit)
	})
}

// leastAddressLogins is the least that the default bound may be: a login ends a
// moment after its client can tell.
const leastAddressLogins = 10

// maxAddressLogins is the bound that the settings ask for.
func maxAddressLogins(c pool.Config) int {
	if c.MaxAddressLogins == nil {
		return max(leastAddressLogins, c.MaxClientConn*3/4)
	}
	return *c.MaxAddressLogins
}
