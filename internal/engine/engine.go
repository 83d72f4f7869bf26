package engine

import (
	"crypto/tls"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
)

// Handler is told what happens on a connection.
type Handler interface {
	// Data is given bytes that the peer sent, and returns how many of them it
	// used. The rest comes again, in front of the bytes that follow it. b is
	// valid during the call only.
	Data(b []byte) (used int)
	// HungUp says that the peer will send no more, while reading is paused so
	// that nobody would notice. What it sent before may still be unread. It may
	// come late or never where the end is a TLS alert or, in the portable
	// engine, is behind more bytes than a buffer holds.
	HungUp()
	// TimedOut says that the time set by SetTimeout has passed.
	TimedOut()
	// Closed is the last call: the connection is gone. err is io.EOF where the
	// peer closed it, net.ErrClosed where Close did.
	Closed(err error)
}

// whose returns what a handler says of itself in a log line, if it does so by a
// method LogFields.
func whose(h Handler) []zap.Field {
	if h, ok := h.(interface{ LogFields() []zap.Field }); ok {
		return h.LogFields()
	}
	return nil
}

// Conn is a connection that an Engine has adopted.
type Conn interface {
	// Write sends b. It keeps what the kernel does not take, and from, the
	// connection that b came from, is not read until that is gone; from may be
	// nil, or the connection itself. Where the connection is dead b goes nowhere, and Closed tells. The
	// portable engine blocks instead, but never for longer than until Hurry's
	// time is over.
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
	// SetTimeout has TimedOut called after d, or never where d is zero. It
	// replaces what was set before. It may be called only from the handler, and
	// has no effect after Finish.
	SetTimeout(d time.Duration)
	// Hurry gives writes that block no more than d from now on.
	Hurry(d time.Duration)
	// Finish sends what waits to be sent, says goodbye in TLS, and closes when
	// the peer has closed its side too, or after linger, which is a second at
	// least; it does not wait for the peer where linger is zero, but for a
	// second at most until the bytes are gone. From then on nothing is
	// delivered.
	Finish(linger time.Duration)
	// Close closes at once. A handler that calls it, or Finish, may be called
	// on for a moment.
	Close()
}

// Engine adopts connections. Its methods may be called from any goroutine.
type Engine interface {
	// Adopt takes over a transport, and the TLS connection on top of it if
	// there is one, after its handshake. set is called with the new Conn
	// before anything is delivered to h. Nobody else may read or write the
	// transport any more. It may not be called once Close was.
	Adopt(t *Transport, secured *tls.Conn, h Handler, set func(Conn))
	// Probe has f called on each loop, soon, with the loop's number.
	Probe(f func(loop int))
	// Suspend stops the calls of Data and HungUp for all connections, those that
	// are adopted later too, until Resume. What was written goes on to be sent,
	// and timeouts go on. Like the two below it waits for the loops: it may not
	// be called by a handler, nor once Close was.
	Suspend()
	// Resume undoes Suspend. Nothing that came meanwhile is lost.
	Resume()
	// Unsent returns how many connections have bytes that wait for the kernel to
	// take them; the portable engine counts calls of handlers that have not
	// returned too.
	Unsent() int
	// Stats returns what is going on, by loop, but for the lag, which a Pulse
	// knows. The portable engine counts as one.
	Stats() []stats.Loop
	// Close ends the engine after all its connections have been closed, and
	// returns when nothing of it runs any more.
	Close()
}

// errWouldBlock is what a transport answers a TLS connection that reads when
// there is nothing to read. crypto/tls takes a temporary error as no more
// than a pause.
var errWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no data available" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// errPanic is what a connection ends with whose handler panicked.
var errPanic = errors.New("the connection's handler panicked")

// finishWait is how long a peer that reads nothing may hold up a connection
// that is to be closed.
const finishWait = time.Second

// errFull is what a connection ends with whose handler left a full buffer.
var errFull = errors.New("message does not fit the buffer")
