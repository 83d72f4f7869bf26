package integration

import (
	"bytes"
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// child is a program that a test has started.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once it has ended and its output is read
	err    error         // set before exited is closed
}

// spawn starts a program that ends with this process at the latest.
func spawn(cmd *exec.Cmd) (*child, error) { return spawnAs(cmd, nil) }

// spawnAs is spawn in the name of another user, unless that is nil.
func spawnAs(cmd *exec.Cmd, account *syscall.Credential) (*child, error) {
	c := &child{cmd: cmd, exited: make(chan struct{})}
	cmd.SysProcAttr = as(account)
	started := make(chan error)
	go func() {
		// The kernel's "parent died" is about the thread that started the
		// child: keep it until the child has ended.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.exited)
		}
	}()
	return c, <-started
}

// as has a program end with this process, and run in the name of the account.
func as(account *syscall.Credential) *syscall.SysProcAttr {
	attr := dieWithUs()
	if account != nil && attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	if account != nil {
		attr.Credential = account
	}
	return attr
}

// ended reports whether the program ends within limit.
func (c *child) ended(limit time.Duration) bool {
	select {
	case <-c.exited:
		return true
	case <-time.After(limit):
		return false
	}
}

// status returns the exit status of a program that has ended, -1 where a
// signal ended it.
func (c *child) status() int { return c.cmd.ProcessState.ExitCode() }

// result is what a program left behind.
type result struct {
	stdout, stderr string
	status         int
}

// runProgram runs a program to its end.
func runProgram(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// background starts a program that the test ends itself; it is killed with the
// test otherwise.
func background(t *testing.T, cmd *exec.Cmd) (c *child, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	c, err := spawn(cmd)
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.exited
	})
	return c, stdout, stderr
}
