package pgcluster

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PostgreSQL's shutdown modes and the reload, as signals to the postmaster
// (PostgreSQL documentation, "Shutting Down the Server").
const (
	signalFast      = syscall.SIGINT
	signalImmediate = syscall.SIGQUIT
	signalReload    = syscall.SIGHUP
)

// errExited is why a wait for the server was in vain.
var errExited = errors.New("the server exited")

// postmaster is one run of the postgres program.
type postmaster struct {
	process *os.Process
	// exited is closed when the postmaster itself has ended, gone when its
	// children have as well: then nobody holds the log's pipe any more.
	exited, gone chan struct{}
	// logStart is where this run's lines begin in the journal.
	logStart int64
}

// launch starts postgres on a port. It does not wait until the server is
// ready.
func launch(bindir, dataDir string, port int, a *account, log *journal) (*postmaster, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(bindir, "postgres"), "-D", dataDir, "-p", strconv.Itoa(port))
	cmd.Dir = dataDir
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = a.attributes()
	dieWithUs(cmd.SysProcAttr)

	p := &postmaster{exited: make(chan struct{}), gone: make(chan struct{}), logStart: log.position()}
	started := make(chan error)
	go func() {
		// The kernel's "parent died" is about the thread that started the
		// child. This goroutine keeps that thread until the child is gone.
		runtime.LockOSThread()
		err := cmd.Start()
		write.Close()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		read.Close()
		return nil, err
	}
	p.process = cmd.Process
	go func() {
		io.Copy(log, read)
		read.Close()
		close(p.gone)
	}()
	return p, nil
}

// stop ends the server by ever harder means: fast shutdown, immediate
// shutdown, kill. It returns when all processes of the server are gone.
func (p *postmaster) stop() error {
	for _, step := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{
		{signalFast, 10 * time.Second},
		// In this mode the postmaster kills stubborn children after 5 s.
		{signalImmediate, 7 * time.Second},
		{syscall.SIGKILL, 5 * time.Second},
	} {
		p.signal(step.signal)
		if within(step.patience, p.gone) {
			return nil
		}
	}
	return errors.New("processes of the server are still running")
}

// kill ends the postmaster alone; its children notice and end by themselves.
func (p *postmaster) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// ready waits until the server takes connections on the port.
func (p *postmaster) ready(ctx context.Context, dataDir string, port int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.exited:
			// Its last words are in the pipe.
			within(time.Second, p.gone)
			return errExited
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if p.saysReady(dataDir, port) && reachable(ctx, port) {
			return nil
		}
	}
}

func (p *postmaster) saysReady(dataDir string, port int) bool {
	data, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return false
	}
	// After a kill the file may be that of an earlier run.
	return parsePIDFile(data) == pidFile{pid: p.process.Pid, port: port, status: "ready"}
}

func reachable(ctx context.Context, port int) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// within waits for a channel to be closed and tells whether it was in time.
func within(patience time.Duration, closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	case <-time.After(patience):
		return false
	}
}

func (p *postmaster) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal tells the postmaster something. One that has ended needs no telling.
func (p *postmaster) signal(s syscall.Signal) {
	p.process.Signal(s)
}

// environment is ours without what changes PostgreSQL's behaviour or the
// language of its messages.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") || name == "TZ" || name == "LANG" || name == "LANGUAGE" {
			continue
		}
		env = append(env, entry)
	}
	return env
}
