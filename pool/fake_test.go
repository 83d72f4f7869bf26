package pool

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/devca"
)

// Codes in the place of the protocol version, as the documentation of
// PostgreSQL has them.
const (
	version30 = 196608
	version32 = 196610
	askCancel = 80877102
	askSSL    = 80877103
)

// fake is a PostgreSQL server that follows a script. It has its own idea of
// the protocol's bytes, so that it can break them and so that a mistake of
// package wire shows.
type fake struct {
	t      testing.TB
	script func(*peer) // run for each connection
	wg     sync.WaitGroup

	mu     sync.Mutex
	refuse error    // what dial answers
	dialed []string // every address that was asked for
	peers  []*peer
	open   int // connections that pgseal has not closed
	most   int // of them at once
}

// listen starts a fake on a loopback port. It ends with the test.
func listen(t testing.TB, script func(*peer)) *fakeListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	f := &fakeListener{fake: fake{t: t, script: script}, ln: ln}
	f.accepting.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			f.serve(conn)
		}
	})
	t.Cleanup(f.stop)
	return f
}

type fakeListener struct {
	fake
	ln        net.Listener
	accepting sync.WaitGroup
}

// dial connects to the listener whatever address is asked for, and notes that.
func (f *fakeListener) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if err := f.note(addr); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", f.ln.Addr().String())
	if err != nil {
		return nil, err
	}
	return socket{f.count(conn), conn.(syscall.Conn)}, nil
}

func (f *fakeListener) stop() {
	f.ln.Close()
	f.accepting.Wait()
	f.mu.Lock()
	for _, p := range f.peers {
		p.raw.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// dial connects through a pipe, which works within a synctest bubble.
func (f *fake) dial(_ context.Context, _, addr string) (net.Conn, error) {
	if err := f.note(addr); err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	f.serve(theirs)
	return f.count(ours), nil
}

func (f *fake) note(addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dialed = append(f.dialed, addr)
	return f.refuse
}

func (f *fake) setRefuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

func (f *fake) dials() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dialed)
}

// limits returns how many connections are open and how many were at once.
func (f *fake) limits() (open, most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open, f.most
}

// peer returns the i-th connection that was made.
func (f *fake) peer(i int) *peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.peers[i]
}

// push has the i-th connection send the parts one by one, beside its script.
// It does not wait: nobody may read them.
func (f *fake) push(i int, parts ...string) {
	conn := f.peer(i).Conn
	f.wg.Go(func() {
		for _, part := range parts {
			if _, err := io.WriteString(conn, part); err != nil {
				return
			}
		}
	})
}

// counted is pgseal's end of a connection.
type counted struct {
	net.Conn
	f    *fake
	once sync.Once
}

func (f *fake) count(conn net.Conn) net.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
	f.most = max(f.most, f.open)
	return &counted{Conn: conn, f: f}
}

// socket is a counted connection that shows its file descriptor, which says
// whether bytes wait unread.
type socket struct {
	net.Conn
	file syscall.Conn
}

func (s socket) SyscallConn() (syscall.RawConn, error) { return s.file.SyscallConn() }

func (c *counted) Close() error {
	c.once.Do(func() {
		c.f.mu.Lock()
		c.f.open--
		c.f.mu.Unlock()
	})
	return c.Conn.Close()
}

// serve runs the script for a connection. A script that misses something
// panics with gone, which is how most of them end.
func (f *fake) serve(conn net.Conn) {
	p := &peer{raw: &recorder{Conn: conn}, done: make(chan struct{})}
	p.Conn = p.raw
	f.mu.Lock()
	f.peers = append(f.peers, p)
	f.mu.Unlock()
	f.wg.Go(func() {
		defer close(p.done)
		defer conn.Close()
		defer func() {
			switch r := recover().(type) {
			case nil, gone:
			default:
				f.t.Errorf("fake server: %v", r)
			}
		}()
		f.script(p)
	})
}

// gone is what the steps of a script panic with when the connection is over.
type gone struct{ err error }

// recorder keeps every byte that it reads.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	got bytes.Buffer
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got.Write(b[:n])
	return n, err
}

// peer is the fake's end of one connection: the socket or pipe, or TLS above.
type peer struct {
	net.Conn
	raw  *recorder
	done chan struct{} // closed when the script has ended

	mu     sync.Mutex
	plain  []byte // what came through TLS in clear
	params map[string]string
}

// received returns every byte that came before the script ended, as it came
// over the wire and, where there was TLS, as it read inside.
func (p *peer) received() (wire, inside string) {
	<-p.done
	p.raw.mu.Lock()
	defer p.raw.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raw.got.String(), string(p.plain)
}

func (p *peer) read(n int) []byte {
	b := make([]byte, n)
	got, err := io.ReadFull(p.Conn, b)
	if _, ok := p.Conn.(*tls.Conn); ok {
		p.mu.Lock()
		p.plain = append(p.plain, b[:got]...)
		p.mu.Unlock()
	}
	if err != nil {
		panic(gone{err})
	}
	return b
}

// hold reads until pgseal has closed the connection.
func (p *peer) hold() {
	for {
		p.read(1)
	}
}

func (p *peer) write(b ...byte) {
	if _, err := p.Conn.Write(b); err != nil {
		panic(gone{err})
	}
}

// packet reads a packet without a type: its code and body.
func (p *peer) packet() (code uint32, body []byte) {
	n := binary.BigEndian.Uint32(p.read(4))
	b := p.read(int(n) - 4)
	return binary.BigEndian.Uint32(b), b[4:]
}

// sslRequest reads the packet that must come first when TLS is wanted.
func (p *peer) sslRequest() {
	if code, body := p.packet(); code != askSSL || len(body) != 0 {
		panic("no SSLRequest came first")
	}
}

// secure answers SSLRequest with yes and shows the certificate.
func (p *peer) secure(pair devca.Pair) {
	p.sslRequest()
	p.write('S')
	p.handshake(pair)
}

func (p *peer) handshake(pair devca.Pair) { p.handshakeOver(p.raw, pair) }

func (p *peer) handshakeOver(raw net.Conn, pair devca.Pair) {
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		panic(err)
	}
	conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"}})
	if err := conn.Handshake(); err != nil {
		panic(gone{err})
	}
	p.Conn = conn
}

// startup reads the startup packet.
func (p *peer) startup() map[string]string {
	code, body := p.packet()
	if code != version32 {
		panic("no startup packet of version 3.2")
	}
	return p.started(body)
}

func (p *peer) started(body []byte) map[string]string {
	fields := strings.Split(string(body), "\x00")
	params := map[string]string{}
	for i := 0; i+1 < len(fields) && fields[i] != ""; i += 2 {
		params[fields[i]] = fields[i+1]
	}
	p.mu.Lock()
	p.params = params
	p.mu.Unlock()
	return params
}

// startedWith returns the parameters of the startup packet.
func (p *peer) startedWith() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.params
}

// frame is a message with its type and length.
func frame(typ byte, body ...string) string {
	all := strings.Join(body, "")
	return string(binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(all)))) + all
}

func (p *peer) send(typ byte, body ...string) { p.write([]byte(frame(typ, body...))...) }

func (p *peer) recv() (typ byte, body []byte) {
	head := p.read(5)
	return head[0], p.read(int(binary.BigEndian.Uint32(head[1:])) - 4)
}

func word(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// authentication sends an Authentication message of some kind.
func (p *peer) authentication(kind uint32, data ...string) {
	p.send('R', append([]string{word(kind)}, data...)...)
}

// welcome is what PostgreSQL sends after it let a client in.
const welcome = "R\x00\x00\x00\x08\x00\x00\x00\x00" +
	"S\x00\x00\x00\x18server_version\x0018.0\x00" +
	"S\x00\x00\x00\x11TimeZone\x00UTC\x00" +
	"K\x00\x00\x00\x0c\x00\x00\x00\x2akey!" +
	"Z\x00\x00\x00\x05I"

func (p *peer) welcome() { p.write([]byte(welcome)...) }

// fail sends an ErrorResponse.
func (p *peer) fail(severity, code, message string) {
	p.send('E', "S", severity, "\x00V", severity, "\x00C", code, "\x00M", message, "\x00\x00")
}

// rest answers queries until pgseal says goodbye.
func (p *peer) rest() {
	for {
		switch typ, _ := p.recv(); typ {
		case 'Q':
			p.write([]byte(frame('C', "SELECT 1\x00") + frame('Z', "I"))...)
		case 'X':
			return
		}
	}
}

// hospitable is the script of a server without TLS that trusts everybody. A
// CancelRequest it takes silently, as PostgreSQL does.
func hospitable(p *peer) {
	code, body := p.packet()
	if code == askCancel {
		return
	}
	p.started(body)
	p.welcome()
	p.rest()
}

// scram is the server's part of a SCRAM login, with places to cheat.
type scram struct {
	password   string
	iterations int
	mechanisms string              // list to offer instead of the usual one
	endpoint   []byte              // set: PLUS is supported, with this hash
	first      func(string) string // changes the server's first message
	final      func(string) string // changes its signature; "" leaves it out
}

// run plays it up to the final message. It returns false for a wrong password,
// after it has said so.
func (s scram) run(p *peer) bool {
	if s.iterations == 0 {
		s.iterations = 4096
	}
	secret, err := auth.NewSecret(s.password, min(s.iterations, auth.MaxServerIterations))
	if err != nil {
		panic(err)
	}
	exchange := auth.NewServerExchange(secret, true)
	exchange.Bind(s.endpoint)
	if s.mechanisms == "" {
		s.mechanisms = strings.Join(exchange.Mechanisms(), "\x00") + "\x00\x00"
	}
	p.authentication(10, s.mechanisms)
	typ, body := p.recv()
	name, rest, found := bytes.Cut(body, []byte{0})
	if typ != 'p' || !found || !exchange.Choose(string(name)) || len(rest) < 4 {
		panic("no SASLInitialResponse for SCRAM-SHA-256")
	}
	first, err := exchange.First(rest[4:])
	if errors.Is(err, auth.ErrBindingDowngrade) {
		p.fail("FATAL", "28000", "SCRAM channel binding negotiation error")
		return false
	}
	if err != nil {
		panic(err)
	}
	if s.first != nil {
		first = []byte(s.first(string(first)))
	}
	p.authentication(11, string(first))
	if typ, body = p.recv(); typ != 'p' {
		panic("no SASLResponse")
	}
	final, err := exchange.Final(body)
	if errors.Is(err, auth.ErrWrongPassword) {
		p.fail("FATAL", "28P01", "password authentication failed for user \"app\"")
		return false
	}
	if errors.Is(err, auth.ErrBinding) {
		p.fail("FATAL", "28000", "SCRAM channel binding check failed")
		return false
	}
	if err != nil {
		panic(err)
	}
	if s.final != nil {
		final = []byte(s.final(string(final)))
	}
	if len(final) > 0 {
		p.authentication(12, string(final))
	}
	return true
}
