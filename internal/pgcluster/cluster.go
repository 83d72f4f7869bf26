package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	host = "127.0.0.1"

	// Names in the data directory.
	certFile = "server.crt"
	keyFile  = "server.key"
	rootFile = "root.crt"
	logFile  = "server.log"

	readyTimeout  = 30 * time.Second
	reloadTimeout = 10 * time.Second
	portAttempts  = 5

	// maxSocketDir is the longest directory that leaves room for the name of
	// a socket, "/.s.PGSQL.65535", in the 104 bytes macOS has (Linux: 108).
	maxSocketDir = 103 - len("/.s.PGSQL.65535")
)

// errStopped is what a stopped cluster answers.
var errStopped = errors.New("the cluster is stopped")

// Cluster is a running PostgreSQL. Any goroutine may call its methods; those
// that start or end the server wait for each other.
type Cluster struct {
	// Set once, before Start returns.
	bindir  string
	home    string // holds the data directory and nothing else for long
	port    int
	options Options
	account *account
	log     *journal
	logFile *os.File

	// server is the last run, which may have ended; nil before the first.
	server atomic.Pointer[postmaster]

	turn    sync.Mutex // held while the server starts or ends
	stopped bool       // guarded by turn
}

// Start makes a cluster and returns when it takes connections: as long as ctx
// allows, and at most 30 seconds after the data directory is there. ctx bounds
// the start only; the cluster runs until Stop. When the server does not start,
// the error ends with the last lines of its log, and nothing is left behind.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return c, nil
}

func start(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Cluster{bindir: o.BinDir, options: o}
	var err error
	if c.bindir == "" {
		if c.bindir, err = Find(""); err != nil {
			return nil, err
		}
	}
	if c.account, err = serverAccount(); err != nil {
		return nil, err
	}
	if c.home, err = c.account.mkdir(o.Dir); err != nil {
		return nil, err
	}
	if err := c.initialize(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.runOnFreePort(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) runOnFreePort(ctx context.Context) (err error) {
	ctx, cancel := boundStart(ctx)
	defer cancel()
	for range portAttempts {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.run(ctx); !isPortTaken(err) {
			return err
		}
	}
	return err
}

func boundStart(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %v", readyTimeout))
}

// Host returns "127.0.0.1", the only address the server listens on.
func (c *Cluster) Host() string { return host }

// Port returns the server's TCP port. It stays the same over restarts.
func (c *Cluster) Port() int { return c.port }

// DataDir returns the data directory, which is gone after Stop. Its file
// server.log is the server's log.
func (c *Cluster) DataDir() string { return filepath.Join(c.home, "data") }

// BinDir returns the directory of the programs that run the cluster.
func (c *Cluster) BinDir() string { return c.bindir }

// PID returns the postmaster's process ID, or 0 when it is not running.
func (c *Cluster) PID() int {
	p := c.server.Load()
	if p == nil || !p.running() {
		return 0
	}
	return p.process.Pid
}

// Reload has the server read its configuration, pg_hba.conf and certificates
// again. When it returns, new connections are served by what was read; running
// sessions follow on their own time. A file the server could not use is told
// in its log only.
func (c *Cluster) Reload(ctx context.Context) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.stopped {
		return fmt.Errorf("reload PostgreSQL: %w", errStopped)
	}
	p := c.server.Load()
	ctx, cancel := context.WithTimeoutCause(ctx, reloadTimeout, fmt.Errorf("no answer for %v", reloadTimeout))
	defer cancel()
	position := c.log.position()
	p.signal(signalReload)
	// The postmaster writes this line and reads the files before it accepts
	// another connection.
	if err := c.log.waitFor(ctx, position, "received SIGHUP", p.exited); err != nil {
		return fmt.Errorf("reload PostgreSQL: %w", err)
	}
	return nil
}

// Restart ends all sessions (fast shutdown) and starts the server again, on
// the same port. It also starts a server that was killed. ctx and 30 seconds
// bound the start.
func (c *Cluster) Restart(ctx context.Context) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.stopped {
		return fmt.Errorf("restart PostgreSQL: %w", errStopped)
	}
	if err := c.server.Load().stop(); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	ctx, cancel := boundStart(ctx)
	defer cancel()
	for {
		err := c.run(ctx)
		if err == nil {
			return nil
		}
		// Meanwhile somebody's outgoing connection may have got our port.
		if !isPortTaken(err) || !pause(ctx) {
			return fmt.Errorf("restart PostgreSQL: %w", err)
		}
	}
}

// Kill ends the postmaster as a crash would (SIGKILL) and returns when it is
// dead. Its children notice and follow, a moment later; one that was just born
// may take connections until then.
func (c *Cluster) Kill() {
	c.turn.Lock()
	defer c.turn.Unlock()
	if p := c.server.Load(); p != nil {
		p.kill()
	}
}

// Stop ends the server, by a fast shutdown and by force when that takes over
// ten seconds, and removes the data directory. Further calls do nothing.
func (c *Cluster) Stop() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	var errs []error
	if p := c.server.Load(); p != nil {
		errs = append(errs, p.stop())
	}
	if c.logFile != nil {
		errs = append(errs, c.logFile.Close())
	}
	errs = append(errs, os.RemoveAll(c.home))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}

// WriteServerCert replaces the server's certificate and key, both PEM, each
// file by rename. The server uses them after Reload or Restart. It fails on a
// cluster that was started without TLS.
func (c *Cluster) WriteServerCert(cert, key []byte) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	switch {
	case c.stopped:
		return fmt.Errorf("write server certificate: %w", errStopped)
	case !c.options.tls():
		return errors.New("write server certificate: the cluster was started without TLS")
	}
	return c.writePair(cert, key)
}

func (c *Cluster) writePair(cert, key []byte) error {
	return errors.Join(c.writeFile(keyFile, key), c.writeFile(certFile, cert))
}

func (c *Cluster) writeFile(name string, data []byte) error {
	return c.account.writeFile(filepath.Join(c.DataDir(), name), data)
}

// run starts the server and waits until it is ready.
func (c *Cluster) run(ctx context.Context) error {
	p, err := launch(c.bindir, c.DataDir(), c.port, c.account, c.log)
	if err != nil {
		return err
	}
	c.server.Store(p)
	if err := p.ready(ctx, c.DataDir(), c.port); err != nil {
		tail := c.log.tail(p.logStart)
		return errors.Join(&startError{cause: err, log: tail}, p.stop())
	}
	return nil
}

// startError tells why a server did not start, in its own words.
type startError struct {
	cause error
	log   string
}

func (e *startError) Error() string {
	if e.log == "" {
		return e.cause.Error()
	}
	return e.cause.Error() + "; its log ends with:\n" + e.log
}

func (e *startError) Unwrap() error { return e.cause }

func isPortTaken(err error) bool {
	var failed *startError
	return errors.As(err, &failed) && strings.Contains(failed.log, "Address already in use")
}

// freePort returns a port nobody listens on now; somebody may a moment later.
func freePort() (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// pause waits a little and tells whether ctx goes on.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(50 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}
