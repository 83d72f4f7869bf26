package targets

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sleeper is a process before which somebody listens already, so that it counts
// as ready.
func sleeper(t *testing.T, command ...string) *process {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	p := &process{name: "sleeper", command: command, address: ln.Addr().String(), log: filepath.Join(t.TempDir(), "log")}
	t.Cleanup(p.stop)
	return p
}

func TestAProcessLivesUntilItIsStoppedAndCanStartAnew(t *testing.T) {
	p := sleeper(t, "sleep", "60")
	target := &Target{Name: "sleeper", process: p}
	if p.alive() == nil {
		t.Error("alive before it was started")
	}
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := p.pid()
	if err := target.Alive(); err != nil || !target.Group().Alive() {
		t.Errorf("it runs, and yet: %v", err)
	}
	if err := target.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.pid() == first || target.Alive() != nil {
		t.Errorf("process %d after %d: %v", p.pid(), first, target.Alive())
	}
	p.stop()
	p.stop()
	if err := target.Alive(); err == nil || !strings.Contains(err.Error(), "was stopped") {
		t.Errorf("after stop: %v", err)
	}
}

func TestAProcessThatDiesTellsHowAndItsLastWords(t *testing.T) {
	p := sleeper(t, "sh", "-c", "echo first; echo out of luck >&2; exec sleep 60")
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for text := ""; !strings.Contains(text, "luck"); {
		b, err := os.ReadFile(p.log)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	target := &Target{Name: "sleeper", process: p}
	if err := target.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.run.Load().exited
	err := target.Alive()
	if err == nil || !strings.Contains(err.Error(), "exited unexpectedly") || !strings.Contains(err.Error(), "killed") || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("got %v", err)
	}
	if target.Signal(syscall.SIGHUP) == nil {
		t.Error("a dead process took a signal")
	}
}

func TestAProcessThatEndsAtOnceDidNotStart(t *testing.T) {
	p := sleeper(t, "sh", "-c", "echo cannot bind >&2; exit 3")
	p.address = "127.0.0.1:1"
	if err := p.start(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "cannot bind") {
		t.Errorf("got %v", err)
	}
	q := sleeper(t, "/nowhere/program")
	if err := q.start(t.Context()); err == nil {
		t.Error("a program that is not there started")
	}
}
