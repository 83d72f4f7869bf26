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
	// maxRecord is the most plaintext that a record of tls may hold.
	maxRecord int
	io        nonBlocking
	// proceed and resume, as values made once.
	onFree, onResume func()

	// Owned by the home loop.
	paused    bool
	hungUp    bool // HungUp was called since it was last read
	missed    bool // the peer left while the loop was suspended
	finishing bool // what arrives is discarded
	linger    time.Duration
	closed    bool
	fat       bool   // in the loop's list of those whose buffers are large
	active    bool   // was read since the loop last looked at that list
	rest      []byte // plaintext that the handler left
	unread    []byte // bytes of the socket that wait for the handler
	due       time.Time
	dueAt     int // place in the heap, -1: none

	held atomic.Int32 // number of connections with unsent bytes of ours, and of Suspend

	wmu     sync.Mutex  // one Write at a time, and guards below
	waiting []*loopConn // are not read until our unsent bytes are gone

	imu      sync.Mutex // guards below
	watched  bool       // epoll knows the socket
	interest uint32     // what epoll is asked for
}

// Post implements Conn.
func (c *loopConn) Post(f func()) { c.loop.add(task{c, f}) }

// SetTimeout implements Conn. Finish has the last word on it.
func (c *loopConn) SetTimeout(d time.Duration) {
	if c.closed || c.finishing {
		return
	}
	due := time.Time{}
	if d > 0 {
		due = c.loop.now().Add(d)
	}
	c.loop.timeouts.set(c, due)
}

// Hurry implements Conn. Nothing blocks here.
func (c *loopConn) Hurry(time.Duration) {}

// Finish implements Conn.
func (c *loopConn) Finish(linger time.Duration) {
	c.loop.post(func() { c.finish(linger) })
}

func (c *loopConn) finish(linger time.Duration) {
	if c.closed || c.finishing {
		return
	}
	c.SetTimeout(max(linger, finishWait))
	c.finishing, c.linger = true, linger
	if c.tls != nil {
		c.wmu.Lock() // what others write now has been gathered and sent by then
		c.tls.CloseWrite()
		c.wmu.Unlock()
	}
	if !c.io.unsent() {
		c.allSent()
	}
	c.proceed()
}

// allSent continues Finish once everything has been sent.
func (c *loopConn) allSent() {
	if c.linger <= 0 {
		c.end(net.ErrClosed)
		return
	}
	c.shutdown()
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
		c.loop.panics.Add(1)
		c.loop.log.Error("panic in a connection's handler", append(logFields(c.handler), zap.Any("panic", r), zap.Stack("stack"))...)
		c.end(errPanic)
	}
}

func (c *loopConn) events(events uint32) {
	if events&(syscall.EPOLLOUT|syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
		c.writable()
	}
	switch {
	case c.closed || events&(readable|hangup) == 0:
		// Once it is closed its descriptor may be reused.
	case c.mayRead():
		c.read()
	default:
		c.notNow(events)
	}
}

// proceed goes on with what waited. It runs on the home loop. What the socket
// holds beyond that epoll will tell, so it costs no system call to look.
func (c *loopConn) proceed() {
	if c.closed || !c.mayRead() {
		return
	}
	c.hungUp = false
	c.ask(readable, edge)
	defer c.recover()
	c.handOn()
}

// notNow disables the events of a connection that must not be read now.
// That costs a system call, so it is done only when events come. A peer that
// leaves is still reported, but once: epoll can't be told to be silent about
// a connection that was reset.
func (c *loopConn) notNow(events uint32) {
	c.ask(syscall.EPOLLRDHUP|edge, syscall.EPOLLIN)
	switch {
	case events&hangup == 0:
	case c.loop.suspended:
		c.missed = true
	default:
		c.hangUp()
	}
}

// hangUp tells the handler, once, that the peer has closed its side.
func (c *loopConn) hangUp() {
	if !c.hungUp {
		c.hungUp = true
		c.handler.HungUp()
	}
}

// watch adds the socket to epoll.
func (c *loopConn) watch() error {
	c.imu.Lock()
	defer c.imu.Unlock()
	c.watched = true
	c.interest |= readable // a writer may have asked for more
	return c.loop.control(syscall.EPOLL_CTL_ADD, c.io.fd, c.interest)
}

// ask changes what epoll reports.
func (c *loopConn) ask(set, clear uint32) {
	c.imu.Lock()
	defer c.imu.Unlock()
	want := c.interest&^clear | set
	if want == c.interest {
		return
	}
	c.interest = want
	if c.watched {
		c.loop.control(syscall.EPOLL_CTL_MOD, c.io.fd, want) // the socket is open, so this can't fail
	}
}

// read takes from the socket what there is, within bounds, and hands it on.
// If a read fills its buffer only in part, the socket is empty, and the
// read that would find it so is saved. What the bounds leave epoll reports
// again.
func (c *loopConn) read() {
	if c.io.overdue() {
		c.end(errBacklog)
		return
	}
	for range readsPerEvent {
		full := false
		if len(c.unread) == 0 && c.io.eof == nil {
			raw := c.loop.raw[:c.room()]
			n, err := c.io.receive(raw)
			c.io.in, c.io.eof = raw[:n], err
			full = n == len(raw)
		}
		if !c.handOn() || !full {
			return
		}
	}
}

// room returns how many bytes may be read, so that what comes of them fits the
// handler's buffer beside what is there already. Then nothing has to be kept
// that was read and not decrypted.
func (c *loopConn) room() int {
	there := len(c.rest)
	if c.tls != nil {
		there += held(c.tls)
	}
	return max(len(c.loop.plain)-there, leastRead)
}

// leastRead is what is read of a socket at least.
const leastRead = 1 << 10

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
	if err == io.EOF && c.finishing && c.io.unsent() {
		// It closed only its sending side, and may read yet what waits for it.
		c.linger = 0
		c.ask(0, readable)
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
	if c.tls != nil && fat(c.tls) {
		c.active = true
		if !c.fat {
			c.fat = true
			c.loop.fat = append(c.loop.fat, c)
		}
	}
	return c.mayRead()
}

// deliver hands the handler what was read, until there is nothing left or it pauses.
// What it left before is offered again even if nothing follows: it
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
		case !c.mayRead():
			if err != nil { // which the next read returns again
				c.hangUp()
			}
			return nil
		case err != nil:
			return err
		case len(c.rest) == len(c.loop.plain):
			return errFull // a handler that uses nothing of a full buffer never will
		}
	}
}

// fill reads plaintext behind what is already in the loop's buffer, until
// there is no more or the buffer is full.
func (c *loopConn) fill(have int) (n int, err error) {
	plain := c.loop.plain
	for have+n < len(plain) && err == nil {
		if n > 0 && c.empty() {
			return n, errWouldBlock
		}
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

// empty reports whether it is known, after a read without an error, that the
// next one would find nothing.
func (c *loopConn) empty() bool {
	return len(c.io.in) == 0 && c.io.eof == nil && (c.tls == nil || drained(c.tls))
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
	c.releaseAll()
	c.protect(func() { c.handler.Closed(err) })
}
