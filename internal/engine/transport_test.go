package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestATransportIsTheConnectionItWraps(t *testing.T) {
	ours, theirs := tcpPair(t)
	transport := NewTransport(ours)
	write(t, theirs, []byte("question"))
	got := make([]byte, 8)
	if _, err := io.ReadFull(transport, got); err != nil || string(got) != "question" {
		t.Errorf("read %q, %v", got, err)
	}
	write(t, transport, []byte("answer"))
	if err := transport.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(theirs); err != nil || string(got) != "answer" {
		t.Errorf("the peer read %q, %v", got, err)
	}
	if transport.LocalAddr() != ours.LocalAddr() || transport.RemoteAddr() != ours.RemoteAddr() {
		t.Error("the addresses are not those of the connection")
	}
	if err := transport.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Read(got); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close the connection reads: %v", err)
	}
}

func TestDeadlinesOfATransportAreKept(t *testing.T) {
	past := time.Unix(1, 0)
	ours, _ := tcpPair(t)
	transport := NewTransport(ours)
	ways := []struct {
		name        string
		set         func(time.Time) error
		read, write bool
	}{
		{"SetDeadline", transport.SetDeadline, true, true},
		{"SetReadDeadline", transport.SetReadDeadline, true, false},
		{"SetWriteDeadline", transport.SetWriteDeadline, false, true},
	}
	for _, way := range ways {
		if err := way.set(past); err != nil {
			t.Fatal(err)
		}
		if way.read {
			if _, err := transport.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: reading: %v", way.name, err)
			}
		}
		_, err := transport.Write([]byte("x"))
		if got := errors.Is(err, os.ErrDeadlineExceeded); got != way.write {
			t.Errorf("%s: writing: %v", way.name, err)
		}
		if err := way.set(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADeadlineWakesAReadUnderWay(t *testing.T) {
	ours, _ := tcpPair(t)
	transport := NewTransport(ours)
	done := make(chan error, 1)
	go func() {
		_, err := transport.Read(make([]byte, 1))
		done <- err
	}()
	transport.SetReadDeadline(time.Unix(1, 0))
	if err := receive(t, "the read", done); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ended with %v", err)
	}
}

func TestTheDeadlinesOfALoginAreGoneAfterAdoption(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		ours, theirs := tcpPair(t)
		transport := NewTransport(ours)
		var peer net.Conn = theirs
		var server *tls.Conn
		if secure {
			client := tls.Client(theirs, clientTLS())
			server = tls.Server(transport, serverTLS())
			done := make(chan error, 1)
			go func() { done <- client.Handshake() }()
			if err := server.Handshake(); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, "the handshake", done); err != nil {
				t.Fatal(err)
			}
			peer = client
		}
		transport.SetDeadline(time.Unix(1, 0))
		take(t, e, transport, server, echo())
		roundTrip(t, peer, []byte("hello"))
	})
}

func TestATransportWithoutASocketStillWorks(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	transport := NewTransport(ours)
	if err := transport.CloseWrite(); err == nil {
		t.Error("it claims to close its sending side")
	}
	if _, err := transport.SyscallConn(); err == nil {
		t.Error("it claims to have a socket")
	}
	if HasUnread(transport) {
		t.Error("it claims to have unread bytes")
	}
	h := echo()
	take(t, newEngine(t, 0), transport, nil, h)
	theirs.SetDeadline(time.Now().Add(patience))
	roundTrip(t, theirs, []byte("hello"))
	theirs.Close()
	if err := receive(t, "the end", h.ended); err != io.EOF {
		t.Errorf("ended with %v", err)
	}
}

func TestHasUnreadSeesBytesWithoutTakingThem(t *testing.T) {
	ours, theirs := tcpPair(t)
	transport := NewTransport(ours)
	if HasUnread(transport) {
		t.Error("bytes wait before any was sent")
	}
	write(t, theirs, []byte("ab"))
	for range 2 {
		if !HasUnread(transport) || !HasUnread(ours) {
			t.Error("the bytes that wait are not seen")
		}
	}
	got := make([]byte, 2)
	if _, err := io.ReadFull(transport, got); err != nil || !bytes.Equal(got, []byte("ab")) {
		t.Errorf("read %q, %v", got, err)
	}
	theirs.Close()
	if HasUnread(transport) {
		t.Error("an end counts as bytes")
	}
	ours.Close()
	if HasUnread(transport) {
		t.Error("a closed connection has bytes")
	}
}

func TestAUnixSocketIsServedToo(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		theirs, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		ours, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		theirs.SetDeadline(time.Now().Add(patience))
		h := echo()
		take(t, e, NewTransport(ours), nil, h)
		roundTrip(t, theirs, []byte("hello"))
		theirs.Close()
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	})
}
