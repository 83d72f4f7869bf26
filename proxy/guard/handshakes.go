package guard

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// HandshakeLimiter limits the TLS handshakes that run concurrently, so that a storm of
// them leaves CPUs to queries, and serves sources in turn, so that one of them cannot
// starve the others.
//
// A handshake acquires a slot once its ClientHello has arrived completely, and releases
// it while it waits for the client again: a stalled client occupies no slot. If client
// certificates are verified it acquires one again for that, since a chain can be crafted
// that costs more than all the rest.
type HandshakeLimiter struct {
	mu      sync.Mutex
	limit   int
	counts  HandshakeCounts
	waiting map[netip.Prefix][]chan struct{} // the queue of each source that has one
	sources []netip.Prefix                   // those sources, the next first
}

// HandshakeCounts is the current number of TLS handshakes that are running and queued.
type HandshakeCounts struct{ Running, Waiting int }

// NewHandshakeLimiter returns a HandshakeLimiter with the default limit.
func NewHandshakeLimiter() *HandshakeLimiter {
	l := &HandshakeLimiter{waiting: map[netip.Prefix][]chan struct{}{}}
	l.SetLimit(0)
	return l
}

// SetLimit changes how many handshakes run concurrently; zero is the default, which
// leaves half of the CPUs to queries.
func (l *HandshakeLimiter) SetLimit(n int) {
	if n == 0 {
		n = max(1, runtime.GOMAXPROCS(0)/2)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = n
	l.grant()
}

// Counts returns the counts as they are now.
func (l *HandshakeLimiter) Counts() HandshakeCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Acquire waits for a slot, to be returned by Release. It returns
// os.ErrDeadlineExceeded if deadline passes first, and net.ErrClosed if stop is closed;
// then there is nothing to release.
func (l *HandshakeLimiter) Acquire(source netip.Prefix, deadline time.Time, stop <-chan struct{}) error {
	l.mu.Lock()
	if l.counts.Running < l.limit && len(l.sources) == 0 {
		l.counts.Running++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	if len(l.waiting[source]) == 0 {
		l.sources = append(l.sources, source)
	}
	l.waiting[source] = append(l.waiting[source], turn)
	l.counts.Waiting++
	l.mu.Unlock()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
		l.giveUp(source, turn)
		return os.ErrDeadlineExceeded
	case <-stop:
		l.giveUp(source, turn)
		return net.ErrClosed
	}
}

// giveUp leaves the queue. A slot that was granted meanwhile is passed on.
func (l *HandshakeLimiter) giveUp(source netip.Prefix, turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[source]
	i := slices.Index(queue, turn)
	if i < 0 {
		l.counts.Running--
		l.grant()
		return
	}
	l.counts.Waiting--
	l.setQueue(source, slices.Delete(queue, i, i+1))
	if len(queue) == 1 {
		l.sources = slices.DeleteFunc(l.sources, func(s netip.Prefix) bool { return s == source })
	}
}

// setQueue sets what is left of a source's queue. mu is held.
func (l *HandshakeLimiter) setQueue(source netip.Prefix, queue []chan struct{}) {
	if len(queue) == 0 {
		delete(l.waiting, source)
	} else {
		l.waiting[source] = queue
	}
}

// Release returns a slot.
func (l *HandshakeLimiter) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Running--
	l.grant()
}

// grant gives free slots to waiting handshakes, source by source. mu is held.
func (l *HandshakeLimiter) grant() {
	for l.counts.Running < l.limit && len(l.sources) > 0 {
		source := l.sources[0]
		l.sources = l.sources[1:]
		queue := l.waiting[source]
		close(queue[0])
		l.counts.Running++
		l.counts.Waiting--
		if l.setQueue(source, queue[1:]); len(queue) > 1 {
			l.sources = append(l.sources, source)
		}
	}
}

// HandshakeConn is the connection under a handshake: it releases the slot while waiting
// for the client. It is used by the goroutine of the handshake until Done, and passes
// bytes through afterwards.
type HandshakeConn struct {
	net.Conn
	limiter  *HandshakeLimiter
	acquire  func() error
	holds    bool // a turn
	verifies bool // what the client sends now is work that needs a turn
}

// Conn wraps conn for a handshake that waits for its slots until deadline, or until
// stop is closed.
func (l *HandshakeLimiter) Conn(conn net.Conn, deadline time.Time, stop <-chan struct{}) *HandshakeConn {
	source := SourceOf(conn.RemoteAddr())
	return &HandshakeConn{Conn: conn, limiter: l, acquire: func() error { return l.Acquire(source, deadline, stop) }}
}

// Acquire waits for a slot to answer a ClientHello that has arrived. The error is that
// of HandshakeLimiter.Acquire.
func (c *HandshakeConn) Acquire() error {
	if err := c.acquire(); err != nil {
		return err
	}
	c.holds = true
	return nil
}

// VerifyClient says whether a client certificate is requested, so that the handshake
// needs a slot again when that arrives.
func (c *HandshakeConn) VerifyClient(verifies bool) { c.verifies = verifies }

// Read releases the slot, reads, and acquires one again if the bytes require it.
func (c *HandshakeConn) Read(b []byte) (int, error) {
	c.release()
	n, err := c.Conn.Read(b)
	if n > 0 && c.verifies {
		if err := c.Acquire(); err != nil {
			return 0, err
		}
	}
	return n, err
}

func (c *HandshakeConn) release() {
	if c.holds {
		c.holds = false
		c.limiter.Release()
	}
}

// Done must be called when the handshake is over: what follows needs no slots.
func (c *HandshakeConn) Done() {
	c.release()
	c.verifies, c.acquire = false, nil
}
