package integration

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// relay stands between two peers and hands each connection, with one of its
// own to where it leads, to meddle.
func relay(t *testing.T, target int, meddle func(from, to net.Conn)) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer from.Close()
				to, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(target)))
				if err != nil {
					return
				}
				defer to.Close()
				for _, conn := range []net.Conn{from, to} {
					conn.SetDeadline(time.Now().Add(patience))
				}
				meddle(from, to)
			})
		}
	})
	return ln.Addr().(*net.TCPAddr).Port
}

// pipe passes bytes on in both directions until one side has ended.
func pipe(from, to net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { pass(to, from) })
	pass(from, to)
	both.Wait()
}

// pass ends both connections when there is no more to pass on.
func pass(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
}

// manInTheMiddle is a relay that ends TLS by a certificate that those who come
// trust, and begins it anew towards where it leads. If it strips, it takes
// SCRAM-SHA-256-PLUS away from the mechanisms that the server offers.
func manInTheMiddle(t *testing.T, ca *devca.CA, target int, strips bool) (port int) {
	t.Helper()
	pair := issue(t, ca)
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return relay(t, target, func(from, to net.Conn) {
		if _, err := io.ReadFull(from, make([]byte, len(sslRequest))); err != nil {
			return
		}
		from.Write([]byte{'S'})
		to.Write(sslRequest)
		if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
			return
		}
		near := tls.Server(from, &tls.Config{Certificates: []tls.Certificate{cert}})
		far := tls.Client(to, &tls.Config{InsecureSkipVerify: true})
		if near.Handshake() != nil || far.Handshake() != nil {
			return
		}
		var both sync.WaitGroup
		both.Go(func() { pass(far, near) })
		if strips {
			stripPlus(near, far)
		}
		pass(near, far)
		both.Wait()
	})
}

// stripPlus passes on a server's messages up to AuthenticationSASL, and that
// one without SCRAM-SHA-256-PLUS (PostgreSQL documentation, "Message Formats").
func stripPlus(to io.Writer, from io.Reader) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		sasl := head[0] == 'R' && binary.BigEndian.Uint32(body) == 10
		if sasl {
			body = bytes.Replace(body, []byte("SCRAM-SHA-256-PLUS\x00"), nil, 1)
		}
		binary.BigEndian.PutUint32(head[1:], uint32(4+len(body)))
		if _, err := to.Write(append(head[:], body...)); err != nil || sasl {
			return
		}
	}
}

// injection is what somebody in between adds in plaintext while two peers are
// about to speak TLS.
type injection struct {
	name   string
	meddle func(from, to net.Conn, more []byte)
}

// injections into what the side that comes says, and into what it is answered.
var (
	injectionsForth = []injection{
		{"behind the request for TLS", func(from, to net.Conn, more []byte) {
			if request := first(from, len(sslRequest)); request != nil {
				to.Write(append(request, more...))
				pipe(from, to)
			}
		}},
		{"between answer and handshake", func(from, to net.Conn, more []byte) {
			to.Write(first(from, len(sslRequest)))
			from.Write(first(to, 1))
			to.Write(more)
			pipe(from, to)
		}},
	}
	injectionsBack = []injection{
		{"behind the answer", func(from, to net.Conn, more []byte) {
			to.Write(first(from, len(sslRequest)))
			if answer := first(to, 1); answer != nil {
				from.Write(append(answer, more...))
				pipe(from, to)
			}
		}},
		{"before the server's part of the handshake", func(from, to net.Conn, more []byte) {
			to.Write(first(from, len(sslRequest)))
			from.Write(first(to, 1))
			to.Write(first(from, 1)) // the handshake has begun
			from.Write(more)
			pipe(from, to)
		}},
	}
)

// first reads n bytes, and returns nil where there are fewer.
func first(conn net.Conn, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil
	}
	return b
}
