package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/tlsconf"
)

// fakeServer plays PostgreSQL on a loopback port: TLS, SCRAM, and a handful of
// statements. It frames messages by itself, so that it would notice if the
// code under test framed them wrongly. Everything that clients and poolers do
// to it can be waited for.
type fakeServer struct {
	t        testing.TB
	ln       net.Listener
	tls      *tls.Config
	secret   auth.Secret // every role's
	children sync.WaitGroup

	statements chan question // each Query, in the order of arrival
	messages   chan string   // types of the other messages, where watch is set
	cancels    chan cancellation
	opened     chan *backend
	closed     chan *backend
	stopped    chan struct{} // closed at the end

	mu       sync.Mutex
	backends map[uint32]*backend
	lastPID  uint32
	handlers map[string]func(*backend)
	lookup   func(sql string, params []string) string // answers statements with parameters
	refusal  string                                   // sent to whoever logs in, instead of a greeting
	behind   string                                   // sent behind the greeting, in the same write
	stall    chan struct{}                            // logins wait for it
	gate     chan struct{}                            // a CancelRequest waits for it before it takes effect
	drip     bool                                     // one byte per segment
	watch    bool
}

type question struct {
	pid uint32
	sql string
}

// cancellation is a CancelRequest that has come.
type cancellation struct {
	key       string // process ID and secret
	encrypted bool
}

// backend is one session of the fake server.
type backend struct {
	net.Conn
	server   *fakeServer
	pid      uint32
	startup  map[string]string
	tls      bool
	status   string
	settings map[string]string
	defaults map[string]string // what RESET means
	canceled chan struct{}
	parsed   string   // text of the statement that was parsed last
	params   []string // that were bound last
	extended extended
}

// reported holds the parameters that the fake server reports, as at login.
var reported = []string{"server_version", "16.0", "TimeZone", "GMT", "DateStyle", "ISO, MDY", "application_name", "pgseal"}

func newFakeServer(t testing.TB, config *tls.Config) *fakeServer {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	secret, err := auth.NewSecret(password, 64)
	ok(t, err)
	s := &fakeServer{
		t: t, ln: ln, tls: config, secret: secret,
		statements: make(chan question, 1000), messages: make(chan string, 1000),
		cancels: make(chan cancellation, 100), opened: make(chan *backend, 1000), closed: make(chan *backend, 1000),
		backends: map[uint32]*backend{}, handlers: map[string]func(*backend){}, stopped: make(chan struct{}),
	}
	s.children.Go(s.accept)
	return s
}

func (s *fakeServer) port() int { return s.ln.Addr().(*net.TCPAddr).Port }

func (s *fakeServer) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.children.Go(func() {
			defer conn.Close()
			if err := s.serve(conn); err != nil && !gone(err) {
				s.t.Errorf("fake server: %v", err)
			}
		})
	}
}

// gone reports whether an error only says that the peer has left.
func gone(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &network)
}

// close ends all sessions and waits for them.
func (s *fakeServer) close() {
	close(s.stopped)
	s.ln.Close()
	s.mu.Lock()
	for _, b := range s.backends {
		b.Close()
	}
	s.mu.Unlock()
	s.children.Wait()
}

// on has the fake server answer a statement by f.
func (s *fakeServer) on(sql string, f func(b *backend)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[sql] = f
}

// set changes how the fake server behaves.
func (s *fakeServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func readPacket(r io.Reader) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 8 || n > 10_004 {
		return "", fmt.Errorf("startup packet with length word %d", n)
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(r, body)
	return string(body), err
}

func readMsg(r io.Reader) (typ byte, body string, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 1<<24 {
		return 0, "", fmt.Errorf("message type %q with length word %d", head[0], n)
	}
	b := make([]byte, n-4)
	_, err = io.ReadFull(r, b)
	return head[0], string(b), err
}

func (s *fakeServer) serve(conn net.Conn) error {
	s.mu.Lock()
	if s.drip {
		conn = dripping{conn}
	}
	s.mu.Unlock()
	packet, err := readPacket(conn)
	if err != nil {
		return err
	}
	encrypted := false
	if packet == "\x04\xd2\x16\x2f" {
		if _, err := io.WriteString(conn, "S"); err != nil {
			return err
		}
		conn, encrypted = tls.Server(conn, s.tls), true
		if packet, err = readPacket(conn); err != nil {
			return err
		}
	}
	if key, ok := strings.CutPrefix(packet, "\x04\xd2\x16\x2e"); ok {
		s.cancel(cancellation{key, encrypted})
		return nil
	}
	body, ok := strings.CutPrefix(packet, version32)
	if !ok {
		return fmt.Errorf("startup packet %q", packet)
	}
	b := &backend{Conn: conn, server: s, tls: encrypted, status: "I", startup: map[string]string{}, canceled: make(chan struct{}, 1)}
	fields := strings.Split(strings.TrimSuffix(body, "\x00\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		b.startup[fields[i]] = fields[i+1]
	}
	if let, err := s.login(b); err != nil || !let {
		return err
	}
	defer s.forget(b)
	return b.loop()
}

func (s *fakeServer) cancel(c cancellation) {
	s.mu.Lock()
	b, gate := s.backends[binary.BigEndian.Uint32([]byte(c.key))], s.gate
	s.mu.Unlock()
	s.cancels <- c
	if gate != nil {
		<-gate
	}
	if b != nil && c.key == b.key() {
		select {
		case b.canceled <- struct{}{}:
		default:
		}
	}
}

// login authenticates and greets, and reports whether the session may begin.
func (s *fakeServer) login(b *backend) (bool, error) {
	s.mu.Lock()
	stall, refusal, behind := s.stall, s.refusal, s.behind
	s.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-s.stopped:
		}
	}
	if err := b.scram(s.secret); err != nil {
		return false, err
	}
	if refusal != "" {
		return false, b.send(refusal)
	}
	if _, bad := b.startup["bad"]; bad {
		return false, b.send(fatal("22023"))
	}
	s.mu.Lock()
	s.lastPID++
	b.pid = s.lastPID
	s.backends[b.pid] = b
	s.mu.Unlock()
	greeting := []string{msg('R', "\x00\x00\x00\x00")}
	b.extended = extended{statements: map[string]string{}, portals: map[string]bounded{}}
	b.defaults = maps.Clone(b.startup)
	delete(b.defaults, "user")
	delete(b.defaults, "database")
	for i := 0; i < len(reported); i += 2 {
		name := reported[i]
		if _, asked := b.startup[name]; !asked {
			b.defaults[name] = reported[i+1]
		}
		greeting = append(greeting, parameter(name, b.defaults[name]))
	}
	b.settings = maps.Clone(b.defaults)
	s.opened <- b
	return true, b.send(append(greeting, msg('K', b.key()), ready("I"), behind)...)
}

func (s *fakeServer) forget(b *backend) {
	s.mu.Lock()
	delete(s.backends, b.pid)
	s.mu.Unlock()
	s.closed <- b
}

// scram runs SCRAM-SHA-256 with whoever wants to log in.
func (b *backend) scram(secret auth.Secret) error {
	x := auth.NewServerExchange(secret, true)
	if b.tls {
		x.Bind(tlsconf.EndpointHash(b.server.tls.Certificates[0].Leaf))
	}
	if err := b.send(msg('R', "\x00\x00\x00\x0a", strings.Join(x.Mechanisms(), "\x00"), "\x00\x00")); err != nil {
		return err
	}
	_, body, err := readMsg(b)
	if err != nil {
		return err
	}
	mechanism, data, _ := strings.Cut(body, "\x00")
	if mechanism != x.Mechanisms()[0] || !x.Choose(mechanism) {
		return fmt.Errorf("pgseal chose %s", mechanism)
	}
	first, err := x.First([]byte(data[4:]))
	if err != nil {
		return err
	}
	if err := b.send(msg('R', "\x00\x00\x00\x0b", string(first))); err != nil {
		return err
	}
	if _, body, err = readMsg(b); err != nil {
		return err
	}
	last, err := x.Final([]byte(body))
	if err != nil {
		return err
	}
	return b.send(msg('R', "\x00\x00\x00\x0c", string(last)))
}

func (b *backend) key() string {
	return string(binary.BigEndian.AppendUint32(nil, b.pid)) + fmt.Sprintf("k%0255d", b.pid) // the longest there is
}

func (b *backend) send(msgs ...string) error {
	_, err := io.WriteString(b, strings.Join(msgs, ""))
	return err
}

func (b *backend) loop() error {
	for {
		typ, body, err := readMsg(b)
		if err != nil {
			return err
		}
		if typ == 'X' {
			return nil
		}
		b.server.mu.Lock()
		watch := b.server.watch
		b.server.mu.Unlock()
		if watch && typ != 'Q' {
			b.server.messages <- string(typ)
		}
		if err := b.answer(typ, body); err != nil {
			return err
		}
	}
}

// hangs answers a statement only when it is cancelled, or released by the
// test. Each time it begins, started hears of it.
func (s *fakeServer) hangs(sql string) (started chan *backend, release chan struct{}) {
	started, release = make(chan *backend, 10), make(chan struct{})
	s.on(sql, func(b *backend) {
		started <- b
		select {
		case <-b.canceled:
			b.send(serverError("57014"), ready(b.status))
		case <-release:
			b.send(complete("SELECT 1"), ready(b.status))
		case <-s.stopped:
		}
	})
	return started, release
}
