package proxy

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/engine"
)

// admission bounds how many TLS handshakes are computed at once, so that a
// storm of them leaves processors to queries, and serves sources in turn, so
// that one of them can't keep the others out.
//
// A handshake asks for its turn when its ClientHello has come in full, and its
// turn is over when it waits for the client again: a client that stalls takes
// nobody's place. Where certificates of clients are verified it asks again for
// what comes then, since a chain can be made that costs more than all the rest.
type admission struct {
	mu      sync.Mutex
	limit   int
	stats   HandshakeStats
	waiting map[netip.Prefix][]chan struct{} // the queue of each source that has one
	turns   []netip.Prefix                   // those sources, the next first
}

// HandshakeStats counts TLS handshakes of clients by what became of them.
type HandshakeStats struct {
	// Running and Waiting are at this moment: computed, and in the queue.
	Running, Waiting int
	// Succeeded, Failed and Left came to their end, were refused by either
	// side, or lost their client. TimedOut waited in the queue until the end of
	// client_login_timeout; they count as Failed as well.
	Succeeded, Failed, Left, TimedOut uint64
}

// defaultHandshakes leaves half of the processors to queries.
func defaultHandshakes() int { return max(1, runtime.GOMAXPROCS(0)/2) }

func newAdmission() *admission {
	return &admission{limit: defaultHandshakes(), waiting: map[netip.Prefix][]chan struct{}{}}
}

// setLimit changes the bound; zero is the default.
func (a *admission) setLimit(n int) {
	if n == 0 {
		n = defaultHandshakes()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = n
	a.admit()
}

// enter waits for a turn, which leave must end. It returns an error where
// deadline passes first or stop is closed.
func (a *admission) enter(source netip.Prefix, deadline time.Time, stop <-chan struct{}) error {
	a.mu.Lock()
	if a.stats.Running < a.limit && len(a.turns) == 0 {
		a.stats.Running++
		a.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	if len(a.waiting[source]) == 0 {
		a.turns = append(a.turns, source)
	}
	a.waiting[source] = append(a.waiting[source], turn)
	a.stats.Waiting++
	a.mu.Unlock()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
		return a.giveUp(source, turn, os.ErrDeadlineExceeded)
	case <-stop:
		return a.giveUp(source, turn, net.ErrClosed)
	}
}

// giveUp leaves the queue. A turn that has come meanwhile is passed on.
func (a *admission) giveUp(source netip.Prefix, turn chan struct{}, reason error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(reason, os.ErrDeadlineExceeded) {
		a.stats.TimedOut++
	}
	queue := a.waiting[source]
	i := slices.Index(queue, turn)
	if i < 0 {
		a.stats.Running--
		a.admit()
		return reason
	}
	a.stats.Waiting--
	a.keep(source, slices.Delete(queue, i, i+1))
	if len(queue) == 1 {
		a.turns = slices.DeleteFunc(a.turns, func(s netip.Prefix) bool { return s == source })
	}
	return reason
}

// keep sets what is left of a source's queue. mu is held.
func (a *admission) keep(source netip.Prefix, queue []chan struct{}) {
	if len(queue) == 0 {
		delete(a.waiting, source)
	} else {
		a.waiting[source] = queue
	}
}

// leave ends a turn.
func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Running--
	a.admit()
}

// admit gives free turns to who waits, source by source. mu is held.
func (a *admission) admit() {
	for a.stats.Running < a.limit && len(a.turns) > 0 {
		source := a.turns[0]
		a.turns = a.turns[1:]
		queue := a.waiting[source]
		close(queue[0])
		a.stats.Running++
		a.stats.Waiting--
		if a.keep(source, queue[1:]); len(queue) > 1 {
			a.turns = append(a.turns, source)
		}
	}
}

// finished counts how a handshake ended.
func (a *admission) finished(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.stats.Succeeded++
	case errors.Is(err, errProbe):
		a.stats.Left++
	default:
		a.stats.Failed++
	}
}

// Handshakes returns the counts as they are now.
func (p *Server) Handshakes() HandshakeStats {
	p.admission.mu.Lock()
	defer p.admission.mu.Unlock()
	return p.admission.stats
}

// sourceOf is who a connection counts for: an IPv4 address, or the /64 network
// that one IPv6 host can use freely. All unix sockets are one source.
func sourceOf(conn net.Conn) netip.Prefix {
	at, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := at.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// turnConn is the connection under a handshake: its turn ends when it waits for
// the client. It is used by the goroutine that makes the handshake.
type turnConn struct {
	*engine.Transport
	admission *admission
	enter     func() error
	held      bool
	verifies  bool // what the client sends now is work that needs a turn
}

func (c *turnConn) Read(b []byte) (int, error) {
	c.release()
	n, err := c.Transport.Read(b)
	if n > 0 && c.verifies {
		if err := c.take(); err != nil {
			return 0, err
		}
	}
	return n, err
}

func (c *turnConn) take() error {
	if err := c.enter(); err != nil {
		return err
	}
	c.held = true
	return nil
}

func (c *turnConn) release() {
	if c.held {
		c.held = false
		c.admission.leave()
	}
}

// done is called when the handshake is over: what follows needs no turns.
func (c *turnConn) done() {
	c.release()
	c.verifies = false
}
