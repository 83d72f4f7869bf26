package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Portable is an Engine with a goroutine per connection. It needs nothing of
// the system but what package net has.
type Portable struct {
	log   *zap.Logger
	conns sync.WaitGroup
}

// NewPortable returns a Portable. log is told of handlers that panic.
func NewPortable(log *zap.Logger) *Portable { return &Portable{log: log} }

// Adopt implements Engine.
func (e *Portable) Adopt(t *Transport, secured *tls.Conn, h Handler, set func(Conn)) {
	c := &goConn{log: e.log, handler: h, raw: t, conn: t, woken: make(chan struct{}, 1)}
	if secured != nil {
		c.conn, c.tls = secured, secured
	}
	t.SetDeadline(time.Time{})
	set(c)
	e.conns.Go(c.run)
}

// Close implements Engine.
func (e *Portable) Close() { e.conns.Wait() }

// goConn is a connection of the portable engine. Its home is its goroutine.
type goConn struct {
	// Set once.
	log     *zap.Logger
	handler Handler
	raw     *Transport
	conn    net.Conn
	tls     *tls.Conn
	woken   chan struct{} // wakes the goroutine where it does not read

	// Owned by the goroutine.
	paused  bool
	timeout time.Time // zero: none

	wmu sync.Mutex // one Write at a time

	mu        sync.Mutex // guards below
	tasks     []func()
	dead      bool
	reading   bool // the goroutine is woken by a deadline
	finishing bool
	linger    time.Duration
}

// Write implements Conn.
func (c *goConn) Write(b []byte, _ Conn) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if _, err := c.conn.Write(b); err != nil {
		c.Close()
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
	if c.dead {
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
	c.mu.Lock()
	c.dead = true
	c.wake()
	c.mu.Unlock()
	c.raw.Close()
}

// run is the connection's goroutine.
func (c *goConn) run() {
	err := c.serve()
	c.mu.Lock()
	closed := c.dead
	c.dead, c.tasks = true, nil
	finishing := c.finishing
	c.mu.Unlock()
	switch {
	case finishing:
		c.sayGoodbye()
	case closed && !errors.Is(err, errPanic):
		err = net.ErrClosed
	}
	c.raw.Close()
	c.protect(func() { c.handler.Closed(err) })
}

// sayGoodbye ends the connection so that the peer can read what it was told.
func (c *goConn) sayGoodbye() {
	c.raw.SetDeadline(time.Now().Add(max(c.linger, finishWait)))
	if c.tls != nil {
		c.tls.CloseWrite()
	}
	if c.linger > 0 {
		c.raw.CloseWrite()
		io.Copy(io.Discard, c.raw)
	}
}

// protect runs f for the handler and reports whether it panicked.
func (c *goConn) protect(f func()) (panicked bool) {
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("panic in a connection's handler", zap.Any("panic", r), zap.Stack("stack"))
			panicked = true
		}
	}()
	f()
	return false
}

// serve reads and delivers until the connection ends, and returns why.
func (c *goConn) serve() error {
	buf := make([]byte, bufferSize)
	have, offer := 0, false
	for {
		ran, err := c.runTasks()
		if err != nil {
			return err
		}
		if offer = offer || ran; c.paused {
			c.sleep()
			continue
		}
		if have > 0 && offer {
			// What the handler left, again: what it waited for may have come.
			var used int
			if c.protect(func() { used = c.handler.Data(buf[:have]) }) {
				return errPanic
			}
			have = copy(buf, buf[used:have])
			offer = false
			continue
		}
		n, err := c.read(buf[have:])
		have += n
		offer = n > 0
		switch {
		case err != nil && !isTimeout(err) && n == 0:
			return err
		case have == len(buf) && n == 0:
			return io.ErrShortBuffer
		}
	}
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
		if c.protect(f) {
			return true, errPanic
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finishing || c.dead {
		return true, net.ErrClosed
	}
	return len(tasks) > 0, nil
}

// read waits for bytes, a task or the timeout.
func (c *goConn) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	c.reading = true
	at := c.timeout
	if len(c.tasks) > 0 {
		at = time.Unix(1, 0)
	}
	c.raw.SetReadDeadline(at)
	c.mu.Unlock()
	n, err := c.conn.Read(b)
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	return n, err
}

// sleep waits for a task or the timeout while reading is paused.
func (c *goConn) sleep() {
	var due <-chan time.Time
	if !c.timeout.IsZero() {
		timer := time.NewTimer(time.Until(c.timeout))
		defer timer.Stop()
		due = timer.C
	}
	c.mu.Lock()
	busy := len(c.tasks) > 0 || c.dead
	c.mu.Unlock()
	if busy {
		return
	}
	select {
	case <-c.woken:
	case <-due:
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
