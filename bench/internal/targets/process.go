package targets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second
	stopPatience = 3 * time.Second
)

// process is a program of ours on loopback. start and stop belong to one
// goroutine.
type process struct {
	name    string
	command []string
	as      *account // who runs it, nil for us
	address string   // where it listens
	log     string   // the file its output goes to

	run atomic.Pointer[running]
}

// running is one run of a process.
type running struct {
	process *os.Process
	exited  chan struct{} // closed when it has ended
	state   string        // how; read after exited
	wanted  atomic.Bool   // we ended it
}

// start starts the program and waits until it takes connections.
func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Dir = filepath.Dir(p.log)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = p.as.attributes()
	r := &running{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Where the kernel ends the child with its parent, that is the thread
		// that started it: this goroutine keeps it until the child has gone.
		runtime.LockOSThread()
		err := cmd.Start()
		r.process = cmd.Process
		started <- err
		if err == nil {
			cmd.Wait()
			r.state = cmd.ProcessState.String()
			close(r.exited)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.run.Store(r)
	if err := p.ready(ctx, r); err != nil {
		p.stop()
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return nil
}

// ready waits until something listens at the address.
func (p *process) ready(ctx context.Context, r *running) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v%s", startTimeout, p.lastWords()))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.exited:
			return fmt.Errorf("exited with %s%s", r.state, p.lastWords())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address); err == nil {
			return conn.Close()
		}
	}
}

// lastWords is the end of its log, for an error on one line.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return ""
	}
	return ": " + string(text[bytes.LastIndexByte(text, '\n')+1:])
}

func (p *process) pid() int {
	if r := p.run.Load(); r != nil {
		return r.process.Pid
	}
	return 0
}

func (p *process) alive() error {
	r := p.run.Load()
	if r == nil {
		return errors.New(p.name + " is not running")
	}
	select {
	case <-r.exited:
		if r.wanted.Load() {
			return errors.New(p.name + " was stopped")
		}
		return fmt.Errorf("%s exited unexpectedly: %s%s", p.name, r.state, p.lastWords())
	default:
		return nil
	}
}

func (p *process) signal(s os.Signal) error {
	if err := p.alive(); err != nil {
		return err
	}
	return p.run.Load().process.Signal(s)
}

// stop ends it, by force when it takes too long. Nobody's work is lost.
func (p *process) stop() {
	r := p.run.Load()
	if r == nil {
		return
	}
	r.wanted.Store(true)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGKILL} {
		r.process.Signal(s) // one that has ended needs no telling
		select {
		case <-r.exited:
			return
		case <-time.After(stopPatience):
		}
	}
}
