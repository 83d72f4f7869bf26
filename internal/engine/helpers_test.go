package engine

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/devca"
)

// patience is how long a test waits for what should happen at once.
const patience = 10 * time.Second

// eachEngine runs a test for event loops, few and many, and for the portable
// engine. The engine is closed at the end, which shows that every connection
// has ended.
func eachEngine(t *testing.T, f func(t *testing.T, e Engine)) {
	t.Helper()
	for _, loops := range []int{1, 2, 8, 0} {
		name := fmt.Sprintf("loops=%d", loops)
		if loops == 0 {
			name = "portable"
		}
		t.Run(name, func(t *testing.T) { f(t, newEngine(t, loops)) })
	}
}

// eachLeg runs a test for each engine, with and without TLS.
func eachLeg(t *testing.T, f func(t *testing.T, e Engine, secure bool)) {
	t.Helper()
	eachEngine(t, func(t *testing.T, e Engine) {
		t.Run("plain", func(t *testing.T) { f(t, e, false) })
		t.Run("tls", func(t *testing.T) { f(t, e, true) })
	})
}

// newEngine starts the portable engine where loops is zero.
func newEngine(t testing.TB, loops int) Engine {
	t.Helper()
	var e Engine = NewPortable(zap.NewNop())
	if loops > 0 {
		var err error
		if e, err = New(zap.NewNop(), loops); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { within(t, "the engine to end", e.Close) })
	return e
}

func portable(e Engine) bool { _, ok := e.(*Portable); return ok }

// testHandler is a Handler of functions, and records how it ended.
type testHandler struct {
	conn     Conn
	data     func(b []byte) int // nil: use all
	hungUp   func()
	timedOut func()
	onClosed func()
	ended    chan error // told by every Closed; only the first is waited for
	closes   atomic.Int32
	late     atomic.Int32 // posted functions that ran after the end
}

func newHandler() *testHandler { return &testHandler{ended: make(chan error, 4)} }

func (h *testHandler) Data(b []byte) int {
	if h.data == nil {
		return len(b)
	}
	return h.data(b)
}

func (h *testHandler) HungUp()   { call(h.hungUp) }
func (h *testHandler) TimedOut() { call(h.timedOut) }

func (h *testHandler) Closed(err error) {
	h.closes.Add(1)
	h.ended <- err
	call(h.onClosed)
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// echo makes a handler that sends back what comes.
func echo() *testHandler {
	h := newHandler()
	h.data = func(b []byte) int {
		h.conn.Write(b, h.conn)
		return len(b)
	}
	return h
}

// adopt gives e one end of a new connection and returns the other one. With
// TLS the engine's end is the server.
func adopt(t testing.TB, e Engine, secure bool, h *testHandler) net.Conn {
	t.Helper()
	ours, theirs := tcpPair(t)
	if !secure {
		take(t, e, NewTransport(ours), nil, h)
		return theirs
	}
	client := tls.Client(theirs, clientTLS())
	adoptTLS(t, e, ours, client.Handshake, h)
	return client
}

// adoptTLS does a handshake as server while client does its part, and gives
// the connection to e.
func adoptTLS(t testing.TB, e Engine, ours net.Conn, client func() error, h *testHandler) {
	t.Helper()
	transport := NewTransport(ours)
	server := tls.Server(transport, serverTLS())
	done := make(chan error, 1)
	go func() { done <- client() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "the handshake", done); err != nil {
		t.Fatal(err)
	}
	take(t, e, transport, server, h)
}

// take has e adopt a connection, which is closed with the test.
func take(t testing.TB, e Engine, transport *Transport, secured *tls.Conn, h *testHandler) {
	e.Adopt(transport, secured, h, func(c Conn) { h.conn = c })
	t.Cleanup(func() { h.conn.Close() })
}

// smallBuffer keeps the kernel from taking much for a peer that does not read.
const smallBuffer = 64 << 10

// much is more than the kernel takes then.
const much = 1 << 20

// tcpPair returns the ends of a TCP connection over loopback. The second one
// is closed with the test.
func tcpPair(t testing.TB) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	accepted.(*net.TCPConn).SetWriteBuffer(smallBuffer)
	dialed.(*net.TCPConn).SetReadBuffer(smallBuffer)
	dialed.SetDeadline(time.Now().Add(2 * patience))
	return accepted.(*net.TCPConn), dialed.(*net.TCPConn)
}

// identity is one certificate for all tests.
var identity = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	ca, err := devca.New("engine tests", time.Hour)
	if err != nil {
		panic(err)
	}
	pair, err := ca.Issue(devca.Request{Hosts: []string{"localhost"}})
	if err != nil {
		panic(err)
	}
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		panic(err)
	}
	return cert, ca.Pool()
})

func serverTLS() *tls.Config {
	cert, _ := identity()
	return &tls.Config{Certificates: []tls.Certificate{cert}, DynamicRecordSizingDisabled: true}
}

func clientTLS() *tls.Config {
	_, roots := identity()
	return &tls.Config{RootCAs: roots, ServerName: "localhost", DynamicRecordSizingDisabled: true}
}

// receive waits for a value.
func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// within runs f, which has to return.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Errorf("waited in vain for %s", what)
	}
}

// at runs f at the connection's home and waits for it. Events that came before
// it is called have been handled by then.
func at(t testing.TB, c Conn, f func()) {
	t.Helper()
	done := make(chan struct{})
	c.Post(func() {
		defer close(done)
		f()
	})
	receive(t, "a posted function", done)
}

// signal returns a channel and what fills it, which never waits.
func signal() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	return c, func() {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// inbox gathers bytes for a test that waits for them.
type inbox struct {
	mu   sync.Mutex
	b    []byte
	more chan struct{}
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 1)} }

func (i *inbox) add(b []byte) int {
	i.mu.Lock()
	i.b = append(i.b, b...)
	i.mu.Unlock()
	select {
	case i.more <- struct{}{}:
	default:
	}
	return len(b)
}

func (i *inbox) size() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.b)
}

// want waits for exactly these bytes.
func (i *inbox) want(t testing.TB, want []byte) {
	t.Helper()
	timeout := time.After(patience)
	for {
		i.mu.Lock()
		got := i.b
		i.mu.Unlock()
		if len(got) >= len(want) {
			if !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes that are not the %d expected", len(got), len(want))
			}
			return
		}
		select {
		case <-i.more:
		case <-timeout:
			t.Fatalf("got %d of %d bytes", len(got), len(want))
		}
	}
}

// pattern returns n bytes no two stretches of which are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func write(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// abort closes a connection with a reset.
func abort(c net.Conn) {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// gathered is a connection that sends in one go what was written since the
// last read or flush.
type gathered struct {
	*net.TCPConn
	out []byte
}

func (g *gathered) Write(b []byte) (int, error) {
	g.out = append(g.out, b...)
	return len(b), nil
}

func (g *gathered) Read(b []byte) (int, error) {
	if err := g.flush(); err != nil {
		return 0, err
	}
	return g.TCPConn.Read(b)
}

func (g *gathered) flush() error {
	_, err := g.TCPConn.Write(g.out)
	g.out = nil
	return err
}

// scattered is a connection that sends each write in many segments.
type scattered struct {
	*net.TCPConn
	size int // of a segment
}

func (s *scattered) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = s.TCPConn.Write(b[n:min(n+s.size, len(b))])
		n += m
	}
	return n, err
}
