package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

func TestAPeerReadsTheLastWordsAlthoughItsOwnWereNotRead(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h, peer := pausedPeer(t, e, secure)
		write(t, peer, pattern(100_000)) // nobody reads that before Finish
		h.conn.Write([]byte("last words"), nil)
		h.conn.Finish(5 * time.Second)
		got, err := io.ReadAll(peer)
		if err != nil || string(got) != "last words" {
			t.Errorf("the peer read %q and then: %v", got, err)
		}
		if len(h.ended) > 0 {
			t.Error("the connection did not wait for the peer to close")
		}
		peer.Close()
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFinishThrowsAwayWhatStillComes(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h, peer := pausedPeer(t, e, secure)
		at(t, h.conn, func() {
			h.data = func([]byte) int { t.Error("Data was called"); return 0 }
		})
		h.conn.Finish(5 * time.Second)
		h.conn.Resume()
		if _, err := io.ReadAll(peer); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			write(t, peer, pattern(bufferSize))
		}
		peer.Close()
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFinishSendsAllThatWaits(t *testing.T) {
	for name, linger := range map[string]time.Duration{"then closes": 0, "then waits": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			eachLeg(t, func(t *testing.T, e Engine, secure bool) {
				h := newHandler()
				peer := adopt(t, e, secure, h)
				sent := pattern(much)
				go func() {
					h.conn.Write(sent, nil)
					h.conn.Finish(linger)
				}()
				got, err := io.ReadAll(peer)
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("the peer read %d of %d bytes and then: %v", len(got), len(sent), err)
				}
				peer.Close()
				receive(t, "the end", h.ended)
			})
		})
	}
}

func TestAPeerThatClosedOnlyItsSendingSideReadsAllThatWaits(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h, peer := pausedPeer(t, e, secure)
		told, tell := signal()
		at(t, h.conn, func() { h.hungUp = tell })
		if secured, ok := peer.(*tls.Conn); ok {
			secured.CloseWrite()
			secured.NetConn().(*net.TCPConn).CloseWrite()
		} else {
			peer.(*net.TCPConn).CloseWrite()
		}
		receive(t, "HungUp", told)
		sent := pattern(much)
		go func() {
			h.conn.Write(sent, nil)
			h.conn.Finish(5 * time.Second)
		}()
		got, err := io.ReadAll(peer)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("the peer read %d of %d bytes and then: %v", len(got), len(sent), err)
		}
		receive(t, "the end", h.ended)
	})
}

func TestFinishWithoutLingerDoesNotWaitForThePeer(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		peer := adopt(t, e, secure, h)
		h.conn.Write([]byte("bye"), nil)
		h.conn.Finish(0)
		if err := receive(t, "the end", h.ended); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
		if got, err := io.ReadAll(peer); err != nil || string(got) != "bye" {
			t.Errorf("the peer read %q and then: %v", got, err)
		}
	})
}

func TestAPeerThatTakesNothingIsClosedAfterTheBound(t *testing.T) {
	ways := map[string]struct {
		bytes  int // that wait for the peer
		linger time.Duration
	}{
		"it does not read":  {much, 0},
		"nor after linger":  {much, 10 * time.Millisecond},
		"it does not close": {10, 10 * time.Millisecond},
	}
	// All at the same time, because each takes as long as the bound.
	waits := map[string]*testHandler{}
	begun := time.Now()
	for _, loops := range []int{1, 2, 8, 0} {
		e := newEngine(t, loops)
		for name, way := range ways {
			for _, secure := range []bool{false, true} {
				h := newHandler()
				adopt(t, e, secure, h)
				go h.conn.Write(make([]byte, way.bytes), nil)
				h.conn.Finish(way.linger)
				h.conn.Post(func() { h.conn.SetTimeout(0) }) // must not take the bound away
				waits[fmt.Sprintf("loops=%d tls=%v %s", loops, secure, name)] = h
			}
		}
	}
	for name, h := range waits {
		if err := receive(t, name, h.ended); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
	if took := time.Since(begun); took > 4*finishWait {
		t.Errorf("it took %v", took)
	}
}

func TestCloseEndsAFinishUnderWay(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		peer := adopt(t, e, secure, h)
		h.conn.Finish(time.Hour)
		h.conn.Finish(time.Hour)
		if _, err := io.ReadAll(peer); err != nil { // the goodbye has arrived
			t.Fatal(err)
		}
		h.conn.Close()
		if err := receive(t, "the end", h.ended); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	})
}
