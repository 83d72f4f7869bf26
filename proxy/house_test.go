package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// password is that of every role, at the pooler and at the server.
const password = "pässword-sekrit"

// patience bounds every wait of these tests. Nothing that works comes near.
const patience = 15 * time.Second

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testCA signs the certificates on both legs.
var testCA = sync.OnceValue(func() *devca.CA {
	ca, err := devca.New("proxy test root", time.Hour)
	if err != nil {
		panic(err)
	}
	return ca
})

// testMocker makes the salts of known and unknown roles.
var testMocker = auth.NewMocker(nil)

// plan says how a house is built.
type plan struct {
	pool   pool.Config
	mode   string // of TLS on the listener
	port   int    // of the server; zero is the fake server's
	panics bool   // a panic is part of the test
	desk   Console
	tls    func(*tlsconf.ListenerConfig)
	wrap   func(engine.Engine) engine.Engine
}

// house is a pooler with a fake PostgreSQL behind it: database "app" in
// transaction mode and "sess" in session mode, roles alice and bob.
type house struct {
	t        testing.TB
	server   *fakeServer
	engine   engine.Engine
	manager  *pool.Manager
	proxy    *Server
	listener *Listener
	store    *reload.Store[*tlsconf.Listener]
	logs     *observer.ObservedLogs
}

// open builds a house and has it torn down after the test, which must leave
// nothing behind: no goroutine, and no secret in the log.
func open(t testing.TB, edit ...func(*plan)) *house {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	p := plan{pool: pool.DefaultConfig(), mode: "require"}
	p.pool.ClientLoginTimeout = patience
	for _, f := range edit {
		f(&p)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	h := &house{t: t, logs: logs, engine: newEngine(t, zap.New(core))}
	if p.wrap != nil {
		h.engine = p.wrap(h.engine)
	}
	h.manager = pool.NewManager(zap.New(core), h.engine, NewServerState)
	pair, err := testCA().Issue(devca.Request{CommonName: "postgres", Hosts: []string{"localhost"}})
	ok(t, err)
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	ok(t, err)
	h.server = newFakeServer(t, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"}})
	if p.port == 0 {
		p.port = h.server.port()
	}
	h.manager.Apply(h.specs(p))
	users, err := auth.ParseUsers("users", []byte(`"alice" "`+password+`"`+"\n"+`"bob" "`+password+`"`+"\n"), testMocker, nil)
	ok(t, err)
	h.proxy = New(zap.New(core), h.engine, h.manager, Settings{Pool: p.pool, Settings: login.Settings{Users: users, Mocker: testMocker}})
	h.proxy.UseConsole(p.desk)
	ctx, stop := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { h.manager.Run(ctx) })
	h.listen(p)
	t.Cleanup(func() {
		h.shutDown()
		h.server.close()
		stop()
		background.Wait()
		h.checkLogs(p)
		eventually(t, "all goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
	})
	return h
}

// newEngine returns what PGSEAL_TEST_ENGINE asks for: "portable", or a number
// of event loops. make test runs the package with several.
func newEngine(t testing.TB, log *zap.Logger) engine.Engine {
	t.Helper()
	kind := os.Getenv("PGSEAL_TEST_ENGINE")
	switch kind {
	case "portable":
		return engine.NewPortable(log)
	case "":
		kind = "2"
	}
	n, err := strconv.Atoi(kind)
	ok(t, err)
	e, err := engine.New(log, n)
	ok(t, err)
	return e
}

// specs returns the databases of the house.
func (h *house) specs(p plan) map[string]*pool.Spec {
	dir := h.t.TempDir()
	ca, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	ok(h.t, testCA().WriteFiles(ca, key))
	specs := map[string]*pool.Spec{}
	for name, mode := range map[string]string{"app": pool.TransactionMode, "sess": pool.SessionMode} {
		d := pool.DefaultDatabaseConfig()
		d.Host, d.Port, d.SSLRootCert, d.PoolMode = "localhost", p.port, ca, mode
		ok(h.t, d.Validate())
		trust, err := tlsconf.NewUpstreamStore(name, d.UpstreamConfig)
		ok(h.t, err)
		specs[name] = &pool.Spec{DatabaseConfig: d, Defaults: p.pool, Trust: trust}
	}
	return specs
}

func (h *house) listen(p plan) {
	c := DefaultListenConfig()
	c.Address, c.TLS.Mode = "127.0.0.1:0", p.mode
	if p.mode != "disable" {
		dir := h.t.TempDir()
		c.TLS.CertFile, c.TLS.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		pair, err := testCA().Issue(devca.Request{CommonName: "pgseal", Hosts: []string{"localhost"}})
		ok(h.t, err)
		ok(h.t, pair.WriteFiles(c.TLS.CertFile, c.TLS.KeyFile))
		if p.tls != nil {
			p.tls(&c.TLS)
		}
		h.store, err = tlsconf.NewListenerStore("listener", c.TLS)
		ok(h.t, err)
	}
	var err error
	h.listener, err = h.proxy.Listen(c, h.store)
	ok(h.t, err)
}

// shutDown ends the pooler in order, which may be done twice.
func (h *house) shutDown() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.proxy.Shutdown(ctx); err != nil {
		h.t.Errorf("clients are left at the end: %v", err)
	}
	if err := h.manager.Close(ctx); err != nil {
		h.t.Errorf("servers are left at the end: %v", err)
	}
	if n := h.proxy.Clients() + len(h.proxy.sessions) + len(h.proxy.keys.byPID); n != 0 {
		h.t.Errorf("%d clients, %d sessions and %d keys are left at the end",
			h.proxy.Clients(), len(h.proxy.sessions), len(h.proxy.keys.byPID))
	}
	h.engine.Close()
}

// checkLogs asserts that no line of the log tells a secret or a statement, or
// of a panic.
func (h *house) checkLogs(p plan) {
	for _, line := range h.logs.All() {
		text := line.Message + fmt.Sprint(line.ContextMap())
		for _, secret := range []string{password, "SELECT", "BEGIN", "PRIVATE KEY"} {
			if strings.Contains(text, secret) && !p.panics {
				h.t.Errorf("log line %q shows %q", text, secret)
			}
		}
		if strings.Contains(line.Message, "panic") && !p.panics {
			h.t.Errorf("log line %q", text)
		}
	}
}

// logged asserts how many lines with this message there are.
func (h *house) logged(message string, want int) {
	h.t.Helper()
	if n := h.logs.FilterMessage(message).Len(); n != want {
		h.t.Errorf("%d lines say %q, want %d", n, message, want)
	}
}

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			buf := make([]byte, 1<<20)
			t.Errorf("it did not come about that %s\n%s", what, buf[:runtime.Stack(buf, true)])
			return
		}
	}
}

// receive waits for something that has to come.
func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came: %s", what)
		panic("unreachable")
	}
}

// nothing asserts that nothing has come. It is asked only where all that could
// come would have come by now.
func nothing[T any](t testing.TB, what string, from <-chan T) {
	t.Helper()
	select {
	case v := <-from:
		t.Errorf("%s: %v", what, v)
	default:
	}
}

// ran asserts that these statements reached the server next, in this order,
// and returns the process ID of the last. A name that ends in … stands for all
// that begin with it.
func (h *house) ran(statements ...string) (pid uint32) {
	h.t.Helper()
	for _, want := range statements {
		got := receive(h.t, want, h.server.statements)
		if begin, open := strings.CutSuffix(want, "…"); got.sql != want && !(open && strings.HasPrefix(got.sql, begin)) {
			h.t.Fatalf("the server got %q, want %q", got.sql, want)
		}
		pid = got.pid
	}
	return pid
}

// dripping sends one byte per segment.
type dripping struct{ net.Conn }

func (d dripping) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}
