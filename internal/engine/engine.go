package engine

import (
	"crypto/tls"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
)

// Handler is notified of what happens on a connection.
type Handler interface {
	// Data is given bytes that the peer sent, and returns how many of them it
	// used. The rest is delivered again, in front of the bytes that follow it. b is
	// valid during the call only.
	Data(b []byte) (used int)
	// HungUp says that the peer has closed its side, while reading is paused so
	// that it would go unnoticed. What it sent before may still be unread. It may
	// come late or never if the end is a TLS alert or, in the portable
	// engine, is behind more bytes than a buffer holds.
	HungUp()
	// TimedOut says that the time set by SetTimeout has passed.
	TimedOut()
	// Closed is the last call: the connection is gone. err is io.EOF if the
	// peer closed it, net.ErrClosed if Close did.
	Closed(err error)
}

// logFields returns the fields that identify a handler in a log line, if it has a
// method LogFields.
func logFields(h Handler) []zap.Field {
	if h, ok := h.(interface{ LogFields() []zap.Field }); ok {
		return h.LogFields()
	}
	return nil
}

// Conn is a connection that an Engine has adopted.
type Conn interface {
	// Write sends b. It keeps what the kernel does not take, and from, the
	// connection that b came from, is not read until that is gone; from may be
	// nil, or the connection itself. If the connection is dead b is dropped, and
	// Closed follows. The portable engine blocks instead, but not beyond the time set
	// by Hurry.
	Write(b []byte, from Conn)
	// Unsent reports whether bytes wait for the kernel to take them.
	Unsent() bool
	// Free lets from be read although bytes from it wait here.
	Free(from Conn)
	// Pause stops the calls of Data. It may be called only from the handler.
	Pause()
	// Resume starts them again, first with what Data did not use.
	Resume()
	// Post has f called at the connection's home. After Closed it is dropped.
	Post(f func())
	// SetTimeout has TimedOut called after d, or never if d is zero. It
	// replaces what was set before. It may be called only from the handler, and
	// has no effect after Finish.
	SetTimeout(d time.Duration)
	// Hurry limits blocking writes to d from now on.
	Hurry(d time.Duration)
	// Finish sends what is waiting and TLS's close_notify, and closes once the peer
	// has closed its side too, or after linger, which is at least a second. With a
	// linger of zero it does not wait for the peer, only for the bytes to be sent,
	// for at most a second. Nothing is delivered after it was called.
	Finish(linger time.Duration)
	// Close closes immediately. A handler that calls it, or Finish, may still be
	// called for a moment.
	Close()
}

// Engine adopts connections. Its methods may be called from any goroutine.
type Engine interface {
	// Adopt takes over a transport, and the TLS connection on top of it if
	// there is one, after its handshake. set is called with the new Conn
	// before anything is delivered to h. The transport must not be used by
	// anything else afterwards. Adopt may not be called after Close.
	Adopt(t *Transport, secured *tls.Conn, h Handler, set func(Conn))
	// Probe has f called on each loop, soon, with the loop's number.
	Probe(f func(loop int))
	// Suspend stops the calls of Data and HungUp for all connections, those that
	// are adopted later too, until Resume. What was written goes on to be sent,
	// and timeouts go on. Like the two below it waits for the loops: it may not
	// be called by a handler, nor once Close was.
	Suspend()
	// Resume undoes Suspend. Nothing that arrived meanwhile is lost.
	Resume()
	// Unsent returns how many connections have bytes that wait for the kernel to
	// take them; the portable engine counts calls of handlers that have not
	// returned too.
	Unsent() int
	// Stats returns what is going on, by loop, but for the lag, which a Pulse
	// knows. The portable engine counts as one.
	Stats() []stats.Loop
	// Close ends the engine after all its connections have been closed, and
	// returns once all its goroutines have ended.
	Close()
}

// errWouldBlock is what a transport answers a TLS connection that reads when
// there is nothing to read. crypto/tls can continue after a temporary error.
var errWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no data available" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// errPanic ends a connection whose handler panicked.
var errPanic = errors.New("the connection's handler panicked")

// finishWait is how long a peer that reads nothing may delay the close of its
// connection.
const finishWait = time.Second

// errFull ends a connection whose handler left a full buffer.
var errFull = errors.New("message does not fit the buffer")
