package engine

import (
	"slices"
	"syscall"
)

// Write implements Conn.
func (c *loopConn) Write(b []byte, from Conn) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.tls == nil {
		c.io.write(b)
	} else {
		c.writeTLS(b)
	}
	if from, ok := from.(*loopConn); ok && c.io.unsent() && !slices.Contains(c.waiting, from) {
		c.waiting = append(c.waiting, from)
		from.held.Add(1)
	}
}

// writeTLS sends b by one system call: its records are gathered first.
func (c *loopConn) writeTLS(b []byte) {
	if len(b) <= c.maxRecord {
		c.tls.Write(b)
		return
	}
	c.io.cork()
	writeRecords(c.tls, b, c.maxRecord)
	c.io.uncork()
}

// Unsent implements Conn.
func (c *loopConn) Unsent() bool { return c.io.unsent() }

// Free implements Conn.
func (c *loopConn) Free(from Conn) {
	if f, ok := from.(*loopConn); ok && f.held.Load() == 0 {
		return // no connection has bytes of it
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	i := slices.IndexFunc(c.waiting, func(w *loopConn) bool { return w == from })
	if i >= 0 {
		w := c.waiting[i]
		c.waiting = slices.Delete(c.waiting, i, i+1)
		w.release()
	}
}

// releaseAll resumes the connections whose bytes were waiting here.
func (c *loopConn) releaseAll() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	for i, w := range c.waiting {
		c.waiting[i] = nil
		w.release()
	}
	c.waiting = c.waiting[:0]
}

// release says that one connection less holds bytes of this one.
func (c *loopConn) release() {
	if c.held.Add(-1) == 0 {
		c.loop.post(c.onFree)
	}
}

// Pause implements Conn.
func (c *loopConn) Pause() { c.paused = true }

// Resume implements Conn.
func (c *loopConn) Resume() { c.loop.post(c.onResume) }

func (c *loopConn) resume() {
	c.paused = false
	c.proceed()
}

func (c *loopConn) mayRead() bool {
	return c.finishing || !c.paused && c.held.Load() == 0
}

// armWritable requests an event for when the kernel accepts bytes again. It may be
// called on any loop.
func (c *loopConn) armWritable() { c.ask(syscall.EPOLLOUT, 0) }

// writable sends what was waiting, and resumes the connections it came from.
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
	c.releaseAll()
	if c.finishing {
		c.allSent()
	}
}
