package engine

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// readsPerEvent bounds what one connection may do before the others of its
// loop have their turn.
const readsPerEvent = 4

// loopConn is a connection of an event loop.
type loopConn struct {
	// Set once.
	loop    *loop
	handler Handler
	tls     *tls.Conn // nil without TLS
	io      nonBlocking
	onFree  func() // proceed, as a value made once

	// Owned by the home loop.
	paused    bool
	hungUp    bool // HungUp was called
	finishing bool // what comes in is thrown away
	linger    time.Duration
	closed    bool
	rest      []byte // plaintext that the handler left
	unread    []byte // bytes of the socket that wait for the handler
	due       time.Time
	dueAt     int // place in the heap, -1: none

	held atomic.Int32 // how many connections have bytes of ours that nobody took yet

	wmu     sync.Mutex // one Write at a time, and guards below
	waiting *loopConn  // is not read until our unsent bytes are gone

	imu      sync.Mutex // guards below
	interest uint32     // what epoll was asked for
}

// Write implements Conn.
func (c *loopConn) Write(b []byte, from Conn) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.tls == nil {
		c.io.write(b)
	} else {
		c.writeTLS(b)
	}
	if from, ok := from.(*loopConn); ok && c.waiting == nil && c.io.unsent() {
		c.waiting = from
		from.held.Add(1)
	}
}

// maxRecord is the most plaintext that a TLS record holds.
const maxRecord = 16 << 10

// writeTLS sends b in as few system calls as there are records of it: one,
// where the records can be gathered first.
func (c *loopConn) writeTLS(b []byte) {
	if len(b) <= maxRecord {
		c.tls.Write(b)
		return
	}
	c.io.cork()
	c.tls.Write(b)
	c.io.uncork()
}

// Unsent implements Conn.
func (c *loopConn) Unsent() bool { return c.io.unsent() }

// Free implements Conn.
func (c *loopConn) Free(from Conn) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.waiting != nil && c.waiting == from {
		c.release()
	}
}

// release lets the connection go on whose bytes waited here. wmu is held.
func (c *loopConn) release() {
	if w := c.waiting; w != nil {
		c.waiting = nil
		if w.held.Add(-1) == 0 {
			w.loop.post(w.onFree)
		}
	}
}

// Pause implements Conn.
func (c *loopConn) Pause() { c.paused = true }

// Resume implements Conn.
func (c *loopConn) Resume() { c.loop.post(c.resume) }

func (c *loopConn) resume() {
	c.paused, c.hungUp = false, false
	c.proceed()
}

// Post implements Conn.
func (c *loopConn) Post(f func()) {
	c.loop.post(func() {
		if !c.closed {
			c.protect(f)
		}
	})
}

// SetTimeout implements Conn.
func (c *loopConn) SetTimeout(d time.Duration) {
	due := time.Time{}
	if d > 0 {
		due = time.Now().Add(d)
	}
	c.loop.timeouts.set(c, due)
}

// Hurry implements Conn. Nothing blocks here.
func (c *loopConn) Hurry(time.Duration) {}

// Finish implements Conn.
func (c *loopConn) Finish(linger time.Duration) {
	c.loop.post(func() {
		if c.closed || c.finishing {
			return
		}
		c.finishing, c.linger = true, linger
		if c.tls != nil {
			c.tls.CloseWrite()
		}
		c.SetTimeout(max(linger, finishWait))
		if linger <= 0 && !c.io.unsent() {
			c.end(net.ErrClosed)
			return
		}
		if !c.io.unsent() {
			c.shutdown()
		}
		c.proceed()
	})
}

// shutdown closes the sending side.
func (c *loopConn) shutdown() { syscall.Shutdown(c.io.fd, syscall.SHUT_WR) }

// Close implements Conn.
func (c *loopConn) Close() {
	c.loop.post(func() { c.end(net.ErrClosed) })
}

// guard handles events; a panic on the way ends the connection.
func (c *loopConn) guard(events uint32) {
	defer c.recover()
	c.events(events)
}

// protect runs f for the handler; a panic in it ends the connection.
func (c *loopConn) protect(f func()) {
	defer c.recover()
	f()
}

func (c *loopConn) recover() {
	if r := recover(); r != nil {
		c.loop.log.Error("panic in a connection's handler", zap.Any("panic", r), zap.Stack("stack"))
		c.handler = discard{c.handler}
		c.end(errPanic)
	}
}

func (c *loopConn) events(events uint32) {
	if c.closed {
		return
	}
	if events&(syscall.EPOLLOUT|syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
		c.writable()
	}
	if !c.mayRead() {
		if events != 0 {
			c.notNow(events)
		}
		return
	}
	c.read()
}

func (c *loopConn) mayRead() bool {
	return c.finishing || !c.paused && c.held.Load() == 0
}

// proceed goes on with what waited. It runs on the home loop. What the socket
// holds beyond that epoll will tell, so it costs no system call to look.
func (c *loopConn) proceed() {
	if c.closed || !c.mayRead() {
		return
	}
	c.ask(readable, 0)
	c.protect(func() { c.handOn() })
}

// notNow stops the events of a connection that may not be read at present.
// That costs a system call, so it is done only when events come.
func (c *loopConn) notNow(events uint32) {
	c.ask(0, readable)
	if events&hangup != 0 && !c.hungUp {
		c.hungUp = true
		c.handler.HungUp()
	}
}

// ask changes what epoll reports.
func (c *loopConn) ask(set, clear uint32) {
	c.imu.Lock()
	defer c.imu.Unlock()
	want := c.interest&^clear | set
	if want != c.interest && c.loop.control(syscall.EPOLL_CTL_MOD, c.io.fd, want) == nil {
		c.interest = want
	}
}

// armWritable asks to be told when the kernel takes bytes again. It may be
// called on any loop.
func (c *loopConn) armWritable() { c.ask(syscall.EPOLLOUT, 0) }

// writable sends what waited, and lets go on who waited for that.
func (c *loopConn) writable() {
	c.io.mu.Lock()
	gone := c.io.flush()
	if gone && c.io.armed {
		c.io.armed = false
		c.ask(0, syscall.EPOLLOUT)
	}
	c.io.mu.Unlock()
	if !gone {
		return
	}
	c.wmu.Lock()
	c.release()
	c.wmu.Unlock()
	if c.finishing {
		if c.linger <= 0 {
			c.end(net.ErrClosed)
			return
		}
		c.shutdown()
	}
}

// read takes from the socket what there is, within bounds, and hands it on.
// Where a read fills its buffer only in part, the socket is empty, and the
// read that would find it so is saved. What the bounds leave epoll reports
// again.
func (c *loopConn) read() {
	for range readsPerEvent {
		full := false
		if len(c.unread) == 0 && c.io.eof == nil {
			n, err := c.io.receive(c.loop.raw)
			c.io.in, c.io.eof = c.loop.raw[:n], err
			full = n == len(c.loop.raw)
		}
		if !c.handOn() || !full {
			return
		}
	}
}

// handOn hands the handler what was read and reports whether it may have more.
func (c *loopConn) handOn() bool {
	if len(c.unread) > 0 {
		c.io.in = append(c.loop.raw[:0], c.unread...)
		giveBack(c.unread)
		c.unread = nil
	}
	err := c.deliver()
	if c.closed {
		return false
	}
	if err != nil {
		c.end(err)
		return false
	}
	if len(c.io.in) > 0 {
		c.unread = append(borrow(), c.io.in...)
	}
	c.io.in = nil
	return c.mayRead()
}

// deliver hands the handler what was read, until there is no more or it wants
// no more. What it left before is offered again even where nothing follows: it
// may have waited for something else than bytes.
func (c *loopConn) deliver() error {
	for {
		have := copy(c.loop.plain, c.rest)
		if c.rest != nil {
			giveBack(c.rest)
			c.rest = nil
		}
		fresh, err := c.fill(have)
		have += fresh
		if have > 0 && !c.finishing {
			used := c.handler.Data(c.loop.plain[:have])
			if c.closed {
				return nil
			}
			if used < have {
				c.rest = append(borrow(), c.loop.plain[used:have]...)
			}
		}
		switch {
		case err == errWouldBlock:
			return nil
		case err != nil:
			return err
		case !c.mayRead():
			return nil
		case len(c.rest) == len(c.loop.plain):
			return io.ErrShortBuffer // a handler that uses nothing of a full buffer never will
		}
	}
}

// fill reads plaintext behind what is already in the loop's buffer, until
// there is no more or the buffer is full.
func (c *loopConn) fill(have int) (n int, err error) {
	plain := c.loop.plain
	for have+n < len(plain) && err == nil {
		var m int
		if c.tls != nil {
			m, err = c.tls.Read(plain[have+n:])
		} else {
			m, err = c.io.read(plain[have+n:])
		}
		n += m
	}
	return n, err
}

func (c *loopConn) timedOut() {
	if c.finishing {
		c.end(net.ErrClosed)
		return
	}
	c.handler.TimedOut()
}

// end is the end of a connection, on its home loop.
func (c *loopConn) end(err error) {
	if c.closed {
		return
	}
	c.closed = true
	giveBack(c.rest)
	giveBack(c.unread)
	c.rest, c.unread, c.io.in = nil, nil, nil
	c.io.mu.Lock()
	c.io.err = net.ErrClosed
	c.io.drop()
	c.io.mu.Unlock()
	c.loop.forget(c)
	c.wmu.Lock()
	c.release()
	c.wmu.Unlock()
	c.protect(func() { c.handler.Closed(err) })
}

// discard stands for a handler that panicked: only its Closed is called.
type discard struct{ Handler }

func (discard) Data(b []byte) int { return len(b) }
func (discard) HungUp()           {}
func (discard) TimedOut()         {}
