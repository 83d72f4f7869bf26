package engine

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestClosedIsCalledOnceInEveryWayAConnectionCanEnd(t *testing.T) {
	ways := []struct {
		name string
		end  func(h *testHandler, peer net.Conn)
		want error // nil: any
	}{
		{"the peer closes", func(_ *testHandler, peer net.Conn) { peer.Close() }, io.EOF},
		{"the peer resets", func(_ *testHandler, peer net.Conn) { abort(peer) }, syscall.ECONNRESET},
		{"Close", func(h *testHandler, _ net.Conn) { h.conn.Close() }, net.ErrClosed},
		{"Close and Close", func(h *testHandler, _ net.Conn) { h.conn.Close(); h.conn.Close() }, net.ErrClosed},
		{"Finish", func(h *testHandler, _ net.Conn) { h.conn.Finish(0) }, net.ErrClosed},
		{"Finish and Close", func(h *testHandler, _ net.Conn) { h.conn.Finish(time.Hour); h.conn.Close() }, net.ErrClosed},
		{"Close and a peer that closes", func(h *testHandler, peer net.Conn) { peer.Close(); h.conn.Close() }, nil},
		{"Close in Data", func(h *testHandler, peer net.Conn) { inData(h, peer, func() { h.conn.Close() }) }, net.ErrClosed},
		{"Finish in Data", func(h *testHandler, peer net.Conn) { inData(h, peer, func() { h.conn.Finish(0) }) }, net.ErrClosed},
		{"Pause and Close in Data", func(h *testHandler, peer net.Conn) {
			inData(h, peer, func() { h.conn.Pause(); h.conn.Close() })
		}, net.ErrClosed},
		{"Close in TimedOut", func(h *testHandler, _ net.Conn) { inTimedOut(h, func() { h.conn.Close() }) }, net.ErrClosed},
		{"a panic in Data", func(h *testHandler, peer net.Conn) { inData(h, peer, panics) }, errPanic},
		{"a panic in TimedOut", func(h *testHandler, _ net.Conn) { inTimedOut(h, panics) }, errPanic},
		{"a panic in a posted function", func(h *testHandler, _ net.Conn) { h.conn.Post(panics) }, errPanic},
		{"a panic in HungUp", func(h *testHandler, peer net.Conn) {
			h.conn.Post(func() { h.conn.Pause(); h.hungUp = panics })
			peer.Write([]byte("unread"))
			peer.Close()
		}, nil}, // the peer may be gone before the pause
		{"a panic in Closed", func(h *testHandler, peer net.Conn) {
			h.conn.Post(func() { h.onClosed = panics; h.conn.Close() })
		}, net.ErrClosed},
		{"everything used after the end", func(h *testHandler, peer net.Conn) {
			h.conn.Post(func() { h.onClosed = func() { useAll(h) }; h.conn.Close() })
		}, net.ErrClosed},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			eachLeg(t, func(t *testing.T, e Engine, secure bool) {
				h, neighbour := newHandler(), echo()
				h.timedOut = func() { t.Error("TimedOut was called") }
				peer := adopt(t, e, secure, h)
				other := adopt(t, e, secure, neighbour)
				way.end(h, peer)
				err := receive(t, "the end", h.ended)
				if way.want != nil && !errors.Is(err, way.want) {
					t.Errorf("ended with %v, want %v", err, way.want)
				}
				useAll(h)
				roundTrip(t, other, []byte("the others go on"))
				if h.late.Load() > 0 {
					t.Error("a posted function ran after the end")
				}
				if n := h.closes.Load(); n != 1 {
					t.Errorf("Closed was called %d times", n)
				}
			})
		})
	}
}

func panics() { panic("a test's panic") }

func inData(h *testHandler, peer net.Conn, f func()) {
	h.conn.Post(func() {
		h.data = func(b []byte) int {
			f()
			return len(b)
		}
		go peer.Write([]byte("x"))
	})
}

func inTimedOut(h *testHandler, f func()) {
	h.conn.Post(func() {
		h.timedOut = f
		h.conn.SetTimeout(time.Millisecond)
	})
}

// useAll calls what may be called of a connection that has ended.
func useAll(h *testHandler) {
	c := h.conn
	c.Write([]byte("goes nowhere"), c)
	c.Unsent()
	c.Free(c)
	c.Resume()
	c.Post(func() { h.late.Add(1) })
	c.Hurry(time.Second)
	c.Finish(time.Second)
	c.Close()
}

func TestAPanicIsLoggedOnce(t *testing.T) {
	for _, make := range []func(*zap.Logger) (Engine, error){
		func(log *zap.Logger) (Engine, error) { return New(log, 1) },
		func(log *zap.Logger) (Engine, error) { return NewPortable(log), nil },
	} {
		core, logs := observer.New(zap.DebugLevel)
		e, err := make(zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		h := newHandler()
		adopt(t, e, false, h)
		h.conn.Post(panics)
		receive(t, "the end", h.ended)
		e.Close()
		if n := logs.Len(); n != 1 {
			t.Errorf("%d lines were logged", n)
		}
	}
}

func TestADeadSocketIsAdoptedAndEnds(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		ours, theirs := tcpPair(t)
		theirs.Close()
		ours.Close()
		h := newHandler()
		take(t, e, NewTransport(ours), nil, h)
		if err := receive(t, "the end", h.ended); err == nil {
			t.Error("it ended without an error")
		}
	})
}

func TestAPeerThatLeftBeforeAdoptionIsNoticed(t *testing.T) {
	ways := map[string]func(net.Conn){"close": func(c net.Conn) { c.Close() }, "reset": abort}
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e Engine) {
				ours, theirs := tcpPair(t)
				leave(theirs)
				h := newHandler()
				take(t, e, NewTransport(ours), nil, h)
				receive(t, "the end", h.ended)
			})
		})
	}
}

func TestAConnectionMayBeUsedBeforeAdoptReturns(t *testing.T) {
	ways := map[string]func(Conn){
		"Close":  Conn.Close,
		"Finish": func(c Conn) { c.Finish(0) },
		"a large write": func(c Conn) {
			sent := make(chan struct{})
			go func() {
				c.Write(make([]byte, much), nil)
				c.Finish(0)
				close(sent)
			}()
			if _, ok := c.(*goConn); !ok {
				<-sent // it does not wait for the peer
			}
		},
	}
	for name, use := range ways {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e Engine) {
				ours, theirs := tcpPair(t)
				h := newHandler()
				e.Adopt(NewTransport(ours), nil, h, func(c Conn) {
					h.conn = c
					use(c)
				})
				got, err := io.ReadAll(theirs)
				if err != nil || name == "a large write" && len(got) != much {
					t.Errorf("the peer read %d bytes and then: %v", len(got), err)
				}
				receive(t, "the end", h.ended)
			})
		})
	}
}

func TestAnEngineClosesWhenItsLastConnectionHasEnded(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		h := echo()
		peer := adopt(t, e, true, h)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			e.Close()
		}()
		for range 10 {
			roundTrip(t, peer, []byte("still here"))
		}
		select {
		case <-closed:
			t.Fatal("Close returned although a connection is left")
		default:
		}
		peer.Close()
		receive(t, "Close", closed)
		if n := h.closes.Load(); n != 1 {
			t.Errorf("Closed was called %d times before Close returned", n)
		}
	})
}
