package pgfake

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// Server is a PostgreSQL server that follows a script. It has its own idea of
// the protocol's bytes, so that it can break them and so that a mistake of
// package wire shows.
type Server struct {
	t      testing.TB
	script func(*Peer) // run for each connection
	wg     sync.WaitGroup

	mu     sync.Mutex
	refuse error    // what dial answers
	dialed []string // every address that was asked for
	peers  []*Peer
	open   int // connections that pgseal has not closed
	most   int // of them at once
}

// New returns a Server whose Dial runs script at the other end of a pipe.
func New(t testing.TB, script func(*Peer)) *Server { return &Server{t: t, script: script} }

// Listen starts a Server on a loopback port. It ends with the test.
func Listen(t testing.TB, script func(*Peer)) *Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Listener{Server: Server{t: t, script: script}, ln: ln}
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

// A Listener is a Server behind a socket.
type Listener struct {
	Server
	ln        net.Listener
	accepting sync.WaitGroup
}

// Dial connects to the listener whatever address is asked for, and notes that.
func (f *Listener) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if err := f.note(addr); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", f.ln.Addr().String())
	if err != nil {
		return nil, err
	}
	return socket{f.count(conn), conn.(syscall.Conn)}, nil
}

func (f *Listener) stop() {
	f.ln.Close()
	f.accepting.Wait()
	f.mu.Lock()
	for _, p := range f.peers {
		p.Raw.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// Dial connects through a pipe, which works within a synctest bubble.
func (f *Server) Dial(_ context.Context, _, addr string) (net.Conn, error) {
	if err := f.note(addr); err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	f.serve(theirs)
	return f.count(ours), nil
}

func (f *Server) note(addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dialed = append(f.dialed, addr)
	return f.refuse
}

// SetRefuse has Dial fail with err, or connect again where that is nil.
func (f *Server) SetRefuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

// Dialed returns every address that was asked for.
func (f *Server) Dialed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.dialed)
}

// Wait waits until all scripts have ended.
func (f *Server) Wait() { f.wg.Wait() }

// Addr returns where it listens.
func (f *Listener) Addr() string { return f.ln.Addr().String() }

// Limits returns how many connections are open and how many were at once.
func (f *Server) Limits() (open, most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open, f.most
}

// Peer returns the i-th connection that was made.
func (f *Server) Peer(i int) *Peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.peers[i]
}

// Push has the i-th connection send the parts one by one, beside its script.
// It does not wait: nobody may read them.
func (f *Server) Push(i int, parts ...string) {
	conn := f.Peer(i).Conn
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
	f    *Server
	once sync.Once
}

func (f *Server) count(conn net.Conn) net.Conn {
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
// panics with Gone, which is how most of them end.
func (f *Server) serve(conn net.Conn) {
	p := &Peer{Raw: &Recorder{Conn: conn}, done: make(chan struct{})}
	p.Conn = p.Raw
	f.mu.Lock()
	f.peers = append(f.peers, p)
	f.mu.Unlock()
	f.wg.Go(func() {
		defer close(p.done)
		defer conn.Close()
		defer func() {
			switch r := recover().(type) {
			case nil, Gone:
			default:
				f.t.Errorf("fake server: %v", r)
			}
		}()
		f.script(p)
	})
}

// Gone is what the steps of a script panic with when the connection is over.
type Gone struct{ Err error }
