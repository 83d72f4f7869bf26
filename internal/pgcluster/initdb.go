package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// initialize makes the data directory and writes all that belongs into it.
func (c *Cluster) initialize(ctx context.Context) error {
	if err := c.initdb(ctx); err != nil {
		return err
	}
	if err := c.configure(); err != nil {
		return err
	}
	var err error
	name := filepath.Join(c.DataDir(), logFile)
	if c.logFile, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	c.log = newJournal(c.logFile, c.options.Log)
	return c.account.own(name)
}

func (c *Cluster) initdb(ctx context.Context) error {
	passwordFile := filepath.Join(c.home, "password")
	if err := c.account.writeFile(passwordFile, []byte(c.options.Password+"\n")); err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	cmd := exec.CommandContext(ctx, filepath.Join(c.bindir, "initdb"),
		"--pgdata="+c.DataDir(), "--username=postgres", "--pwfile="+passwordFile,
		"--auth-host=scram-sha-256", "--auth-local=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = c.home
	cmd.Env = environment()
	cmd.SysProcAttr = c.account.attributes()
	// initdb runs servers of its own: end them with it.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, os.ErrPermission) && c.account != nil {
		return fmt.Errorf("user %s cannot run it: %w", c.account.name, err)
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out, 2<<10))
	}
	return nil
}

func (c *Cluster) configure() error {
	o := c.options
	socketDir := c.DataDir()
	if len(socketDir) > maxSocketDir {
		// No room for a socket's name: be reachable by TCP alone.
		socketDir = ""
	}
	conf, err := os.ReadFile(filepath.Join(c.DataDir(), "postgresql.conf"))
	if err != nil {
		return err
	}
	conf = append(conf, "\n# pgseal\n"+o.conf(socketDir)...)
	errs := []error{
		c.writeFile("postgresql.conf", conf),
		c.writeFile("pg_hba.conf", []byte(o.hba())),
	}
	if o.tls() {
		errs = append(errs, c.writePair(o.ServerCert, o.ServerKey))
	}
	if len(o.RootCA) > 0 {
		errs = append(errs, c.writeFile(rootFile, o.RootCA))
	}
	return errors.Join(errs...)
}
