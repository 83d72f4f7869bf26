package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

func TestPausesAtAnyMomentLoseAndReorderNothing(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		random := rand.New(rand.NewPCG(1, 2))
		in := newInbox()
		h := newHandler()
		resumes := make(chan struct{}, 1000)
		defer close(resumes)
		go func() {
			for range resumes {
				h.conn.Resume()
			}
		}()
		h.data = func(b []byte) int {
			switch random.IntN(3) {
			case 0:
				h.conn.Pause()
				b = b[:random.IntN(len(b)+1)]
				resumes <- struct{}{}
			case 1:
				b = b[:(len(b)+1)/2]
				h.conn.Resume()
			}
			return in.add(b)
		}
		peer := adopt(t, e, secure, h)
		sent := pattern(1 << 20)
		go func() {
			sizes := rand.New(rand.NewPCG(3, 4))
			for b := sent; len(b) > 0; {
				n := min(len(b), 1+sizes.IntN(1<<sizes.IntN(17)))
				peer.Write(b[:n])
				b = b[n:]
			}
		}()
		in.want(t, sent)
	})
}

func TestWhilePausedNothingIsDelivered(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		calls := 0
		paused, pause := signal()
		h.data = func(b []byte) int {
			calls++
			h.conn.Pause()
			pause()
			return 0
		}
		peer := adopt(t, e, secure, h)
		write(t, peer, []byte("1"))
		receive(t, "the pause", paused)
		for range 20 {
			write(t, peer, []byte("2"))
			at(t, h.conn, func() {})
		}
		at(t, h.conn, func() {
			if calls != 1 {
				t.Errorf("Data was called %d times", calls)
			}
		})
	})
}

// pausedPeer returns a handler that paused at its first bytes, and its peer.
func pausedPeer(t *testing.T, e Engine, secure bool) (*testHandler, net.Conn) {
	t.Helper()
	h := newHandler()
	paused, pause := signal()
	h.data = func(b []byte) int {
		h.conn.Pause()
		pause()
		return 0
	}
	peer := adopt(t, e, secure, h)
	write(t, peer, []byte("first"))
	receive(t, "the pause", paused)
	return h, peer
}

func TestAPeerThatLeavesWhilePausedIsNoticed(t *testing.T) {
	ways := map[string]func(net.Conn){
		"close": func(c net.Conn) { c.Close() },
		"reset": abort,
	}
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			eachLeg(t, func(t *testing.T, e Engine, secure bool) {
				h, peer := pausedPeer(t, e, secure)
				told, tell := signal()
				times := 0
				at(t, h.conn, func() { h.hungUp = func() { times++; tell() } })
				// Bytes that come first must not hide the end that follows.
				write(t, peer, []byte("second"))
				at(t, h.conn, func() {})
				leave(peer)
				receive(t, "HungUp", told)
				at(t, h.conn, func() {
					if times != 1 {
						t.Errorf("HungUp was called %d times", times)
					}
					if len(h.ended) > 0 {
						t.Error("the connection ended although it is paused")
					}
				})
				h.conn.Close()
				if err := receive(t, "the end", h.ended); !errors.Is(err, net.ErrClosed) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestWhatAPeerSentBeforeItLeftIsDeliveredAfterResume(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h, peer := pausedPeer(t, e, secure)
		told, tell := signal()
		in := newInbox()
		at(t, h.conn, func() { h.hungUp, h.data = tell, in.add })
		write(t, peer, []byte(" second"))
		peer.Close()
		receive(t, "HungUp", told)
		h.conn.Resume()
		in.want(t, []byte("first second"))
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAPauseBeforeAnEndInTheSameSegmentKeepsTheBytes(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		ours, theirs := tcpPair(t)
		link := &gathered{TCPConn: theirs}
		client := tls.Client(link, clientTLS())
		h := newHandler()
		in := newInbox()
		told, tell := signal()
		h.data = func([]byte) int {
			h.conn.Pause()
			h.data = in.add
			return 0
		}
		h.hungUp = tell
		adoptTLS(t, e, ours, func() error { return errors.Join(client.Handshake(), link.flush()) }, h)
		client.Write([]byte("query"))
		client.CloseWrite()                  // the alert comes with the query
		theirs.SetWriteDeadline(time.Time{}) // which CloseWrite set
		if err := link.flush(); err != nil {
			t.Fatal(err)
		}
		receive(t, "HungUp", told)
		h.conn.Resume()
		in.want(t, []byte("query"))
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestASecondPauseIsToldAgainThatThePeerHasLeft(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h, peer := pausedPeer(t, e, secure)
		told, tell := signal()
		at(t, h.conn, func() { h.hungUp = tell })
		write(t, peer, bytes.Repeat([]byte("x"), 100))
		peer.Close()
		for range 3 {
			receive(t, "HungUp", told)
			h.conn.Resume() // Data pauses again
		}
	})
}
