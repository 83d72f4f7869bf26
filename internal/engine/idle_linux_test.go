package engine

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestAnIdleConnectionOwnsNoGoroutineNoBufferAndNoTimer(t *testing.T) {
	const conns = 1000
	e := newEngine(t, 2)
	before := runtime.NumGoroutine()
	handlers := make([]*testHandler, conns)
	for i := range handlers {
		handlers[i] = echo()
		roundTrip(t, adopt(t, e, i%10 == 0, handlers[i]), []byte("hello"))
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines more than without %d connections", n-before, conns)
	}
	for _, h := range handlers {
		c := h.conn.(*loopConn)
		at(t, c, func() {
			if c.rest != nil || c.unread != nil || c.io.in != nil || c.io.out != nil {
				t.Error("an idle connection keeps a buffer")
			}
			if c.dueAt >= 0 || len(c.loop.timeouts.heap) > 0 {
				t.Error("an idle connection has a timer")
			}
		})
	}
}

func TestConnectionsAreSpreadEvenlyOverLoops(t *testing.T) {
	e := newEngine(t, 4).(*Loops)
	for range 40 {
		adopt(t, e, false, newHandler())
	}
	for i, l := range e.loops {
		if n := l.count.Load(); n != 10 {
			t.Errorf("loop %d has %d connections of 40", i, n)
		}
	}
}

// descriptors returns how many descriptors the process has.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestNoDescriptorIsLeftOf500Connections(t *testing.T) {
	ends := []func(h *testHandler, peer net.Conn){
		func(_ *testHandler, peer net.Conn) { peer.Close() },
		func(_ *testHandler, peer net.Conn) { abort(peer) },
		func(h *testHandler, _ net.Conn) { h.conn.Close() },
		func(h *testHandler, _ net.Conn) { h.conn.Finish(0) },
		func(h *testHandler, peer net.Conn) { h.conn.Finish(time.Hour); peer.Close() },
		func(h *testHandler, _ net.Conn) { h.conn.Post(panics) },
		func(h *testHandler, _ net.Conn) { h.conn.Write(make([]byte, much), h.conn); h.conn.Close() },
	}
	adopt(t, newEngine(t, 1), true, newHandler()) // what the process opens once
	before := descriptors(t)
	e := newEngine(t, 2)
	for i := range 500 {
		h := newHandler()
		peer := adopt(t, e, i%10 == 0, h)
		ends[i%len(ends)](h, peer)
		receive(t, "the end", h.ended)
		peer.Close()
	}
	e.Close()
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

// A handler that keeps a connection paused whose peer is gone must not keep
// its loop awake: epoll reports a reset whether it was asked to or not.
func TestAConnectionThatWasResetWhilePausedCostsNoTime(t *testing.T) {
	e := newEngine(t, 1)
	h, peer := pausedPeer(t, e, false)
	told, tell := signal()
	clock := newHandler()
	adopt(t, e, false, clock)
	passed, pass := signal()
	at(t, h.conn, func() { h.hungUp, clock.timedOut = tell, pass })
	abort(peer)
	receive(t, "HungUp", told)
	begun := loopTime(t, h.conn)
	at(t, clock.conn, func() { clock.conn.SetTimeout(300 * time.Millisecond) })
	receive(t, "the timeout", passed)
	if spent := loopTime(t, h.conn) - begun; spent > 50*time.Millisecond {
		t.Errorf("the loop was busy for %v of 300ms", spent)
	}
}

// loopTime returns how much CPU time the connection's loop has used.
func loopTime(t *testing.T, c Conn) (spent time.Duration) {
	t.Helper()
	const rusageThread = 1
	at(t, c, func() {
		var usage syscall.Rusage
		if err := syscall.Getrusage(rusageThread, &usage); err != nil {
			t.Error(err)
		}
		spent = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	})
	return spent
}
