package integration

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// stopLimit is how long pgseal may take to stop once its clients have gone.
const stopLimit = 15 * time.Second

// pgseal is the program under test, running. It belongs to one test.
type pgseal struct {
	*child
	t         *testing.T
	pg        *postgres
	options   options
	dir       string
	ca        *devca.CA // of the listeners' certificates
	root      string    // file with that authority
	listeners []*listener
	log       *logbook
}

// start runs a pgseal in front of pg until the end of the test, and waits until
// it listens.
func start(t *testing.T, pg *postgres, o options) *pgseal {
	t.Helper()
	p := &pgseal{t: t, pg: pg, options: o, dir: shortDir(t)}
	p.complete()
	p.writeConfig()
	file, err := os.CreateTemp(t.ArtifactDir(), "pgseal-*.log")
	if err != nil {
		t.Fatal(err)
	}
	p.log = &logbook{file: file}
	cmd := exec.Command(p.options.binary, "serve", "--config", p.configFile())
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 exitcode=66 atexit_sleep_ms=0")
	cmd.Stderr = p.log
	if p.child, err = spawn(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.finish)
	eventually(t, patience, "pgseal has started", func() bool {
		if p.ended(0) {
			t.Fatalf("pgseal ended with status %d:\n%s%s", p.status(), p.log.tail(), p.log.odd)
		}
		return p.log.count("pgseal started") == 1
	})
	return p
}

// shortDir is a temporary directory with a name short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgseal-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// complete fills in what the test left open.
func (p *pgseal) complete() {
	p.t.Helper()
	o := &p.options
	if o.binary == "" {
		o.binary = raceBinary
	}
	if o.databases == nil {
		o.databases = map[string]settings{"app": {"pool_size": "5"}}
	}
	if o.pool == nil {
		o.pool = settings{}
	}
	users := map[string]string{"app": appPassword}
	maps.Copy(users, o.users)
	o.users = users
	var err error
	if p.ca, err = devca.New("authority of pgseal", 24*time.Hour); err != nil {
		p.t.Fatal(err)
	}
	p.root = filepath.Join(p.dir, "root.crt")
	p.writeFile(p.root, string(p.ca.CertPEM()))
	p.listeners = append([]*listener{{tls: o.tls}}, o.listeners...)
	for i, l := range p.listeners {
		l.prepare(p.t, p.ca, filepath.Join(p.dir, "listener"+strconv.Itoa(i)))
	}
}

// port is that of the first listener.
func (p *pgseal) port() int { return p.listeners[0].port }

// signal sends a signal to the process.
func (p *pgseal) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// reload sends SIGHUP and waits until pgseal says what came of it.
func (p *pgseal) reload() {
	p.t.Helper()
	outcomes := func() int {
		return p.log.count("configuration reloaded") + p.log.count(configRefused) + p.log.count(fileRefused)
	}
	before := outcomes()
	p.signal(syscall.SIGHUP)
	eventually(p.t, patience, "pgseal has reloaded", func() bool { return outcomes() > before })
}

// finish stops pgseal where the test did not, and looks at how it went.
func (p *pgseal) finish() {
	t := p.t
	if !p.ended(0) {
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	if !p.ended(stopLimit) {
		p.cmd.Process.Signal(syscall.SIGQUIT) // tells in the log where each goroutine is
		t.Errorf("pgseal did not stop within %v", stopLimit)
		if !p.ended(stopLimit) {
			p.cmd.Process.Kill()
			<-p.exited
		}
	}
	if status := p.status(); status != 0 {
		t.Errorf("pgseal ended with status %d (%v)", status, p.cmd.ProcessState)
	}
	p.log.check(t, p.options.errors)
	if t.Failed() {
		t.Logf("log of pgseal, its end:\n%s", p.log.tail())
	}
	p.log.file.Close()
}

// peakMemory returns the most memory that the process has had resident, in
// bytes.
func (p *pgseal) peakMemory() int {
	p.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(value, "kB")))
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatal("the process tells no VmHWM")
	return 0
}
