package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"testing"
)

func TestBytesThatCameWithTheHandshakeAreDeliveredWithoutAnEvent(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		ours, theirs := tcpPair(t)
		link := &gathered{TCPConn: theirs}
		client := tls.Client(link, clientTLS())
		in := newInbox()
		h := newHandler()
		h.data = in.add
		// The client's last flight of the handshake and two records leave in one
		// segment.
		transport := NewTransport(ours)
		server := tls.Server(transport, serverTLS())
		done := make(chan error, 1)
		go func() {
			defer close(done)
			if err := client.Handshake(); err != nil {
				done <- err
				return
			}
			client.Write([]byte("first "))
			client.Write([]byte("second "))
			done <- link.flush()
		}()
		if err := server.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, "the client's handshake", done); err != nil {
			t.Fatal(err)
		}
		if HasUnread(ours) {
			t.Fatal("the handshake did not read ahead: the test shows nothing")
		}
		take(t, e, transport, server, h)
		in.want(t, []byte("first second "))
		client.Write([]byte("third"))
		link.flush()
		in.want(t, []byte("first second third"))
	})
}

func TestEveryCutOfTheStreamDeliversTheSameBytes(t *testing.T) {
	cuts := []struct {
		name    string
		message int // written at once, so a record where it fits in one
		segment int
	}{
		{"one byte per segment", 60, 1},
		{"a record over many segments", 16 << 10, 1000},
		{"a header apart from its record", 500, 5},
		{"records and segments that never agree", 777, 1024},
		{"more than a loop reads at once", 200 << 10, 1 << 20},
	}
	for _, cut := range cuts {
		t.Run(cut.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e Engine) {
				sent := pattern(3 * cut.message)
				for _, secure := range []bool{false, true} {
					in := newInbox()
					h := newHandler()
					h.data = in.add
					ours, theirs := tcpPair(t)
					var peer net.Conn = &scattered{theirs, cut.segment}
					if secure {
						client := tls.Client(peer, clientTLS())
						adoptTLS(t, e, ours, client.Handshake, h)
						peer = client
					} else {
						take(t, e, NewTransport(ours), nil, h)
					}
					for b := sent; len(b) > 0; b = b[cut.message:] {
						write(t, peer, b[:cut.message])
					}
					in.want(t, sent)
				}
			})
		})
	}
}

func TestManyRecordsInOneSegmentAreAllDelivered(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		ours, theirs := tcpPair(t)
		link := &gathered{TCPConn: theirs}
		client := tls.Client(link, clientTLS())
		in := newInbox()
		h := newHandler()
		h.data = in.add
		adoptTLS(t, e, ours, func() error { return errors.Join(client.Handshake(), link.flush()) }, h)
		sent := pattern(100 * 70)
		for b := sent; len(b) > 0; b = b[70:] {
			client.Write(b[:70])
		}
		if err := link.flush(); err != nil {
			t.Fatal(err)
		}
		in.want(t, sent)
	})
}

func TestWhatDataLeavesComesAgainInFrontOfWhatFollows(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		seen, lines := make(chan struct{}, 100), make(chan string, 100)
		h.data = func(b []byte) int {
			end := bytes.LastIndexByte(b, '\n') + 1
			if end > 0 {
				lines <- string(b[:end])
			}
			seen <- struct{}{}
			return end
		}
		peer := adopt(t, e, secure, h)
		for _, part := range []string{"a", "b\nc", "d", "e\n"} {
			write(t, peer, []byte(part))
			receive(t, "a call of Data", seen)
		}
		for _, want := range []string{"ab\n", "cde\n"} {
			if got := receive(t, "a line", lines); got != want {
				t.Errorf("got line %q, want %q", got, want)
			}
		}
	})
}

func TestWhatDataLeavesComesAgainAfterResume(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		offered := make(chan string, 10)
		refuse := true
		h.data = func(b []byte) int {
			offered <- string(b)
			if refuse {
				refuse = false
				h.conn.Pause()
				return 1
			}
			return len(b)
		}
		peer := adopt(t, e, secure, h)
		write(t, peer, []byte("query"))
		if got := receive(t, "the first offer", offered); got != "query" {
			t.Fatalf("Data got %q", got)
		}
		at(t, h.conn, func() {})
		if len(offered) > 0 {
			t.Fatal("Data was called although reading is paused")
		}
		h.conn.Resume()
		if got := receive(t, "the rest", offered); got != "uery" {
			t.Fatalf("after Resume Data got %q", got)
		}
	})
}

func TestAFullBufferThatIsNotUsedEndsTheConnection(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		largest := 0
		h.data = func(b []byte) int {
			largest = max(largest, len(b))
			return 0
		}
		peer := adopt(t, e, secure, h)
		go peer.Write(pattern(2 * bufferSize))
		if err := receive(t, "the end", h.ended); !errors.Is(err, errFull) {
			t.Errorf("ended with %v", err)
		}
		if largest != bufferSize {
			t.Errorf("gave up after %d bytes of %d", largest, bufferSize)
		}
	})
}

func TestAHandlerMayUseAnyPartOfWhatItIsGiven(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		in := newInbox()
		h := newHandler()
		h.data = func(b []byte) int {
			if len(b) > 10_000 {
				b = b[:10_000]
				h.conn.Resume() // has the rest offered even if nothing follows
			}
			return in.add(b)
		}
		peer := adopt(t, e, secure, h)
		sent := pattern(10*bufferSize + 1)
		go peer.Write(sent)
		in.want(t, sent)
	})
}
