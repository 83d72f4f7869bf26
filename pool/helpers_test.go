package pool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/pgfake"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
	"github.com/pgseal/pgseal/tlsconf"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// says asserts that err says each of the words, in its text or its cause's.
func says(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	text := err.Error()
	if cause := errors.Unwrap(err); cause != nil {
		text += ": " + cause.Error()
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("error %q does not say %q", text, word)
		}
	}
}

// code asserts that err is what a client is told, with this SQLSTATE.
func code(t testing.TB, err error, want string) *wire.Error {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v has no SQLSTATE, want %s", err, want)
	}
	if e.Code != want {
		t.Fatalf("SQLSTATE %s (%s), want %s", e.Code, e.Message, want)
	}
	return e
}

// logbook records log lines.
func newLog() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

// newSpec returns the specification of a database without TLS. edit may
// change it before its trust is loaded.
func newSpec(t testing.TB, edit ...func(*Spec)) *Spec {
	t.Helper()
	s := &Spec{DatabaseConfig: DefaultDatabaseConfig(), Defaults: DefaultConfig()}
	s.Host, s.SSLMode = "db.internal", "disable"
	for _, e := range edit {
		e(s)
	}
	trust, err := tlsconf.NewUpstreamStore("app", s.UpstreamConfig)
	ok(t, err)
	s.Trust = trust
	return s
}

// What the scripts of servers are made of.
type peer = pgfake.Peer

var frame, word, hospitable = pgfake.Frame, pgfake.Word, pgfake.Hospitable

// house is a manager with one database "app" in front of a fake.
type house struct {
	t       testing.TB
	fake    *pgfake.Server
	manager *Manager
	logs    *observer.ObservedLogs
	pool    *Pool
	leave   func()
}

// inHouse runs a test within a bubble, with the janitor at work, and
// afterwards asserts that nothing of the house is left. script and edit may be
// nil.
func inHouse(t *testing.T, script func(*peer), edit func(*Spec), test func(*testing.T, *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if script == nil {
			script = hospitable
		}
		f := pgfake.New(t, script)
		h := newHouse(t, f, f.Dial, edit)
		ctx, cancel := context.WithCancel(t.Context())
		var janitor sync.WaitGroup
		janitor.Go(func() { h.manager.Run(ctx) })
		test(t, h)
		cancel()
		janitor.Wait()
		h.end()
	})
}

// stateless is the State of servers that nobody prepares anything on.
type stateless struct{}

func (stateless) Prepared() int { return 0 }

func newState([]wire.Parameter) State { return stateless{} }

func newHouse(t testing.TB, f *pgfake.Server, dialer backend.DialFunc, edit func(*Spec)) *house {
	t.Helper()
	if edit == nil {
		edit = func(*Spec) {}
	}
	log, logs := newLog()
	h := &house{t: t, fake: f, manager: NewManager(log, engine.NewPortable(log), newState), logs: logs}
	h.manager.dialer.Net = dialer
	h.manager.Apply(map[string]*Spec{"app": newSpec(t, edit)})
	h.pool, h.leave = h.manager.Join(h.database("app"), Login{User: "app"})
	return h
}

// end closes the manager. Every server that the test still holds must have
// been given back.
func (h *house) end() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.manager.Close(ctx); err != nil {
		h.t.Errorf("close: %v", err)
	}
	if servers, waiting := h.pool.counts(); servers != 0 || waiting != 0 {
		h.t.Errorf("%d servers and %d waiters are left", servers, waiting)
	}
	if open, _ := h.fake.Limits(); open != 0 {
		h.t.Errorf("%d connections are still open", open)
	}
	h.fake.Wait()
}

func (h *house) database(name string) *Database {
	h.t.Helper()
	d, found := h.manager.Database(name)
	if !found {
		h.t.Fatalf("there is no database %q", name)
	}
	return d
}

// wants asserts how many servers there are and how many clients wait, once
// everything has come to rest.
func (h *house) wants(servers, waiting int) {
	h.t.Helper()
	synctest.Wait()
	if s, w := h.pool.counts(); s != servers || w != waiting {
		h.t.Errorf("%d servers and %d waiters, want %d and %d", s, w, servers, waiting)
	}
}

// pass lets time go by within a bubble.
func pass(d time.Duration) { <-time.After(d) }

// asker is a client that asks for a server.
type asker struct {
	w   Waiter
	got chan grant
}

type grant struct {
	server *Server
	err    error
}

func ask(p *Pool) *asker {
	a := &asker{got: make(chan grant, 1)}
	a.w.Ready = func(s *Server, err error) { a.got <- grant{s, err} }
	if s, err := p.Acquire(&a.w); s != nil || err != nil {
		a.got <- grant{s, err}
	}
	return a
}

func askers(p *Pool, n int) []*asker {
	list := make([]*asker, n)
	for i := range list {
		list[i] = ask(p)
	}
	return list
}

// server waits for the server that was asked for.
func (a *asker) server(t testing.TB) *Server {
	t.Helper()
	g := <-a.got
	if g.err != nil {
		t.Fatalf("no server: %v", g.err)
	}
	return g.server
}

// refusal waits for the error that was got instead of a server.
func (a *asker) refusal(t testing.TB) error {
	t.Helper()
	g := <-a.got
	if g.err == nil {
		t.Fatal("got a server, want an error")
	}
	return g.err
}

// answered reports whether there is an answer already.
func (a *asker) answered() bool { return len(a.got) > 0 }

// take gets a server from the pool, opening one if need be.
func (h *house) take() *Server {
	h.t.Helper()
	return ask(h.pool).server(h.t)
}

// holder is a Link that keeps what it is given.
type holder struct {
	mu     sync.Mutex
	bytes  []byte
	closed chan error
}

func newHolder() *holder { return &holder{closed: make(chan error, 1)} }

func (h *holder) ServerBytes(_ *Server, b []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes = append(h.bytes, b...)
	return len(b)
}

func (h *holder) ServerTimedOut(*Server) {}

func (h *holder) ServerClosed(_ *Server, err error) { h.closed <- err }

func (h *holder) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.bytes)
}
