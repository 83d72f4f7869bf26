package proxy

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// maxTurnedAway is how many connections may be told at once that there are too
// many. Those beyond are closed without a word.
const maxTurnedAway = 64

// turnedAwayWait is how long a connection that is turned away may take to say
// whether it can be told, and to read what it is told.
const turnedAwayWait = time.Second

var errTooManyLogins = wire.Fatal(wire.CodeTooManyConnections, "sorry, too many connections from this address are logging in (max_address_logins)").
	WithHint("Try again, or raise max_address_logins of the connection pooler.")

// logins counts the connections of each source that are not logged in yet, so
// that one of them can't take all places that max_client_conn has. Unix sockets
// are not counted: who reaches those is on this machine.
type logins struct {
	mu       sync.Mutex
	limit    int // zero: none
	bySource map[netip.Prefix]*sourceLogins
	telling  int // connections that are being turned away
	turned   uint64
	running  int
}

// sourceLogins is what one source has.
type sourceLogins struct {
	running int
	told    bool // the log has a line about the source, since it had no login
}

// LoginStats counts the connections that are not logged in.
type LoginStats struct {
	// Running are at this moment between connecting and being logged in.
	Running int
	// TurnedAway were refused since the start because their address had
	// max_address_logins of them.
	TurnedAway uint64
}

func newLogins() *logins { return &logins{bySource: map[netip.Prefix]*sourceLogins{}} }

func (l *logins) setLimit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = n
}

// enter counts a connection, which leave must follow. first is set where it is
// refused and the source's refusals were not told yet.
func (l *logins) enter(source netip.Prefix) (entered, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.bySource[source]
	if s == nil {
		s = &sourceLogins{}
		l.bySource[source] = s
	}
	if l.limit > 0 && source.IsValid() && s.running >= l.limit {
		l.turned++
		first, s.told = !s.told, true
		return false, first
	}
	s.running++
	l.running++
	return true, false
}

// leave ends what enter began.
func (l *logins) leave(source netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	s := l.bySource[source]
	if s.running--; s.running == 0 {
		delete(l.bySource, source)
	}
}

// tell asks for one of the places of those that are being turned away.
func (l *logins) tell() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.telling >= maxTurnedAway {
		return false
	}
	l.telling++
	return true
}

func (l *logins) told() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.telling--
}

// Logins returns the counts as they are now.
func (p *Server) Logins() LoginStats {
	p.logins.mu.Lock()
	defer p.logins.mu.Unlock()
	return LoginStats{Running: p.logins.running, TurnedAway: p.logins.turned}
}

// turnAway refuses a connection whose source has too many logins, in plaintext
// and before it costs a handshake: as PostgreSQL's postmaster does it, an error
// is the answer to whatever the client asked for. One that begins with TLS can't
// read it and is closed.
func (p *Server) turnAway(conn net.Conn, first bool) {
	if first {
		p.log.Warn("too many connections from an address are logging in, more are turned away", zap.String("addr", peerName(conn)))
	}
	if !p.logins.tell() {
		conn.Close()
		return
	}
	p.children.Go(func() {
		defer p.logins.told()
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(turnedAwayWait))
		begin, ok, err := engine.PeekByte(conn)
		if err != nil || ok && begin == tlsHandshake {
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
	if c.MaxAddressLogins < 0 {
		return max(leastAddressLogins, c.MaxClientConn*3/4)
	}
	return c.MaxAddressLogins
}
