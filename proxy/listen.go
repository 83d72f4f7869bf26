package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// overflow is how many connections beyond max_client_conn may be in their
// login at once: they get an error, or send a CancelRequest.
const overflow = 64

// Listener is an address that is listened on.
type Listener struct {
	server *Server
	net    net.Listener
	policy atomic.Pointer[policy]
	expiry expiry
}

// policy is what may change of a Listener while it listens.
type policy struct {
	login.Policy
	ends bool // without TLS: what endsInvalidClients says
}

// listeners are the addresses that a Server listens on. Any goroutine may use
// them; the zero value is ready.
type listeners struct {
	accepting sync.WaitGroup // the goroutines of accept

	mu     sync.Mutex
	list   []*Listener
	closed bool // they no longer accept
	ended  bool // and there will be no others
}

// add has l accept from now on, and reports false if it is too late.
func (s *listeners) add(l *Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.list = append(s.list, l)
	s.accepting.Go(l.accept)
	return true
}

// close stops accepting. forGood says that none is to be added either.
func (s *listeners) close(forGood bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.ended = true, s.ended || forGood
	for _, l := range s.list {
		l.net.Close()
		if forGood {
			l.expiry.close()
		}
	}
}

// open reports whether connections are accepted.
func (s *listeners) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list) > 0 && !s.closed
}

// Listen opens an address and serves it from goroutines of its own until
// Shutdown. store is nil if the address speaks no TLS.
func (p *Server) Listen(c ListenConfig, store *reload.Store[*tlsconf.Listener]) (*Listener, error) {
	network, address := c.Network()
	if network == "unix" {
		if err := removeStaleSocket(address); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		// As with PostgreSQL, the permissions of the directory say who may
		// connect, and authentication who may log in.
		if err := os.Chmod(address, 0o777); err != nil {
			ln.Close()
			return nil, err
		}
	}
	l := &Listener{server: p, net: ln}
	l.Configure(c.TLS.Mode, store)
	if !p.listeners.add(l) {
		ln.Close()
		return nil, net.ErrClosed
	}
	return l, nil
}

// Addr returns where the listener listens, with the port the system chose.
func (l *Listener) Addr() net.Addr { return l.net.Addr() }

// removeStaleSocket removes the socket of a process that ended without doing
// so, and returns an error if a process still listens.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing there, or listening will say what is wrong
	}
	if info.Mode()&os.ModeSocket == 0 {
		return errors.New("file exists and is not a socket")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another process is listening on the socket")
	}
	return os.Remove(path)
}

// accept takes connections until the listener closes. A shortage of file
// descriptors passes: it waits and goes on.
func (l *Listener) accept() {
	const longest = time.Second
	pause := 5 * time.Millisecond
	for {
		conn, err := l.net.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.server.log.Error("could not accept new connection", zap.Error(err))
			time.Sleep(pause)
			pause = min(2*pause, longest)
			continue
		}
		pause = 5 * time.Millisecond
		l.admit(conn)
	}
}

// admit has a connection served, unless there are too many.
func (l *Listener) admit(conn net.Conn) {
	p := l.server
	source := guard.SourceOf(conn.RemoteAddr())
	if begun, first := p.guards.addresses.Begin(source); !begun {
		l.reject(conn, first)
		return
	}
	n := p.sessions.connected.Add(1)
	limit := int64(p.settings.Load().Pool.MaxClientConn)
	if n > limit+overflow {
		p.sessions.connected.Add(-1)
		p.guards.addresses.End(source)
		p.counters.logins.Inc(login.OutcomeTooMany)
		conn.Close()
		return
	}
	p.children.Go(func() {
		defer p.guards.addresses.End(source)
		p.serve(l, conn, n > limit)
	})
}

// maxRejecting is how many connections may be sent an error at once because there
// are too many. Those beyond are closed without one.
const maxRejecting = 64

// rejectWait is how long a connection that is rejected may take to show whether it
// can read an error, and to read it.
const rejectWait = time.Second

var errTooManyLogins = wire.Fatal(wire.CodeTooManyConnections, "too many logins in progress from this address (max_address_logins)").
	WithHint("Try again, or raise max_address_logins of the connection pooler.")

// guards bound who may try to log in, and how often.
type guards struct {
	handshakes *guard.HandshakeLimiter
	addresses  *guard.LoginLimiter
	failed     *guard.FailedLoginLimiter
	rejecting  chan struct{} // holds one for each connection that is being rejected
}

func newGuards() guards {
	return guards{guard.NewHandshakeLimiter(), guard.NewLoginLimiter(), guard.NewFailedLoginLimiter(), make(chan struct{}, maxRejecting)}
}

// configure sets the limits.
func (g *guards) configure(c pool.Config, auth login.Config) {
	g.handshakes.SetLimit(c.MaxHandshakes)
	g.addresses.SetLimit(maxAddressLogins(c))
	g.failed.SetLimits(auth.MaxFailedPerSource, auth.MaxFailedPerRole)
}

// reject sends an error to a connection whose source has too many logins, in plaintext
// and before it costs a handshake: as PostgreSQL's postmaster does it, an error
// is the answer to whatever the client asked for. One that begins with TLS can't
// read it and is closed.
func (l *Listener) reject(conn net.Conn, first bool) {
	p := l.server
	if first {
		p.log.Warn("too many logins in progress from an address, rejecting more", zap.String("addr", peerName(conn)))
	}
	select {
	case p.guards.rejecting <- struct{}{}:
	default:
		conn.Close()
		return
	}
	p.children.Go(func() {
		defer func() { <-p.guards.rejecting }()
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(rejectWait))
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
