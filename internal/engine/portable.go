package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
)

// Portable is an Engine with a goroutine per connection. It needs nothing of
// the system but what package net has.
type Portable struct {
	log    *zap.Logger
	conns  sync.WaitGroup
	count  atomic.Int64
	panics atomic.Uint64
	busy   atomic.Int64 // writes, and calls of Data and HungUp, that are under way

	suspended atomic.Bool

	mu  sync.Mutex
	all map[*goConn]struct{}
}

// NewPortable returns a Portable. Panics of handlers are logged to log.
func NewPortable(log *zap.Logger) *Portable { return &Portable{log: log, all: map[*goConn]struct{}{}} }

// Adopt implements Engine.
func (e *Portable) Adopt(t *Transport, secured *tls.Conn, h Handler, set func(Conn)) {
	c := &goConn{engine: e, log: e.log, handler: h, raw: t, conn: t, woken: make(chan struct{}, 1)}
	if secured != nil {
		c.conn, c.tls = limited{secured, t.maxRecord}, secured
	}
	t.SetDeadline(time.Time{})
	set(c)
	e.count.Add(1)
	e.mu.Lock()
	e.all[c] = struct{}{}
	e.mu.Unlock()
	e.conns.Go(c.run)
}

// forget ends the engine's part in a connection.
func (e *Portable) forget(c *goConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.all, c)
	e.count.Add(-1)
}

// Suspend implements Engine. A connection that is reading already keeps what
// comes next.
func (e *Portable) Suspend() { e.suspended.Store(true) }

// Resume implements Engine.
func (e *Portable) Resume() {
	e.suspended.Store(false)
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.all {
		c.Post(func() {}) // wakes it
	}
}

// Unsent implements Engine.
func (e *Portable) Unsent() int { return int(e.busy.Load()) }

// open calls f, which calls the handler, unless the engine is suspended.
func (e *Portable) open(f func() error) error {
	e.busy.Add(1)
	defer e.busy.Add(-1)
	if e.suspended.Load() {
		return nil
	}
	return f()
}

// Probe implements Engine. There is no loop that could be late.
func (e *Portable) Probe(f func(loop int)) { f(0) }

// Stats implements Engine.
func (e *Portable) Stats() []stats.Loop {
	return []stats.Loop{{Connections: int(e.count.Load()), Panics: e.panics.Load()}}
}

// Close implements Engine.
func (e *Portable) Close() { e.conns.Wait() }

// goConn is a connection of the portable engine. Its home is its goroutine.
type goConn struct {
	// Set once.
	engine  *Portable
	log     *zap.Logger
	handler Handler
	raw     *Transport
	conn    net.Conn
	tls     *tls.Conn
	woken   chan struct{} // wakes the goroutine while it does not read

	// Owned by the goroutine.
	paused  bool
	timeout time.Time // zero: none
	buf     []byte
	have    int   // bytes in buf that the handler has not used
	offer   bool  // they are more, or may be worth more, than when it saw them last
	over    error // why nothing more will arrive
	hungUp  bool  // HungUp was called since the last Data

	wmu sync.Mutex // one Write at a time

	mu        sync.Mutex // guards below
	tasks     []func()
	dead      error // why the connection was closed
	reading   bool  // the goroutine is woken by a deadline
	finishing bool
	linger    time.Duration
}

// Write implements Conn.
func (c *goConn) Write(b []byte, _ Conn) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.engine.busy.Add(1)
	defer c.engine.busy.Add(-1)
	if _, err := c.conn.Write(b); err != nil {
		c.stop(err)
	}
}

// Unsent implements Conn: Write returns when all is sent.
func (c *goConn) Unsent() bool { return false }

// Free implements Conn.
func (c *goConn) Free(Conn) {}

// Pause implements Conn.
func (c *goConn) Pause() { c.paused = true }

// Resume implements Conn.
func (c *goConn) Resume() { c.Post(func() { c.paused = false }) }

// Post implements Conn.
func (c *goConn) Post(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return
	}
	c.tasks = append(c.tasks, f)
	c.wake()
}

// wake makes the goroutine look at its tasks. mu is held.
func (c *goConn) wake() {
	if c.reading {
		c.raw.SetReadDeadline(time.Unix(1, 0))
		return
	}
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// SetTimeout implements Conn.
func (c *goConn) SetTimeout(d time.Duration) {
	c.timeout = time.Time{}
	if d > 0 {
		c.timeout = time.Now().Add(d)
	}
}

// Hurry implements Conn.
func (c *goConn) Hurry(d time.Duration) { c.raw.SetWriteDeadline(time.Now().Add(d)) }

// Finish implements Conn.
func (c *goConn) Finish(linger time.Duration) {
	c.Post(func() {
		c.mu.Lock()
		c.finishing, c.linger = true, linger
		c.mu.Unlock()
	})
}

// Close implements Conn.
func (c *goConn) Close() {
	c.stop(net.ErrClosed)
	c.raw.Close() // which also ends a Finish under way
}

// stop closes the connection, unless it is being closed.
func (c *goConn) stop(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead == nil {
		c.dead = reason
		c.wake()
		c.raw.Close()
	}
}

// run is the connection's goroutine.
func (c *goConn) run() {
	defer c.engine.forget(c)
	err := errPanic // unless serve says otherwise
	c.protect(func() { err = c.serve() })
	c.mu.Lock()
	if c.dead != nil && err != errPanic {
		err = c.dead
	}
	c.dead, c.tasks = err, nil
	finishing := c.finishing
	c.mu.Unlock()
	if finishing {
		err = c.sayGoodbye()
	}
	c.raw.Close()
	c.protect(func() { c.handler.Closed(err) })
}

// sayGoodbye ends the connection so that the peer can read what it was told.
// The bound is no deadline, because crypto/tls sets deadlines of its own.
func (c *goConn) sayGoodbye() error {
	bound := time.AfterFunc(max(c.linger, finishWait), func() { c.raw.Close() })
	defer bound.Stop()
	c.raw.SetDeadline(time.Time{})
	if c.tls != nil {
		c.tls.CloseWrite()
	}
	if c.linger <= 0 {
		return net.ErrClosed
	}
	c.raw.CloseWrite()
	if _, err := io.Copy(io.Discard, c.raw); err != nil {
		return net.ErrClosed
	}
	return io.EOF
}

// protect runs f for the handler. A panic in it is an error.
func (c *goConn) protect(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.engine.panics.Add(1)
			c.log.Error("panic in a connection's handler", append(logFields(c.handler), zap.Any("panic", r), zap.Stack("stack"))...)
			err = errPanic
		}
	}()
	f()
	return nil
}

// serve reads and delivers until the connection ends, and returns why. While
// the handler has paused it reads on for as long as there is room, because
// only so it notices a peer that leaves.
func (c *goConn) serve() error {
	c.buf = make([]byte, bufferSize)
	for {
		ran, err := c.runTasks()
		if err != nil {
			return err
		}
		c.offer = c.offer || ran
		full := c.have == len(c.buf)
		switch {
		case c.engine.suspended.Load():
			c.sleep()
		case !c.paused && c.offer && c.have > 0:
			err = c.engine.open(c.deliver)
		case !c.paused && c.over != nil:
			return c.over
		case !c.paused && full:
			return errFull // a handler that uses nothing of a full buffer never will
		case c.over != nil && !c.hungUp:
			err = c.engine.open(c.hangUp)
		case c.over != nil || full:
			c.sleep()
		default:
			c.read()
		}
		if err != nil {
			return err
		}
	}
}

// hangUp tells the handler that the peer has closed its side.
func (c *goConn) hangUp() error {
	c.hungUp = true
	return c.protect(c.handler.HungUp)
}

// deliver hands the handler what is there. What it leaves comes again: with
// more bytes, or after something has run that it may have waited for.
func (c *goConn) deliver() error {
	c.offer, c.hungUp = false, false
	used := 0
	err := c.protect(func() { used = c.handler.Data(c.buf[:c.have]) })
	c.have = copy(c.buf, c.buf[used:c.have])
	return err
}

// runTasks runs what was posted, and the handler's timeout if it is due.
func (c *goConn) runTasks() (ran bool, err error) {
	c.mu.Lock()
	tasks := c.tasks
	c.tasks = nil
	c.mu.Unlock()
	if !c.timeout.IsZero() && !time.Now().Before(c.timeout) {
		c.timeout = time.Time{}
		tasks = append(tasks, c.handler.TimedOut)
	}
	for _, f := range tasks {
		if err := c.protect(f); err != nil {
			return true, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finishing || c.dead != nil {
		return true, net.ErrClosed
	}
	return len(tasks) > 0, nil
}

// read waits for bytes, a task or the timeout.
func (c *goConn) read() {
	c.mu.Lock()
	c.reading = true
	at := c.timeout
	if len(c.tasks) > 0 {
		at = time.Unix(1, 0)
	}
	c.raw.SetReadDeadline(at)
	c.mu.Unlock()
	n, err := c.conn.Read(c.buf[c.have:])
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	c.have += n
	c.offer = c.offer || n > 0
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.over = err
	}
}

// sleep waits for a task or the timeout while there is nothing to read for.
func (c *goConn) sleep() {
	var due <-chan time.Time
	if !c.timeout.IsZero() {
		timer := time.NewTimer(time.Until(c.timeout))
		defer timer.Stop()
		due = timer.C
	}
	c.mu.Lock()
	busy := len(c.tasks) > 0 || c.dead != nil
	c.mu.Unlock()
	if busy {
		return
	}
	select {
	case <-c.woken:
	case <-due:
	}
}
