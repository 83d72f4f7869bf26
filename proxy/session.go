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
