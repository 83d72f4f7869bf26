package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/console"
)

// closeServers is how long the servers may take to close once all clients
// have gone.
const closeServers = 3 * time.Second

func serveCommand() command {
	return command{
		name: "serve", args: "[--config FILE]",
		summary: "run the proxy until it is told to stop",
		run:     runServe,
	}
}

func runServe(c *cli, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	path := flags.String("config", config.DefaultPath, "the configuration `FILE`")
	if err := c.parse(flags, args, "pgseal serve [--config FILE]", serveHelp); err != nil {
		return err
	}
	f, err := loadConfig(*path)
	if err != nil {
		return usageError{err}
	}
	tuneMemory()
	level := zap.NewAtomicLevelAt(f.Log.ZapLevel())
	sampler := newSampler(f.Log.Sampling)
	log, end := newLogger(f.Log.Format, level, sampler, c.stderr)
	defer end()
	r := newInstance(*path, log, level, sampler)
	signals := make(chan os.Signal, 8)
	// For good: a second SIGTERM in the last moments would otherwise have the
	// program end as if it had been killed, although it left in order.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer r.closeAudit()
	if err := r.start(f); err != nil {
		return err
	}
	log.Info("pgseal started", zap.String("version", version()), zap.Int("pid", os.Getpid()))
	return r.serve(signals)
}

const serveHelp = `Runs the proxy. SIGHUP reloads the configuration and every file it names.
SIGTERM or SIGINT stops accepting, lets transactions end and leaves; a second
one leaves at once.
`

// serve runs until signals say stop.
func (r *instance) serve(signals <-chan os.Signal) error {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(ctx)
	}()
	defer func() {
		stop()
		<-done
	}()
	for {
		select {
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				r.log.Info("stopping", zap.String("signal", sig.String()), zap.Int("clients", r.proxy.Clients()))
				return r.drain(signals, false)
			}
			r.reload()
		case how := <-r.stops:
			r.log.Info("stopping", zap.String("command", "SHUTDOWN"), zap.Int("clients", r.proxy.Clients()))
			if how == console.StopForClients {
				how = r.awaitClients(signals)
			}
			return r.drain(signals, how == console.StopNow)
		}
	}
}

// awaitClients accepts nobody any more and returns how to stop when all clients
// have left, or when a signal or another SHUTDOWN has no patience with them.
func (r *instance) awaitClients(signals <-chan os.Signal) console.Stop {
	r.proxy.StopAccepting()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for r.proxy.Clients() > 0 {
		select {
		case <-tick.C:
		case how := <-r.stops:
			if how != console.StopForClients {
				return how
			}
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return console.StopForServers
			}
		}
	}
	return console.StopForServers
}

// drain waits for clients to end their transactions, until another signal or
// SHUTDOWN has no more patience with them, or ends them at once.
func (r *instance) drain(signals <-chan os.Signal, now bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if now {
		cancel()
	}
	finished := make(chan error, 1)
	go func() { finished <- r.shutdown(ctx) }()
	for {
		select {
		case err := <-finished:
			if err != nil && !errors.Is(err, context.Canceled) {
				r.log.Warn("stopped with connections left", zap.Error(err))
			} else {
				r.log.Info("stopped")
			}
			return nil
		case how := <-r.stops:
			if how == console.StopNow {
				cancel()
			}
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				r.log.Info("stopping at once", zap.Int("clients", r.proxy.Clients()))
				cancel()
			}
		}
	}
}

// loadConfig reads the configuration for a command with the flag --config.
func loadConfig(path string) (config.File, error) {
	f, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (--config FILE names another)", err)
	}
	return f, err
}

// parse reads a command's flags. It takes no arguments beside them.
func (c *cli) parse(flags *flag.FlagSet, args []string, usage, help string) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(c.stdout, "Usage: %s\n\n%s\n", usage, strings.TrimSpace(help))
		first := true
		flags.SetOutput(c.stdout)
		flags.VisitAll(func(*flag.Flag) {
			if first {
				fmt.Fprintln(c.stdout, "\nFlags:")
			}
			first = false
		})
		flags.PrintDefaults()
		return errHelp
	case err != nil:
		return usagef("%s: %w", flags.Name(), err)
	case flags.NArg() > 0:
		return usagef("%s takes no arguments beside its flags (see \"pgseal %s --help\")", flags.Name(), flags.Name())
	}
	return nil
}
