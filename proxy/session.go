package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
)

// leaveTimeout is how long the server that a client left behind in mid-query
// may take to come to rest before it is ended.
const leaveTimeout = 5 * time.Second

// Why a session ends, where the client is told.
var (
	errShutdown   = login.ErrShutdown.Told
	errServerLost = wire.Fatal(wire.CodeConnectionFailure, "the server closed the connection unexpectedly").
			WithHint("The connection pooler lost its connection to PostgreSQL; the last transaction may not have been committed.")
	errCanceled = &wire.Error{Severity: "ERROR", Code: wire.CodeQueryCanceled,
		Message: "canceling statement due to user request while it waited for a server connection"}
)

// Why a session ends, where there is nobody or nothing to tell.
var (
	errTerminated = errors.New("the client said goodbye")
	errClientGone = errors.New("the client closed the connection")
	errServerSaid = errors.New("the server ended the session")
)

// phase is where a session is in its life.
type phase byte

const (
	phaseLogin   phase = iota // its goroutine's alone; others may break it off
	phaseConsole              // it is served by the console
	phaseReady                // it is the engine's
	phaseClosed               // the client's connection is closed
)

// session is one client, from accept to close.
//
// A goroutine brings it through login. Then the console serves it, or an engine
// calls it: Data, HungUp, TimedOut and Closed at the client's home, ServerBytes,
// ServerTimedOut and ServerClosed at the home of the server it holds. Only the
// client's home writes to the server while the client is there, and the server's
// home to the client; wmu makes such a write and the decision that led to it one.
// Any goroutine may call drain, cancel and abort.
type session struct {
	// Set once, before the session is greeted.
	proxy        *Server
	id           uint64
	since        time.Time
	addr         string
	local        net.Addr
	negotiation  string // how TLS began; empty without it
	raw          *engine.Transport
	tls          *tls.Conn // nil without TLS
	cert         clientCert
	user         string
	identity     string // that it proved: a method, a colon and a name
	database     string
	method, rule string // of the access rule that decided how the client proves who it is, and its place
	db           *pool.Database
	pool         *pool.Pool
	leavePool    func()
	key          wire.CancelKey
	seated       bool // it has a place among those of the console
	onGranted    func()
	onCheck      func()
	onAsk        func()
	mode         string // a pool mode

	// Owned by the client's home.
	waiter pool.Waiter
	need   pool.Need
	setup  []byte // goes to the server in front of the client's next bytes
	left   bool   // leave was called
	timed  bool   // what it does is timed also where it does not wait
	skips  bool   // what the client sent was cancelled before a server had it
	skip   skipper

	wmu sync.Mutex // held while bytes are written to the client; taken before mu

	mu          sync.Mutex
	phase       phase
	login       *login.Login // in phaseLogin
	seat        *seat        // in phaseConsole
	client      engine.Conn  // from phaseReady on
	relay       *relay.Relay // nil until it is known what the client may do
	server      *pool.Server // nil while none is held
	replication bool         // the server is its own
	requested   int64        // when it took a server last, in seconds since 1970
	waiting     bool         // in the pool's queue, or granted a server that was not taken yet
	granted     grant
	watch       watch
	draining    bool
	killed      *wire.Error   // why it is to end at once
	muted       bool          // nothing is to be written to the client any more
	cancelling  chan struct{} // closed when the cancel request under way is through
	cancelQueue bool          // somebody waits for that to cancel again
	end         error         // why the session is to end
	settled     chan error    // during login: told when our own query was answered
	work        work
	counted     pool.Work // that its pool was not told of
	totals      totals
}

// grant is what a wait for a server ended with.
type grant struct {
	server *pool.Server
	err    error
}

func newSession(p *Server, conn net.Conn) *session {
	raw := engine.NewTransport(conn)
	s := &session{proxy: p, id: p.lastID.Add(1), since: time.Now(), raw: raw, addr: peerName(conn), local: conn.LocalAddr()}
	s.login = p.logins.Begin(raw, p.settings.Load().Pool.ClientLoginTimeout)
	s.onGranted, s.onCheck, s.onAsk = s.takeGrant, s.check, s.ask
	s.waiter.Ready, s.waiter.Need = s.grant, &s.need
	return s
}

// fields identifies the session in a log line.
func (s *session) fields() []zap.Field {
	f := []zap.Field{zap.Uint64("client", s.id), zap.String("addr", s.addr)}
	if s.user != "" {
		f = append(f, zap.String("user", s.user), zap.String("database", s.database))
	}
	if s.tls != nil {
		f = append(f, zap.String("tls", tls.VersionName(s.tls.ConnectionState().Version)))
	}
	return f
}

// LogFields says whose a panic is that the engine logs.
func (s *session) LogFields() []zap.Field { return s.fields() }

// start hands the greeted session to the engine. mu is held over it, so that
// poke finds either a login to break off or a client to tell.
func (s *session) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.login = phaseReady, nil
	s.raw.SetDeadline(time.Time{})
	s.proxy.engine.Adopt(s.raw, s.tls, s, func(c engine.Conn) { s.client = c })
	s.client.Post(s.onCheck) // drain may have been called before
}

// Data implements engine.Handler: it passes on what the client sent.
func (s *session) Data(b []byte) (used int) {
	if s.timed {
		defer s.arm()
	}
	out := outgoing{from: b}
	defer out.free()
	for {
		st, server, rests := s.stepClient(b[used:])
		out.pass(used, len(st.Pass))
		out.insert(st.Insert)
		used += st.Used
		if st.Verdict == relay.Proceed && !rests {
			continue // as much as can be goes in one write
		}
		if b := out.take(); len(b) > 0 {
			s.toServer(server, b)
		}
		if rests && s.wmu.TryLock() {
			// The skipped rest of a COPY was all that kept the server. Where
			// the server's home is at work, it will see to that.
			s.settle(server)
			s.wmu.Unlock()
		}
		switch st.Verdict {
		case relay.Proceed:
		case relay.NeedMore:
			return used
		case relay.NeedRest:
			s.toServer(server, nil) // what sets its parameters
			s.client.Pause()
			s.goOn(server)
			return used
		case relay.NeedServer, relay.NeedExact:
			if st.Verdict == relay.NeedExact {
				s.giveBack(server)
			}
			if !s.link() {
				return used
			}
		case relay.Terminated:
			s.leave(errTerminated)
			return len(b)
		case relay.Failed:
			s.leave(st.Err)
			return len(b)
		case skipped:
			s.tell(wire.AppendReadyForQuery(nil, wire.StatusIdle))
		case over:
			s.check()
			return len(b)
		}
	}
}

// Verdicts of the session's own.
const (
	skipped relay.Verdict = -1 - iota // a cancelled exchange is over: say so, then step again
	over                              // the session has ended already
)

// goOn looks whether the server has answered already what a client that was
// paused waits for.
func (s *session) goOn(server *pool.Server) {
	if s.wmu.TryLock() {
		s.settle(server)
		s.wmu.Unlock()
	}
}

// stepClient has the relay look at what the client sent, unless the session is
// to end.
func (s *session) stepClient(b []byte) (st relay.Step, server *pool.Server, rests bool) {
	s.mu.Lock()
	defer s.mu.Unlock() // also when the relay panics: leave needs it
	if s.end != nil {
		return relay.Step{Verdict: over}, nil, false
	}
	if s.skips {
		return s.skipCanceled(b), nil, false
	}
	st = s.relay.FromClient(b)
	s.countClient(st.Used)
	s.observe()
	return st, s.server, s.relay.AtRest()
}

// HungUp implements engine.Handler: a client that leaves while it is not read,
// because it waits for a server, or its server for something, has left.
func (s *session) HungUp() {
	s.mu.Lock()
	idle := !s.waiting && s.server == nil || s.relay.Leaving()
	s.mu.Unlock()
	if !idle {
		s.leave(errClientGone)
	}
}

// Closed implements engine.Handler: the end of the session.
func (s *session) Closed(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
		err = errClientGone
	}
	s.leave(err)
	s.mu.Lock()
	s.phase = phaseClosed
	unused := s.granted.server
	s.granted = grant{}
	reason, waited := s.end, s.endWait()
	s.mu.Unlock()
	if unused != nil {
		s.pool.Release(unused)
	}
	if waited {
		s.tellWait(&s.waiter, waitLeft, reason)
	}
	totals := s.countRest()
	s.closeRelay()
	s.proxy.exit(s)
	s.proxy.log.Info("client disconnected", append(append(s.fields(), totals.fields()...),
		zap.Duration("duration", time.Since(s.since)), zap.NamedError("reason", reason))...)
	s.proxy.live.Done()
}

// check looks whether the session has to end now. It runs at the client's
// home.
func (s *session) check() {
	s.mu.Lock()
	switch {
	case s.end == nil && s.killed != nil:
		s.end = s.killed
	case s.end == nil && !s.waiting && s.mayEnd():
		s.end = s.ending()
	}
	end := s.end
	s.mu.Unlock()
	if end != nil {
		s.leave(end)
		return
	}
	s.heed()
}

// mayEnd reports whether the session can be ended in order: nothing of its
// client's is under way, or what never comes to an end by itself, and the
// client can be told. mu is held.
func (s *session) mayEnd() bool {
	return s.server == nil || s.relay.AtRest() || s.replication && s.relay.BetweenMessages()
}

// poke has check run, which a login does at its end.
func (s *session) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseReady {
		s.client.Post(s.onCheck)
	}
}

// drain asks the session to end when it holds no transaction.
func (s *session) drain() {
	s.mu.Lock()
	s.draining = true
	s.breakOff()
	s.mu.Unlock()
	s.poke()
}

// breakOff ends a login, or a session of the console. mu is held.
func (s *session) breakOff() {
	switch s.phase {
	case phaseLogin:
		s.login.BreakOff()
	case phaseConsole:
		s.seat.stop()
		s.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// abort ends the session at once, and the server it holds.
func (s *session) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = true
	if s.end == nil {
		s.end = errShutdown
	}
	if s.relay != nil {
		s.relay.Doubt()
	}
	s.breakOff()
	if s.client != nil {
		s.client.Close()
	} else {
		s.raw.Close()
	}
	if s.server != nil {
		s.server.Break()
	}
}

// closeRelay lets go of what the session has of memory that is shared.
func (s *session) closeRelay() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.relay != nil {
		s.relay.Close()
	}
}
