package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/console"
)

// testApp is an App with the directory that holds its configuration.
type testApp struct {
	*App
	t    *testing.T
	dir  string
	text logText
}

// logText is a log that can be read while it is written.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// take returns what was logged since it was called last.
func (l *logText) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// startApp starts an App that listens on a unix socket, with changes to its
// configuration.
func startApp(t *testing.T, changes ...string) *testApp {
	t.Helper()
	a := &testApp{t: t, dir: t.TempDir()}
	a.file("users.txt", `"app" "not-shown"`+"\n")
	a.configure(changes...)
	f, err := config.Load(a.path())
	if err != nil {
		t.Fatal(err)
	}
	if a.App, err = Load(f, "test", &a.text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *testApp) path() string { return filepath.Join(a.dir, "pgseal.yaml") }

func (a *testApp) file(name, content string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(content), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// configure writes the configuration, with some words replaced.
func (a *testApp) configure(changes ...string) {
	a.t.Helper()
	text := strings.NewReplacer(changes...).Replace(`
listen: [{address: "unix:DIR/s"}]
databases:
  app: {host: db.internal, sslmode: disable}
auth: {users_file: DIR/users.txt}
http: {address: ""}
log: {level: info}
workers: 1
`)
	a.file("pgseal.yaml", strings.ReplaceAll(text, "DIR", a.dir))
}

// logged waits for lines of the log and returns all since it was called last.
func (a *testApp) logged(want ...string) (text string) {
	a.t.Helper()
	wait(a.t, fmt.Sprintf("the log holds %q", want), func() bool {
		text += a.text.take()
		for _, line := range want {
			if !strings.Contains(text, `"msg":"`+line) {
				return false
			}
		}
		return true
	})
	return text
}

func TestReloadAppliesAllOfAConfigurationOrNothing(t *testing.T) {
	a := startApp(t)
	before := a.inForce()
	faulty := []string{
		"level: info", "level: debug", "  app:", "  more: {host: db.internal, sslmode: disable}\n  app:",
		"log: {", "log: {audit_file: DIR/audit.log, ", "DIR/users.txt", "DIR/none.txt",
	}
	a.configure(faulty...)
	if err := a.reload(); err == nil || !strings.Contains(err.Error(), "none.txt") {
		t.Fatalf("a missing users_file is refused with: %v", err)
	}
	a.logged("configuration contains errors; no changes were applied")
	if a.inForce() != before || a.output.level.Level() != zap.InfoLevel || len(a.manager.Databases()) != 1 {
		t.Error("some of a configuration that was refused is in force")
	}
	if _, err := os.Stat(filepath.Join(a.dir, "audit.log")); err == nil {
		t.Error("it has made an audit file")
	}
	a.file("none.txt", `"app" "not-shown"`+"\n")
	if err := a.reload(); err != nil {
		t.Fatal(err)
	}
	a.logged("configuration reloaded")
	now := a.inForce()
	if a.output.level.Level() != zap.DebugLevel || len(a.manager.Databases()) != 2 || now.audit.current == nil {
		t.Error("some of the configuration is not in force")
	}
	if now.databases.specs["app"].Trust != before.databases.specs["app"].Trust {
		t.Error("what did not change was made anew")
	}
	if now.users.store == before.users.store || now.access.store == before.access.store {
		t.Error("what changed was kept")
	}
	if s := a.shownFiles(); a.reloads.Reloads != 1 || a.reloads.Failures != 1 || len(s) != 5 {
		t.Errorf("counted %+v, files are %v", a.reloads, s)
	}
}

func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	a := startApp(t)
	before := a.inForce()
	if err := a.reload(); err != nil {
		t.Fatal(err)
	}
	now := a.inForce()
	for i, p := range now.parts() {
		if _, always := p.(*databases); p.same(before) == always {
			t.Errorf("part %d, %T: same is %v", i, p, !always)
		}
	}
	if now.users.store != before.users.store || now.users.mocker != before.users.mocker || now.access.store != before.access.store {
		t.Error("what did not change was made anew")
	}
}

func TestReloadSaysWhatNeedsARestart(t *testing.T) {
	const workers, http, listener = "workers cannot be changed without a restart", "http cannot be changed without a restart", "listener cannot be added without a restart"
	a := startApp(t)
	a.configure("workers: 1", "workers: 2", `http: {address: ""}`, `http: {address: "127.0.0.1:1"}`, `/s"}]`, `/s"}, {address: "unix:DIR/other"}]`)
	if err := a.reload(); err != nil {
		t.Fatal(err)
	}
	a.logged(workers, http, listener, "configuration reloaded")
	if err := a.reload(); err != nil {
		t.Fatal(err)
	}
	text := a.logged(listener, "configuration reloaded")
	if strings.Contains(text, workers) || strings.Contains(text, http) {
		t.Errorf("said again of what did not change again: %s", text)
	}
}

func TestSetHoldsUntilTheNextReload(t *testing.T) {
	a := startApp(t)
	size := func() int { return a.inForce().databases.specs["app"].Defaults.DefaultPoolSize }
	before := size()
	if err := (process{a.App}).Set("default_pool_size", "7"); err != nil {
		t.Fatal(err)
	}
	if n := size(); n != 7 {
		t.Errorf("after SET it is %d", n)
	}
	if err := a.reload(); err != nil {
		t.Fatal(err)
	}
	if n := size(); n != before {
		t.Errorf("after a reload it is %d, want %d", n, before)
	}
}

func TestServeReloadsAndStops(t *testing.T) {
	for name, end := range map[string]func(a *testApp, stop chan<- os.Signal){
		"by a signal":                  func(_ *testApp, stop chan<- os.Signal) { stop <- syscall.SIGTERM },
		"by SHUTDOWN":                  func(a *testApp, _ chan<- os.Signal) { process{a.App}.Shutdown(console.StopNow) },
		"by SHUTDOWN WAIT_FOR_CLIENTS": func(a *testApp, _ chan<- os.Signal) { process{a.App}.Shutdown(console.StopForClients) },
	} {
		t.Run(name, func(t *testing.T) {
			a := startApp(t)
			reload, stop, done := make(chan os.Signal), make(chan os.Signal, 1), make(chan struct{})
			go func() { a.Serve(reload, stop); close(done) }()
			reload <- syscall.SIGHUP
			a.logged("pgseal started", "configuration reloaded")
			end(a, stop)
			a.logged("shutting down", "shut down")
			<-done
			if a.proxy.Listening() {
				t.Error("it still listens")
			}
		})
	}
}

func TestAFaultInAFileIsTheConfigurations(t *testing.T) {
	a := &testApp{t: t, dir: t.TempDir()}
	a.configure()
	f, err := config.Load(a.path())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(f, "test", &a.text); err == nil || !strings.Contains(err.Error(), "pgseal.yaml:5: auth.users_file: ") {
		t.Errorf("loaded with: %v", err)
	}
}
