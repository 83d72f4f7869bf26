package engine

import (
	"fmt"
	"io"
	"net"
	"testing"
)

// stall fills b, whose peer does not read, and has bytes from a wait there.
func stall(t *testing.T, source net.Conn, a, b *testHandler) {
	t.Helper()
	full, stalled := signal()
	link(t, a, b, stalled)
	b.conn.Write(make([]byte, much), nil)
	write(t, source, []byte("waits"))
	receive(t, "bytes that wait", full)
	write(t, source, []byte("is not read"))
}

// eachLoops is eachLeg without the portable engine, where writes block.
func eachLoops(t *testing.T, f func(t *testing.T, e Engine, secure bool)) {
	t.Helper()
	for _, loops := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			e := newEngine(t, loops)
			t.Run("plain", func(t *testing.T) { f(t, e, false) })
			t.Run("tls", func(t *testing.T) { f(t, e, true) })
		})
	}
}

func TestFreeLetsTheSourceGoOn(t *testing.T) {
	eachLoops(t, func(t *testing.T, e Engine, secure bool) {
		a, b := newHandler(), newHandler()
		source := adopt(t, e, secure, a)
		adopt(t, e, secure, b)
		stall(t, source, a, b)
		more, tell := signal()
		at(t, a.conn, func() {
			a.data = func(p []byte) int {
				tell()
				return len(p)
			}
		})
		at(t, a.conn, func() {})
		if len(more) > 0 {
			t.Fatal("the source was read although its bytes wait")
		}
		b.conn.Free(b.conn) // which has no bytes there
		at(t, a.conn, func() {})
		if len(more) > 0 {
			t.Fatal("Free of somebody else let the source go on")
		}
		b.conn.Free(a.conn)
		receive(t, "bytes from the source", more)
	})
}

func TestASourceGoesOnWhenItsSlowPeerIsClosed(t *testing.T) {
	eachLoops(t, func(t *testing.T, e Engine, secure bool) {
		a, b := newHandler(), newHandler()
		source := adopt(t, e, secure, a)
		adopt(t, e, secure, b)
		stall(t, source, a, b)
		more, tell := signal()
		at(t, a.conn, func() {
			a.data = func(p []byte) int {
				tell()
				b.conn.Write(p, a.conn) // goes nowhere
				return len(p)
			}
		})
		b.conn.Close()
		for range 3 {
			receive(t, "bytes from the source", more)
			write(t, source, []byte("more"))
		}
	})
}

// A session asks to be read only when its client has taken what waits for it,
// while the server's bytes may wait there too.
func TestAConnectionCanWaitForItsOwnBytesBesideOthers(t *testing.T) {
	eachLoops(t, func(t *testing.T, e Engine, secure bool) {
		a, b := newHandler(), newHandler()
		source, sink := adopt(t, e, secure, a), adopt(t, e, secure, b)
		stall(t, source, a, b)
		in := newInbox()
		asked, ask := signal()
		at(t, b.conn, func() {
			b.data = func(p []byte) int {
				if b.conn.Unsent() {
					b.conn.Write(nil, b.conn)
					ask()
					return 0
				}
				return in.add(p)
			}
		})
		write(t, sink, []byte("next query"))
		receive(t, "the query's first offer", asked)
		at(t, a.conn, func() { a.data = nil }) // the answer ends here
		b.conn.Free(a.conn)
		if b.conn.(*loopConn).held.Load() == 0 {
			t.Fatal("the connection does not wait")
		}
		go io.Copy(io.Discard, sink)
		in.want(t, []byte("next query"))
	})
}
