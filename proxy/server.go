package proxy

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
)

// Settings is what may change while the Server runs, swapped as a whole.
type Settings struct {
	login.Settings
	Pool  pool.Config
	Audit *zap.Logger // gets the audit stream; nil stands for the Server's own log
	// SlowWait is how long a client has to wait for a server until the log
	// has a line about it; zero: never.
	SlowWait time.Duration
}

// Server accepts clients and serves them. New makes one. Any goroutine may call
// its methods.
type Server struct {
	log        *zap.Logger
	engine     engine.Engine
	manager    *pool.Manager
	settings   atomic.Pointer[Settings]
	logins     *login.Logins
	statements *relay.Statements
	guards     guards
	listeners  listeners
	sessions   sessions
	consoles   consoles
	keys       cancelKeys
	suspension suspension
	counters   counters

	children sync.WaitGroup // logins
	live     sync.WaitGroup // sessions that the engine has
	cancels  sync.WaitGroup // cancel requests of clients that left
}

// New returns a Server that lends the servers of manager, and whose sessions
// are driven by engine.
func New(log *zap.Logger, engine engine.Engine, manager *pool.Manager, settings Settings) *Server {
	p := &Server{log: log, engine: engine, manager: manager, statements: relay.NewStatements(0), guards: newGuards()}
	p.logins = login.New(log, manager, p.guards.handshakes, p.guards.failed)
	p.Configure(settings)
	return p
}

// Configure swaps the settings. Sessions that exist keep the login they came
// in with.
func (p *Server) Configure(settings Settings) {
	p.settings.Store(&settings)
	p.logins.Configure(settings.Settings)
	p.guards.configure(settings.Pool, settings.Auth)
	p.statements.SetLimit(int64(settings.Pool.PreparedMemory))
	for _, s := range p.sessions.list() {
		s.wake() // a login looks at them when it ends
	}
}

// serve brings a connection through its login and hands it to the engine, or to
// the console.
func (p *Server) serve(l *Listener, conn net.Conn, surplus bool) {
	s := newSession(p, l, conn)
	a := &arrival{proxy: p, session: s, login: s.login, surplus: surplus}
	defer a.login.End()
	started := false
	defer func() {
		if r := recover(); r != nil {
			p.counters.panics.Add(1)
			p.log.Error("panic in a login", append(s.conn.fields(), zap.Any("panic", r), zap.Stack("stack"))...)
			s.abort()
		}
		if !started {
			conn.Close()
			a.dropDedicated()
			p.exit(s)
		}
	}()
	if !p.sessions.enter(s) {
		a.refuse(login.ErrShutdown)
		return
	}
	if err := a.run(l.policy.Load().Policy); err != nil {
		a.refuse(err)
		return
	}
	started = true
	if s.phase == phaseConsole {
		p.consoles.attended.Go(s.attend)
		return
	}
	p.live.Add(1)
	s.start()
}

// exit forgets a session.
func (p *Server) exit(s *session) {
	if s.inConsoles {
		p.consoles.leave()
	}
	p.sessions.exit(s)
	s.cert.expiry.close()
	p.keys.forget(s)
	if s.leavePool != nil {
		s.leavePool()
	}
}

// Shutdown stops accepting, disconnects idle clients, lets the
// others finish their transactions, and returns when all have gone. When ctx
// ends, those that are left are cut off.
func (p *Server) Shutdown(ctx context.Context) error {
	p.Unsuspend()
	p.listeners.close(true)
	for _, s := range p.sessions.refuse() {
		if !s.atConsole() { // administrators may watch until the end
			s.drain()
		}
	}
	p.logins.Stop()
	gone := make(chan struct{})
	go func() {
		p.listeners.accepting.Wait()
		p.children.Wait()
		p.live.Wait()
		p.cancels.Wait()
		for _, s := range p.sessions.list() { // those of the console
			s.drain()
		}
		p.consoles.attended.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	for _, s := range p.sessions.list() {
		s.abort()
	}
	<-gone
	return ctx.Err()
}

// sessions are those that there are, logins among them. Any goroutine may use
// them; the zero value is ready.
type sessions struct {
	lastID    atomic.Uint64
	connected atomic.Int64 // connections, from accept to close

	mu      sync.Mutex
	all     map[*session]struct{}
	refused bool // one that comes now comes too late to be told of the end
}

// enter notes a session, and reports false if it has to be refused.
func (l *sessions) enter(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[*session]struct{}{}
	}
	l.all[s] = struct{}{}
	return !l.refused
}

// exit forgets a session.
func (l *sessions) exit(s *session) {
	l.connected.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, s)
}

// refuse has those refused that come from now on, and returns the others.
func (l *sessions) refuse() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = true
	return slices.Collect(maps.Keys(l.all))
}

// list returns the sessions in no order.
func (l *sessions) list() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.all))
}
