package pool

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
	"github.com/pgseal/pgseal/tlsconf"
)

// asyncLimit is the largest message that an idle server may send.
const asyncLimit = 16 << 10

// A Link is what holds a server: it is given the server's bytes. Its methods
// are called at the server's home in the engine, and must not block.
type Link interface {
	// ServerBytes takes bytes that the server sent and returns how many of
	// them it used. What it leaves, at most an incomplete header or small
	// message, comes again in front of the bytes that follow. It may release
	// or discard the server. A link that gave the server away meanwhile uses
	// none.
	ServerBytes(s *Server, b []byte) int
	// ServerTimedOut says that the time set by SetTimeout has passed.
	ServerTimedOut(s *Server)
	// ServerClosed says that the connection ended while the link held it. The
	// link discards the server. err is io.EOF if the server closed it.
	ServerClosed(s *Server, err error)
}

// State is what the holders of a server keep on it for each other. It belongs to
// the current holder.
type State interface {
	// Prepared returns how many prepared statements the server has. It may be
	// called from any goroutine.
	Prepared() int
}

// Server is a connection to PostgreSQL that is logged in and verified. Its
// methods may be called from any goroutine.
type Server struct {
	// Set once.
	backend.Peer
	ID        uint64
	Created   time.Time
	Startup   []wire.Parameter // of a client's startup packet, as in Need; nil for a plain server
	State     State            // that NewManager was told to make
	pool      *Pool
	conn      engine.Conn
	dedicated bool // to one client, and never lent to another
	origin    origin
	done      chan struct{}

	fault error // owned by the server's home: why it was ended there

	// Guarded by the pool's mutex.
	res       *puddle.Resource[*Server] // nil for a dedicated server
	idleSince time.Time                 // zero: it is not idle
	used      bool                      // it was lent to somebody
	differs   bool                      // newer ones have other defaults
	outdated  bool                      // and it makes way for one
	closed    string                    // one of the Closed constants, once it is being closed

	lent atomic.Int64 // when a link took it last, in seconds since 1970

	mu       sync.Mutex
	link     Link             // nil: idle, or on its way from or to the pool
	params   []wire.Parameter // is replaced, never changed: others may share it
	defaults []wire.Parameter // likewise
	end      ending
	cancels  cancels
}

// origin is what a server was opened under.
type origin struct {
	epoch   epoch
	trust   *reload.Store[*tlsconf.Upstream] // that it was verified by
	expires time.Time                        // of server_lifetime; zero: never
}

func (o *origin) expired(now time.Time) bool { return !o.expires.IsZero() && !now.Before(o.expires) }

// ending is how a server's connection comes to its end. mu of the server guards it.
type ending struct {
	err    error  // why the connection ended; nil: it has not
	asked  bool   // it was told to end
	reason string // one of the Closed constants, if it was told
}

func (e *ending) begun() bool { return e.err != nil || e.asked }

// SetLink gives the server's bytes to link from now on. It returns false, and
// does nothing, if the server is already dead.
func (s *Server) SetLink(link Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end.begun() {
		return false
	}
	s.link = link
	s.lent.Store(s.pool.manager.clock.Load())
	return true
}

// Write sends bytes to the server that came from a client, which is not read
// until the server has taken them; from is nil for bytes of our own. If the
// connection is lost ServerClosed will say so.
func (s *Server) Write(b []byte, from engine.Conn) { s.conn.Write(b, from) }

// PassTo sends bytes that the server sent to a client. The server is not read
// until the client has taken them.
func (s *Server) PassTo(client engine.Conn, b []byte) { client.Write(b, s.conn) }

// FreeFrom has the server read again although a client has not taken its
// bytes yet.
func (s *Server) FreeFrom(client engine.Conn) { client.Free(s.conn) }

// SetTimeout has the link's ServerTimedOut called after d, or never if d is
// zero. It is called with the lock held that also guards the release of the
// server, or by the one that releases it.
func (s *Server) SetTimeout(d time.Duration) {
	s.conn.Post(func() { s.conn.SetTimeout(d) })
}

// Reported returns the run-time parameters that the server reports now. The list
// is shared and never changed.
func (s *Server) Reported() []wire.Parameter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.params
}

// SetReported says what the server reports now. Who holds the server calls it;
// the list must not be changed afterwards.
func (s *Server) SetReported(list []wire.Parameter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.params = list
}

// SetParameter records a ParameterStatus that came while a link held the
// server.
func (s *Server) SetParameter(p wire.Parameter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.params, func(q wire.Parameter) bool { return q.Name == p.Name }); i >= 0 && s.params[i] == p {
		return
	}
	s.params = wire.SetParameter(slices.Clone(s.params), p)
}

// Break ends the connection, whatever state it is in. The link, or the pool,
// learns that it closed when PostgreSQL has closed its side too, or after
// backend.CloseWait: until then its backend lives and counts.
func (s *Server) Break() {
	s.mu.Lock()
	s.end.asked = true
	s.mu.Unlock()
	s.conn.Finish(backend.CloseWait)
}

// Data implements engine.Handler.
func (s *Server) Data(b []byte) (used int) {
	used, err := s.deliver(b)
	if err != nil {
		s.fault = err
		s.setCloseReason(ClosedLost)
		s.Break()
		return len(b)
	}
	return used
}

// deliver hands bytes to the holder of the server, which may change on the
// way, and returns how many were used.
func (s *Server) deliver(b []byte) (used int, err error) {
	for used < len(b) {
		s.mu.Lock()
		link := s.link
		s.mu.Unlock()
		var n int
		if link != nil {
			n = link.ServerBytes(s, b[used:])
		} else if n, err = s.idleBytes(b[used:]); err != nil {
			return used, err
		}
		if n == 0 && s.heldBy(link) {
			break
		}
		used += n
	}
	return used, nil
}

func (s *Server) heldBy(link Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link == link
}

// LogFields identifies the server connection when the engine logs a panic.
func (s *Server) LogFields() []zap.Field {
	return []zap.Field{zap.Uint64("server", s.ID), zap.String("database", s.pool.db.Name), zap.String("user", s.pool.login.User)}
}

// HungUp implements engine.Handler. The end is noticed when its client has
// read what came before.
func (s *Server) HungUp() {}

// TimedOut implements engine.Handler.
func (s *Server) TimedOut() {
	s.mu.Lock()
	link := s.link
	s.mu.Unlock()
	if link != nil {
		link.ServerTimedOut(s)
	}
}

// Closed implements engine.Handler: it tells the holder of the server that its
// connection is over.
func (s *Server) Closed(err error) {
	if s.fault != nil {
		err = s.fault
	}
	s.mu.Lock()
	s.end.err = err
	link := s.link
	s.mu.Unlock()
	close(s.done)
	if link != nil {
		link.ServerClosed(s, err)
	} else {
		s.pool.sweep()
	}
}

// idleBytes looks at what an idle server sends. Only asynchronous
// messages are in order; anything else would reach the next client, so it
// ends the server.
func (s *Server) idleBytes(b []byte) (used int, err error) {
	if len(b) < wire.HeaderSize {
		return 0, nil
	}
	typ, n := wire.ParseHeader(b)
	if n < 0 || n > asyncLimit {
		return 0, &wire.LengthError{Type: typ, Body: n}
	}
	end := wire.HeaderSize + n
	if len(b) < end {
		return 0, nil
	}
	body := b[wire.HeaderSize:end]
	switch typ {
	case wire.NoticeResponse, wire.NotificationResponse:
	case wire.ParameterStatus:
		p, err := wire.ParseParameterStatus(body)
		if err != nil {
			return 0, err
		}
		s.SetParameter(p)
		s.SetDefault(p)
	case wire.ErrorResponse:
		e, err := wire.ParseError(body)
		if err != nil {
			return 0, err
		}
		return 0, e
	default:
		return 0, fmt.Errorf("unexpected message type 0x%02x from idle server connection", typ)
	}
	return end, nil
}

// Err returns why the connection ended, or nil while it lives.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end.err
}

// setCloseReason notes why the server is about to be closed.
func (s *Server) setCloseReason(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end.err == nil && s.end.reason == "" {
		s.end.reason = why
	}
}

// closeReason says why a server ends that can no longer be lent.
func (s *Server) closeReason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.end.reason != "":
		return s.end.reason
	case s.end.asked || s.end.err == nil:
		return ClosedDirty
	}
	return ClosedLost
}

// usable reports whether the connection lives and was not told to end.
func (s *Server) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.end.begun()
}

// close ends the connection in order: it sends Terminate, waits until PostgreSQL
// has closed its side, so that its backend is gone when we count it as gone,
// and closes ours. It blocks for backend.CloseWait at most.
func (s *Server) close() {
	s.conn.Write(wire.AppendTerminate(nil), nil)
	s.conn.Finish(backend.CloseWait)
	<-s.done
}

// returned is how a server comes back to its pool.
type returned byte

const (
	notReturned returned = iota
	released
	discarded
)

// unlink takes the server from its link, and returns how it comes back to its
// pool now. If a CancelRequest for it is under way, it does so when the last
// of those has ended.
func (s *Server) unlink(how returned) (now returned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = nil
	if s.cancels.underWay == 0 {
		return how
	}
	if s.cancels.then == notReturned {
		s.pool.awaitingCancel.Add(1)
	}
	s.cancels.then = how
	return notReturned
}
