package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
	"github.com/pgseal/pgseal/tlsconf"
)

// closeWait is how long a client may take to read our last words.
const closeWait = time.Second

// overflow is how many connections beyond max_client_conn may be in their
// login at once: they come to be told that there are too many, or to cancel.
const overflow = 64

// Settings is what may change while the Server runs, swapped as a whole.
type Settings struct {
	login.Settings
	Pool  pool.Config
	Audit *zap.Logger // gets the audit stream; nil stands for the Server's own log
	// SlowWait is how long a client has to wait for a server until the log
	// tells of it; zero: for ever.
	SlowWait time.Duration
}

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

// Server accepts clients and serves them. New makes one.
type Server struct {
	log        *zap.Logger
	engine     engine.Engine
	manager    *pool.Manager
	settings   atomic.Pointer[Settings]
	logins     *login.Logins
	keys       cancelKeys
	statements *relay.Statements
	console    Console // nil: there is none
	consoles   atomic.Int64
	errors     errorLog
	suspension suspension
	panics     atomic.Uint64

	loginCounts, cancelCounts, pinCounts stats.Counts[string]

	handshakeTurns *guard.HandshakeLimiter
	addressLogins  *guard.LoginLimiter
	failedLogins   *guard.FailedLoginLimiter
	turningAway    chan struct{} // holds one for each connection that is being told so
	lastID         atomic.Uint64
	clients        atomic.Int64   // connections, from accept to close
	children       sync.WaitGroup // accept loops and logins
	live           sync.WaitGroup // sessions that the engine has
	cancels        sync.WaitGroup // cancel requests of clients that left
	attended       sync.WaitGroup // sessions of the console

	mu        sync.Mutex
	listeners []*Listener
	sessions  map[*session]struct{}
	closed    bool // StopAccepting was called
	draining  bool
}

// New returns a Server that lends the servers of manager, and whose sessions
// are driven by engine.
func New(log *zap.Logger, engine engine.Engine, manager *pool.Manager, settings Settings) *Server {
	p := &Server{
		log: log, engine: engine, manager: manager, statements: relay.NewStatements(0),
		sessions: map[*session]struct{}{}, handshakeTurns: guard.NewHandshakeLimiter(), addressLogins: guard.NewLoginLimiter(),
		failedLogins: guard.NewFailedLoginLimiter(), turningAway: make(chan struct{}, maxTurnedAway),
	}
	p.logins = login.New(log, manager, p.handshakeTurns, p.failedLogins)
	p.Configure(settings)
	return p
}

// Configure swaps the settings. Sessions that exist keep the login they came
// in with.
func (p *Server) Configure(settings Settings) {
	p.settings.Store(&settings)
	p.logins.Configure(settings.Settings)
	p.handshakeTurns.SetLimit(settings.Pool.MaxHandshakes)
	p.addressLogins.SetLimit(maxAddressLogins(settings.Pool))
	p.failedLogins.SetLimits(settings.Auth.MaxFailedPerSource, settings.Auth.MaxFailedPerRole)
	p.statements.SetLimit(int64(settings.Pool.PreparedMemory))
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.sessions {
		s.poke() // a login looks at them when it ends
	}
}

// Listen opens an address and serves it from goroutines of its own until
// Shutdown. store is nil where the address speaks no TLS.
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
		// As with PostgreSQL, who may connect is the directory's to say, and
		// who may log in is the password's.
		if err := os.Chmod(address, 0o777); err != nil {
			ln.Close()
			return nil, err
		}
	}
	l := &Listener{server: p, net: ln}
	l.Configure(c.TLS.Mode, store)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining {
		ln.Close()
		return nil, net.ErrClosed
	}
	p.listeners = append(p.listeners, l)
	p.children.Go(func() { p.accept(l) })
	return l, nil
}

// Addr returns where the listener listens, with the port the system chose.
func (l *Listener) Addr() net.Addr { return l.net.Addr() }

// removeStaleSocket removes the socket of a process that ended without doing
// so, and refuses to where somebody still listens.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing there, or listening will say what is wrong
	}
	if info.Mode()&os.ModeSocket == 0 {
		return errors.New("what is there is no socket")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another process listens there")
	}
	return os.Remove(path)
}

// accept takes connections until the listener closes. A shortage of file
// descriptors passes: it waits and goes on.
func (p *Server) accept(l *Listener) {
	const longest = time.Second
	pause := 5 * time.Millisecond
	for {
		conn, err := l.net.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Error("connection could not be accepted", zap.Error(err))
			time.Sleep(pause)
			pause = min(2*pause, longest)
			continue
		}
		pause = 5 * time.Millisecond
		source := guard.SourceOf(conn.RemoteAddr())
		if begun, first := p.addressLogins.Begin(source); !begun {
			p.turnAway(conn, first)
			continue
		}
		n := p.clients.Add(1)
		limit := int64(p.settings.Load().Pool.MaxClientConn)
		if n > limit+overflow {
			p.clients.Add(-1)
			p.addressLogins.End(source)
			p.loginCounts.Inc(login.OutcomeTooMany)
			conn.Close()
			continue
		}
		p.children.Go(func() {
			defer p.addressLogins.End(source)
			p.serve(l, conn, n > limit)
		})
	}
}

// serve brings a connection through its login and hands it to the engine.
func (p *Server) serve(l *Listener, conn net.Conn, surplus bool) {
	s := newSession(p, conn)
	s.cert.listener = l
	defer s.login.End()
	started := false
	defer func() {
		if r := recover(); r != nil {
			p.panics.Add(1)
			p.log.Error("panic in a login", append(s.fields(), zap.Any("panic", r), zap.Stack("stack"))...)
			s.abort()
		}
		if !started {
			conn.Close()
			s.dropOwn()
			p.exit(s)
		}
	}()
	if !p.enter(s) {
		s.refuse(login.ErrShutdown)
		return
	}
	if err := p.logIn(s, l.policy.Load().Policy, surplus); err != nil {
		s.refuse(err)
		return
	}
	started = true
	if s.phase == phaseConsole {
		p.attended.Go(func() { p.attend(s) })
		return
	}
	p.live.Add(1)
	s.start()
}

// enter notes a session, and reports false where the server is about to stop:
// one that came too late to be drained has to be told so.
func (p *Server) enter(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[s] = struct{}{}
	return !p.draining
}

// exit forgets a session.
func (p *Server) exit(s *session) {
	p.clients.Add(-1)
	if s.seated {
		p.consoles.Add(-1)
	}
	p.mu.Lock()
	delete(p.sessions, s)
	p.mu.Unlock()
	s.forgetCert()
	p.keys.forget(s)
	if s.leavePool != nil {
		s.leavePool()
	}
}

// cancel serves a CancelRequest. The client learns nothing from it, as the
// protocol has it.
func (p *Server) cancel(addr string, body []byte) {
	key, err := wire.ParseCancelKey(body)
	if err != nil {
		p.Audit().cancelRefused(addr, err.Error())
		return
	}
	s := p.keys.find(key)
	if s == nil {
		p.Audit().cancelRefused(addr, "no session has this key")
		p.cancelCounts.Inc(CancelUnknown)
		return
	}
	s.cancel()
}

// Shutdown stops accepting, tells idle clients that this is the end, lets the
// others finish their transactions, and returns when all have gone. When ctx
// ends, those that are left are cut off.
func (p *Server) Shutdown(ctx context.Context) error {
	p.Unsuspend()
	p.mu.Lock()
	p.draining = true
	for _, l := range p.listeners {
		l.net.Close()
		l.expiry.close()
	}
	for s := range p.sessions {
		if !s.atConsole() { // who watches the end may stay until then
			s.drain()
		}
	}
	p.mu.Unlock()
	p.logins.Stop()
	gone := make(chan struct{})
	go func() {
		p.children.Wait()
		p.live.Wait()
		p.cancels.Wait()
		p.leaveConsoles()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for s := range p.sessions {
		s.abort()
	}
	p.mu.Unlock()
	<-gone
	return ctx.Err()
}

// Clients returns how many connections there are, from accept to close.
func (p *Server) Clients() int { return int(p.clients.Load()) }

func peerName(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil && a.Network() != "unix" {
		return a.String()
	}
	return "unix"
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
