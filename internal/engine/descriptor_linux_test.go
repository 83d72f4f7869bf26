package engine

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// A connection's descriptor is somebody else's as soon as it is closed. In
// these tests another connection, with bytes to read, gets it at once.

// inherit has other take over the descriptor of h when that is closed.
func inherit(t *testing.T, h *testHandler, other *net.TCPConn) {
	t.Helper()
	raw, err := other.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	h.onClosed = func() {
		raw.Control(func(fd uintptr) {
			if err := syscall.Dup3(int(fd), h.conn.(*loopConn).io.fd, syscall.O_CLOEXEC); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		syscall.Close(h.conn.(*loopConn).io.fd)
		other.Close()
	})
}

func TestAnEventReadsNothingOnceItHasEndedItsConnection(t *testing.T) {
	e := newEngine(t, 1)
	h := newHandler()
	adopt(t, e, false, h)
	other, otherPeer := tcpPair(t)
	write(t, otherPeer, []byte("not for you"))
	inherit(t, h, other)
	at(t, h.conn, func() {
		c := h.conn.(*loopConn)
		c.finishing = true // and all is sent
		c.events(syscall.EPOLLIN | syscall.EPOLLOUT)
	})
	receive(t, "the end", h.ended)
	if !HasUnread(other) {
		t.Error("bytes of another connection were read")
	}
}

func TestAConnectionClosedBeforeItsLoopKnewItIsNotWatched(t *testing.T) {
	e := newEngine(t, 1)
	ours, _ := tcpPair(t)
	other, _ := tcpPair(t)
	h, neighbour := newHandler(), newHandler()
	adopt(t, e, false, neighbour)
	e.Adopt(NewTransport(ours), nil, h, func(c Conn) {
		h.conn = c
		inherit(t, h, other)
		c.Close()
	})
	receive(t, "the end", h.ended)
	at(t, neighbour.conn, func() {
		c := h.conn.(*loopConn)
		if c.watched || c.loop.conn(c.io.fd) != nil {
			t.Error("the loop watches a descriptor that is somebody else's")
		}
	})
}

// Records that are being gathered by a writer on another loop are neither sent
// nor waiting for the kernel.
func TestFinishWaitsForAWriteInItsMiddle(t *testing.T) {
	e := newEngine(t, 1)
	h := newHandler()
	peer := adopt(t, e, true, h)
	c := h.conn.(*loopConn)
	c.wmu.Lock()
	c.io.cork()
	c.tls.Write([]byte("last words"))
	c.Finish(0)
	select {
	case <-h.ended:
		t.Error("the connection was closed in the middle of a write")
	case <-time.After(20 * time.Millisecond):
	}
	c.io.uncork()
	c.wmu.Unlock()
	if got, err := io.ReadAll(peer); err != nil || string(got) != "last words" {
		t.Errorf("the peer read %q and then: %v", got, err)
	}
}

// Who posts a task claims the wake-up first and writes to the loop's eventfd
// then. The loop may have ended in between, and the descriptor be reused.
func TestALoopDoesNotEndWhileSomebodyIsAboutToWakeIt(t *testing.T) {
	e := newEngine(t, 1).(*Loops)
	l := e.loops[0]
	h := newHandler()
	peer := adopt(t, e, false, h)
	for begun := time.Now(); !l.sleeping.Swap(false); {
		if time.Since(begun) > patience {
			t.Fatal("the loop never sleeps")
		}
	}
	peer.Close()
	receive(t, "the end", h.ended)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		e.Close()
	}()
	select {
	case <-closed:
		t.Fatal("the loop has ended")
	case <-time.After(20 * time.Millisecond):
	}
	l.wake()
	receive(t, "Close", closed)
}
