package pool

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/jackc/puddle/v2"

	"github.com/pgseal/pgseal/internal/wire"
)

// readBuffer is how many bytes a server's goroutine reads at once: one TLS
// record of the largest size.
const readBuffer = 16 << 10

// closeWait is how long a server that was told to terminate may take to close
// the connection before we do.
const closeWait = time.Second

// A Link is what holds a server: it is given the server's bytes. Its methods
// are called from the server's reading goroutine.
type Link interface {
	// ServerBytes takes bytes that the server sent and returns how many of
	// them it used. What it leaves, at most an incomplete header or small
	// message, comes again in front of the bytes that follow. It may release
	// or discard the server.
	ServerBytes(s *Server, b []byte) int
	// ServerClosed says that the connection ended while the link held it. The
	// link discards the server. err is io.EOF where the server closed it.
	ServerClosed(s *Server, err error)
}

// Server is a connection to PostgreSQL that is logged in and verified. Its
// holder may call Write from one goroutine at a time; the other methods may be
// called from any goroutine.
type Server struct {
	// Set once.
	ID         uint64
	Addr       string // host:port or path of the socket that answered
	TLS        string // protocol version and cipher suite; empty without TLS
	Verified   string // what was verified of the server, an sslmode
	Created    time.Time
	pool       *Pool
	conn       net.Conn
	at         address
	key        wire.CancelKey
	generation uint64
	expires    time.Time // zero: never
	done       chan struct{}

	// Owned by the pool, guarded by its mutex.
	res       *puddle.Resource[*Server]
	idle      bool
	idleSince time.Time

	// Owned by whoever holds the server: the parameters that links set on it
	// beyond those of its login.
	Applied []wire.Parameter

	mu         sync.Mutex
	link       Link // nil: idle, or on its way from or to the pool
	params     []wire.Parameter
	dead       error  // why the connection ended
	broken     bool   // it was told to end
	cancels    int    // CancelRequests under way
	onReturned func() // what waits for them to end
}

// SetLink gives the server's bytes to link from now on. It returns false, and
// does nothing, where the server is already dead.
func (s *Server) SetLink(link Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil || s.broken {
		return false
	}
	s.link = link
	return true
}

// Write sends bytes to the server. An error means that the connection is
// lost; the link learns that from ServerClosed too, after what the server sent
// before it closed was delivered, for which it gets closeWait.
func (s *Server) Write(b []byte) error {
	_, err := s.conn.Write(b)
	if err != nil {
		s.conn.SetReadDeadline(time.Now().Add(closeWait))
	}
	return err
}

// Parameters returns a copy of the run-time parameters that the server
// reported, as they are now.
func (s *Server) Parameters() []wire.Parameter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.params)
}

// ViewParameters calls f with the parameters that the server reported, without
// copying them. f must not keep or change them.
func (s *Server) ViewParameters(f func(params []wire.Parameter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.params)
}

// SetParameter records a ParameterStatus that came while a link held the
// server.
func (s *Server) SetParameter(p wire.Parameter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.params = setParameter(s.params, p)
}

// Break ends the connection at once. The link, or the pool, then learns that
// it closed.
func (s *Server) Break() {
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	s.conn.SetReadDeadline(time.Unix(1, 0))
	s.conn.SetWriteDeadline(time.Unix(1, 0))
}

// read delivers what the server sends until the connection ends.
func (s *Server) read() {
	defer close(s.done)
	buf := make([]byte, readBuffer)
	have := 0
	for {
		n, err := s.conn.Read(buf[have:])
		have += n
		if n > 0 {
			used, badErr := s.deliver(buf[:have])
			if badErr != nil {
				err = badErr
			}
			have = copy(buf, buf[used:have])
			if have == len(buf) && err == nil {
				err = errors.New("the server's message does not fit")
			}
		}
		if err != nil {
			s.ended(err)
			return
		}
	}
}

// deliver hands bytes to whoever holds the server, which may change on the
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
		if n == 0 {
			break
		}
		used += n
	}
	return used, nil
}

// idleBytes looks at what a server says that nobody holds. Only asynchronous
// messages are in order; anything else would reach the next client, so it
// ends the server.
func (s *Server) idleBytes(b []byte) (used int, err error) {
	if len(b) < wire.HeaderSize {
		return 0, nil
	}
	typ, n := wire.ParseHeader(b)
	if n < 0 || n > readBuffer-wire.HeaderSize {
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
	case wire.ErrorResponse:
		e, err := wire.ParseError(body)
		if err != nil {
			return 0, err
		}
		return 0, e
	default:
		return 0, fmt.Errorf("the server sent message type 0x%02x while nobody held it", typ)
	}
	return end, nil
}

// ended tells whoever holds the server that its connection is over.
func (s *Server) ended(err error) {
	s.mu.Lock()
	s.dead = err
	link := s.link
	s.mu.Unlock()
	if link != nil {
		link.ServerClosed(s, err)
	} else {
		s.pool.idleServerEnded(s)
	}
}

// Err returns why the connection ended, or nil while it lives.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// usable reports whether the connection lives and was not told to end.
func (s *Server) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead == nil && !s.broken
}

// close ends the connection in order: it says goodbye, waits until PostgreSQL
// has closed its side, so that its backend is gone when we count it as gone,
// and closes ours.
func (s *Server) close() {
	s.conn.SetWriteDeadline(time.Now().Add(closeWait))
	s.conn.SetReadDeadline(time.Now().Add(closeWait))
	if s.Err() == nil {
		s.conn.Write([]byte{wire.Terminate, 0, 0, 0, 4})
	}
	<-s.done
	closeNow(s.conn)
}

// closeNow closes a connection without tls.Conn's farewell, which may block
// for five seconds on a peer that does not read.
func closeNow(conn net.Conn) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	conn.Close()
}

// beginCancel notes that a CancelRequest for this server is under way: until
// endCancel nobody else gets the server, because the request could hit them.
func (s *Server) beginCancel() {
	s.mu.Lock()
	s.cancels++
	s.mu.Unlock()
}

// endCancel undoes beginCancel and runs what waited for it.
func (s *Server) endCancel() {
	s.mu.Lock()
	s.cancels--
	var then func()
	if s.cancels == 0 {
		then, s.onReturned = s.onReturned, nil
	}
	s.mu.Unlock()
	if then != nil {
		then()
	}
}

// afterCancels unlinks the server and runs f now, or when the last
// CancelRequest for it has ended.
func (s *Server) afterCancels(f func()) {
	s.mu.Lock()
	s.link = nil
	if s.cancels > 0 {
		s.onReturned = f
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f()
}
