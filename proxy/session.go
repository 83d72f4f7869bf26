package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// clientBuffer is how many bytes are read from a client at once: one TLS
// record of the largest size.
const clientBuffer = 16 << 10

// leaveTimeout is how long the server that a client left behind in mid-query
// may take to come to rest before it is ended.
const leaveTimeout = 5 * time.Second

// Why a session ends, where the client is told.
var (
	errShutdown   = wire.Fatal(wire.CodeAdminShutdown, "terminating connection due to administrator command")
	errServerLost = wire.Fatal(wire.CodeConnectionFailure, "the server closed the connection unexpectedly").
			WithHint("The connection pooler lost its connection to PostgreSQL; the last transaction may not have been committed.")
	errCanceled = wire.Fatal(wire.CodeQueryCanceled, "canceling statement due to user request while it waited for a server connection")
)

// Why a session ends, where there is nobody or nothing to tell.
var (
	errTerminated = errors.New("the client said goodbye")
	errServerSaid = errors.New("the server ended the session")
)

// session is one client, from accept to close.
//
// Its own goroutine, run, is the only one that reads from the client and that
// writes to the server while the client is there. The goroutine of the server
// it holds calls ServerBytes and ServerClosed and writes to the client; wmu
// makes such a write and the decision that led to it one. Any goroutine may
// call drain, cancel and abort.
type session struct {
	// Set once, by the session's goroutine, before it is greeted.
	proxy     *Server
	id        uint64
	since     time.Time
	addr      string
	raw       net.Conn  // what was accepted
	conn      net.Conn  // raw, or TLS on it
	tls       *tls.Conn // nil without TLS
	user      string
	database  string
	db        *pool.Database
	pool      *pool.Pool
	leavePool func()
	key       wire.CancelKey
	onParam   func(body []byte)
	grants    chan grant

	// Owned by the session's goroutine.
	waiter pool.Waiter
	setup  []byte // goes to the server in front of the client's next bytes

	wmu sync.Mutex // held while bytes are written to the client; taken before mu

	mu         sync.Mutex
	relay      relay
	server     *pool.Server     // nil while none is held
	told       []wire.Parameter // what the client knows of its session's parameters
	extra      []wire.Parameter // parameters of its session that no server reports
	greeted    bool
	waiting    bool
	draining   bool
	broken     bool // writing to the client failed
	cancelling bool
	reset      bool // the reset query was sent to the server left behind
	rolledBack bool
	end        error       // why the session is to end
	settled    chan error  // during login: told when our own query was answered
	leaveTimer *time.Timer // ends the server left behind
}

// grant is what a wait for a server ended with.
type grant struct {
	server *pool.Server
	err    error
}

func (s *session) init() {
	s.grants = make(chan grant, 1)
	s.waiter.Ready = func(server *pool.Server, err error) { s.grants <- grant{server, err} }
	s.onParam = s.parameter
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

// run serves a client that was greeted until one of the two sides ends it.
func (s *session) run() {
	s.mu.Lock()
	s.greeted = true
	s.mu.Unlock()
	reason := s.readClient()
	s.abandon(reason)
	s.linger(reason)
	s.proxy.log.Info("client disconnected", append(s.fields(),
		zap.Duration("duration", time.Since(s.since)), zap.NamedError("reason", reason))...)
}

// readClient relays what the client sends until the session is over, and
// returns why it is.
func (s *session) readClient() error {
	buf := make([]byte, clientBuffer)
	have := 0
	for {
		if err := s.over(); err != nil {
			return err
		}
		n, err := s.conn.Read(buf[have:])
		have += n
		if n > 0 {
			used, err := s.clientBytes(buf[:have])
			if err != nil {
				return err
			}
			have = copy(buf, buf[used:have])
		}
		switch {
		case err == nil:
		case isTimeout(err):
			s.raw.SetReadDeadline(time.Time{}) // poke woke us to look at over
		default:
			return s.readError(err)
		}
	}
}

// over returns why the session has to end now, or nil.
func (s *session) over() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil && s.draining && (s.server == nil || s.relay.atRest()) {
		s.end = errShutdown
	}
	return s.end
}

func (s *session) readError(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.end != nil:
		return s.end
	case errors.Is(err, io.EOF), isReset(err):
		return errors.New("the client closed the connection")
	}
	return err
}

// poke makes the session's goroutine look at over.
func (s *session) poke() { s.raw.SetReadDeadline(time.Unix(1, 0)) }

// clientBytes passes on what the client sent, and returns how much of it was
// used.
func (s *session) clientBytes(b []byte) (used int, err error) {
	for {
		s.mu.Lock()
		if s.end != nil {
			defer s.mu.Unlock()
			return used, s.end
		}
		st := s.relay.fromClient(b[used:])
		server, rests := s.server, s.relay.atRest()
		s.mu.Unlock()
		used += st.used
		if len(st.pass) > 0 {
			s.toServer(server, st.pass)
		}
		if rests && s.wmu.TryLock() {
			// The skipped rest of a COPY was all that kept the server. Where
			// the server's goroutine is at work, it will see to that.
			s.settle(server)
			s.wmu.Unlock()
		}
		switch st.verdict {
		case proceed:
		case needMore:
			return used, nil
		case needServer:
			if err := s.link(); err != nil {
				return used, err
			}
		case terminate:
			return used, errTerminated
		case failed:
			return used, st.err
		}
	}
}

// toServer writes to the server. Where that fails, ServerClosed will say so.
func (s *session) toServer(server *pool.Server, b []byte) {
	if len(s.setup) > 0 {
		b = append(s.setup, b...)
		s.setup = nil
	}
	server.Write(b)
}

// acquire takes a server from the pool, or waits for one in its queue.
func (s *session) acquire() (*pool.Server, error) {
	server, err := s.pool.Acquire(&s.waiter)
	if server != nil || err != nil {
		return server, err
	}
	s.setWaiting(true)
	defer s.setWaiting(false)
	if s.isGreeted() {
		g := <-s.grants
		return g.server, g.err
	}
	timer := time.NewTimer(time.Until(s.since.Add(s.proxy.settings.Load().Pool.ClientLoginTimeout)))
	defer timer.Stop()
	select {
	case g := <-s.grants:
		return g.server, g.err
	case <-timer.C:
		s.stopWaiting(errLoginTimeout)
		g := <-s.grants
		return g.server, g.err
	}
}

// stopWaiting makes acquire return err, unless it is about to return anyway.
func (s *session) stopWaiting(err error) {
	if s.pool.Leave(&s.waiter) {
		s.grants <- grant{err: err}
	}
}

func (s *session) setWaiting(waiting bool) {
	s.mu.Lock()
	s.waiting = waiting
	s.mu.Unlock()
}

func (s *session) isGreeted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greeted
}

// link gets a server for what the client is about to send.
func (s *session) link() error {
	for {
		server, err := s.acquire()
		if err != nil {
			return err
		}
		var ok bool
		if s.setup, ok = s.attach(server); ok {
			return nil
		}
	}
}

// attach makes server the session's, and returns the message that gives it the
// session's parameters, empty where it has them. It reports false where the
// server died on the way; it is discarded then.
func (s *session) attach(server *pool.Server) (setup []byte, ok bool) {
	s.mu.Lock()
	var set []wire.Parameter
	var reset []string
	server.ViewParameters(func(now []wire.Parameter) {
		set, reset = difference(now, server.Applied, s.told, s.extra)
	})
	ours := 0
	if len(set)+len(reset) > 0 {
		setup = wire.AppendQuery(nil, setQuery(set, reset))
		server.Applied = append(server.Applied[:0], s.extra...)
		ours = 1
	}
	s.server, s.reset, s.rolledBack = server, false, false
	s.relay.link(ours)
	s.mu.Unlock()
	if server.SetLink(s) {
		return setup, true
	}
	s.mu.Lock()
	s.server = nil
	s.relay.unlink()
	s.mu.Unlock()
	s.pool.Discard(server)
	return nil, false
}

// tryOut has a server check the parameters of a client that logs in, and
// learns their canonical values from it. The server's refusal is returned.
func (s *session) tryOut(server *pool.Server) error {
	settled := make(chan error, 1)
	s.mu.Lock()
	s.settled = settled
	s.mu.Unlock()
	setup, ok := s.attach(server)
	if !ok {
		return errServerLost
	}
	if len(setup) == 0 {
		s.settle(server)
		return nil
	}
	deadline := s.since.Add(s.proxy.settings.Load().Pool.ClientLoginTimeout)
	timer := time.AfterFunc(time.Until(deadline), func() { s.breakServer(server) })
	defer timer.Stop()
	server.Write(setup)
	return <-settled
}

// ServerBytes implements pool.Link.
func (s *session) ServerBytes(server *pool.Server, b []byte) (used int) {
	defer func() {
		if r := recover(); r != nil {
			s.proxy.log.Error("panic in a session", append(s.fields(), zap.Any("panic", r), zap.Stack("stack"))...)
			used = len(b)
			s.abort()
		}
	}()
	used, err := s.passToClient(b)
	if err != nil {
		s.fail(server, err)
		return len(b)
	}
	s.settle(server)
	return used
}

// passToClient steps through what the server sent.
func (s *session) passToClient(b []byte) (used int, failure *wire.Error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	for {
		st, mute := s.stepServer(b[used:])
		used += st.used
		if len(st.pass) > 0 && !mute {
			if _, err := s.conn.Write(st.pass); err != nil {
				s.clientLost()
			}
		}
		switch {
		case st.verdict == failed:
			return used, st.err
		case st.verdict == needMore, used == len(b):
			return used, nil
		}
	}
}

func (s *session) stepServer(b []byte) (st step, mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.relay.fromServer(b, s.onParam), s.broken || !s.greeted
}

// parameter notes a ParameterStatus. mu is held.
func (s *session) parameter(body []byte) {
	p, err := wire.ParseParameterStatus(body)
	if err != nil {
		return
	}
	s.server.SetParameter(p)
	if s.relay.left {
		return
	}
	if i := index(s.told, p.Name); i >= 0 {
		s.told[i].Value = p.Value
	} else {
		s.told = append(s.told, p)
	}
}

// settle gives the server back where the session needs it no longer, or sends
// the next query that has to run before it may.
func (s *session) settle(server *pool.Server) {
	s.mu.Lock()
	if s.server != server || server == nil {
		s.mu.Unlock()
		return
	}
	query, release := s.next()
	if query != "" {
		s.relay.ours++
	}
	if release {
		s.relay.unlink()
		s.server = nil
		if s.leaveTimer != nil {
			s.leaveTimer.Stop()
		}
	}
	wake := s.draining && s.greeted && (release || s.relay.atRest())
	settled := s.settled
	if release {
		s.settled = nil
	}
	s.mu.Unlock()
	if query != "" {
		server.Write(wire.AppendQuery(nil, query))
	}
	if release {
		s.pool.Release(server)
		if settled != nil {
			settled <- nil
		}
	}
	if wake {
		s.poke()
	}
}

// next says what is to become of a server that is held. mu is held.
func (s *session) next() (query string, release bool) {
	switch {
	case !s.relay.quiet():
		return "", false
	case !s.relay.left:
		return "", s.relay.atRest() && (!s.greeted || s.db.Mode() == pool.TransactionMode)
	case s.relay.status != wire.StatusIdle:
		if s.rolledBack {
			s.server.Break()
			return "", false
		}
		s.rolledBack = true
		return "ROLLBACK", false
	case s.db.Mode() == pool.SessionMode && !s.reset && s.db.ResetQuery() != "":
		s.reset = true
		s.server.Applied = nil
		return s.db.ResetQuery(), false
	}
	return "", true
}

// ServerClosed implements pool.Link.
func (s *session) ServerClosed(server *pool.Server, err error) {
	s.mu.Lock()
	if s.server != server {
		s.mu.Unlock()
		return
	}
	if s.end == nil {
		s.end = errServerLost.WithCause(err)
		if s.relay.fatalSeen() {
			s.end = errServerSaid
		}
	}
	// What the client got of a message stays torn: betweenMessages looks at
	// the relay, which is left as it is.
	s.server = nil
	settled, end := s.settled, s.end
	s.settled = nil
	s.mu.Unlock()
	s.pool.Discard(server)
	if settled != nil {
		settled <- end
	}
	s.poke()
}

// fail ends the session, and the server it holds, for what the server sent.
func (s *session) fail(server *pool.Server, err *wire.Error) {
	s.mu.Lock()
	if s.end == nil {
		s.end = err
	}
	s.relay.doubt = true
	s.mu.Unlock()
	server.Break()
}

// clientLost notes that nothing reaches the client any more.
func (s *session) clientLost() {
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	s.raw.Close()
}

// drain asks the session to end when it holds no transaction.
func (s *session) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.poke()
}

// abort ends the session at once, and the server it holds.
func (s *session) abort() {
	s.mu.Lock()
	server := s.server
	s.broken = true
	if s.end == nil {
		s.end = errShutdown
	}
	s.relay.doubt = true
	s.mu.Unlock()
	s.raw.Close()
	if server != nil {
		server.Break()
	}
	if s.pool != nil {
		s.stopWaiting(errShutdown)
	}
}

// breakServer ends a server if the session still holds it.
func (s *session) breakServer(server *pool.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == server {
		s.relay.doubt = true
		server.Break()
	}
}
