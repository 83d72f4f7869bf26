package proxy

import (
	"errors"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
)

// Why a session ends, if the client is sent the error.
var (
	errShutdown   = login.ErrShutdown.Told
	errKilled     = wire.Fatal(wire.CodeAdminShutdown, "terminating connection due to administrator command").WithHint("It was terminated by an administrator of the connection pooler.")
	errServerLost = wire.Fatal(wire.CodeConnectionFailure, "server closed the connection unexpectedly").
			WithHint("The connection pooler lost its connection to PostgreSQL; the last transaction may not have been committed.")
)

// Why a session ends, if the client is sent no error.
var (
	errTerminated = errors.New("client close request")  // as PgBouncer has it
	errClientGone = errors.New("client unexpected eof") // likewise
	errServerSaid = errors.New("server terminated the session")
)

// phase is where a session is in its life.
type phase byte

const (
	phaseLogin   phase = iota // its arrival's goroutine owns it; others may break it off
	phaseConsole              // it is served by the console
	phaseReady                // it is the engine's
	phaseClosed               // the client's connection is closed
)

// session is one client, from accept to close.
//
// An arrival brings it through login. Then the console serves it, or an engine
// calls it at the client's home: Data, HungUp, TimedOut and Closed. What it
// shares with the home of the server that it holds is its conversation's, which
// also says who may write what. Any goroutine may call drain, cancel, kill,
// distrust and abort.
type session struct {
	proxy *Server
	conn  clientConn
	cert  clientCert
	ends  ending
	talk  conversation
	link  link

	// Set once, by the arrival.
	leavePool  func()
	inConsoles bool // it has a place among those of the console

	// Owned by the client's home.
	left  bool // leave was called
	timed bool // what it does is timed also if it does not wait
	skips bool // what the client sent was cancelled before a server had it
	skip  skipper

	mu      sync.Mutex // guards what follows
	phase   phase
	login   *login.Login    // in phaseLogin
	console *consoleSession // in phaseConsole
}

func newSession(p *Server, l *Listener, conn net.Conn) *session {
	s := &session{proxy: p, conn: newClientConn(p.sessions.lastID.Add(1), conn), cert: clientCert{listener: l}}
	s.login = p.logins.Begin(s.conn.raw, p.settings.Load().Pool.ClientLoginTimeout)
	s.talk.ends = &s.ends
	s.link = link{proxy: p, client: &s.conn, talk: &s.talk}
	s.link.onCheck, s.link.onAsk, s.link.onGranted = s.check, s.link.ask, s.takeGrant
	s.talk.wait.waiter.Ready, s.talk.wait.waiter.Need = s.link.grant, &s.talk.wait.need
	return s
}

// LogFields identifies the client when the engine logs a panic.
func (s *session) LogFields() []zap.Field { return s.conn.fields() }

// start hands the greeted session to the engine. mu is held over it, so that
// notify finds either a login to break off or a client to tell.
func (s *session) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.raw.SetDeadline(time.Time{})
	s.proxy.engine.Adopt(s.conn.raw, s.conn.tls, s, s.link.greet)
	s.phase, s.login = phaseReady, nil
	s.notify() // drain may have been called before
}

// Data implements engine.Handler: it passes on what the client sent.
func (s *session) Data(b []byte) (used int) {
	if s.timed {
		defer s.arm()
	}
	out := outgoing{from: b}
	defer out.free()
	for {
		st, server, rests := s.step(b[used:])
		out.pass(used, len(st.Pass))
		out.insert(st.Insert)
		used += st.Used
		if st.Verdict == relay.Proceed && !rests {
			continue // as much as can be goes in one write
		}
		if b := out.take(); len(b) > 0 {
			s.link.toServer(server, b)
		}
		if rests {
			s.link.trySettle(server) // the skipped rest of a COPY was all that kept it
		}
		switch st.Verdict {
		case relay.Proceed:
		case relay.NeedMore:
			return used
		case relay.NeedRest:
			s.link.toServer(server, nil) // what sets its parameters
			s.link.conn.Pause()
			s.link.trySettle(server)
			return used
		case relay.NeedServer, relay.NeedExact:
			if st.Verdict == relay.NeedExact {
				s.link.giveBack(server)
			}
			if !s.acquire() {
				return used
			}
		case relay.Terminated:
			s.leave(errTerminated)
			return len(b)
		case relay.Failed:
			s.leave(st.Err)
			return len(b)
		case skipped:
			s.link.tell(wire.AppendReadyForQuery(nil, wire.StatusIdle))
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

// step looks at what the client sent. What no server was found for before it was
// cancelled is dropped: the next exchange finds the session as it was.
func (s *session) step(b []byte) (st relay.Step, server *pool.Server, rests bool) {
	if s.skips && !s.talk.ended() {
		st, over := s.skip.skip(b)
		s.skips = !over
		return st, nil, false
	}
	return s.talk.stepClient(b)
}

// HungUp implements engine.Handler: a client that leaves while it is not read,
// because it waits for a server, or its server for something, has left.
func (s *session) HungUp() {
	if !s.talk.idle() {
		s.leave(errClientGone)
	}
}

// TimedOut implements engine.Handler: the timer of the watch.
func (s *session) TimedOut() {
	end, notify := s.talk.timedOut()
	switch {
	case end != nil:
		s.leave(end)
		return
	case notify:
		s.link.tell(waitNotice.AppendNotice(nil))
	}
	s.arm()
}

// check looks whether the session has to end now. It runs at the client's
// home.
func (s *session) check() {
	if end := s.talk.endIfDue(); end != nil {
		s.leave(end)
		return
	}
	s.applyTimeouts()
}

// cancel cancels what the session does now. It blocks until PostgreSQL has got
// the request.
func (s *session) cancel() {
	if s.atConsole() {
		s.console.cancel() // which it keeps
		return
	}
	s.link.cancel()
}

// atConsole reports whether the session is one of the console.
func (s *session) atConsole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == phaseConsole
}

// uses reports whether the session is logged in to the database, or to any
// if the name is empty.
func (s *session) uses(database string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase >= phaseReady && (database == "" || s.conn.database == database)
}
