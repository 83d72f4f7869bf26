package app

import (
	"context"
	"errors"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/console"
)

// closeServers is how long the servers may take to close once all clients
// have gone.
const closeServers = 3 * time.Second

// Serve runs until a signal of stop, or SHUTDOWN at the console, says so. Then
// it accepts no more clients and lets transactions end; another signal of stop
// has no patience with them. A signal of reload has everything reloaded.
func (a *App) Serve(reload, stop <-chan os.Signal) {
	for {
		select {
		case <-reload:
			a.reload()
		case sig := <-stop:
			a.log.Info("shutting down", zap.String("signal", sig.String()), zap.Int("clients", a.proxy.Clients()))
			a.drain(stop, false)
			return
		case how := <-a.stops:
			a.log.Info("shutting down", zap.String("command", "SHUTDOWN"), zap.Int("clients", a.proxy.Clients()))
			if how == console.StopForClients {
				how = a.awaitClients(stop)
			}
			a.drain(stop, how == console.StopNow)
			return
		}
	}
}

// awaitClients accepts nobody any more and returns how to stop when all clients
// have left, or when a signal or another SHUTDOWN has no patience with them.
func (a *App) awaitClients(stop <-chan os.Signal) console.Stop {
	a.proxy.StopAccepting()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for a.proxy.Clients() > 0 {
		select {
		case <-tick.C:
		case how := <-a.stops:
			if how != console.StopForClients {
				return how
			}
		case <-stop:
			return console.StopForServers
		}
	}
	return console.StopForServers
}

// drain waits for clients to end their transactions, until another signal or
// SHUTDOWN has no more patience with them, or ends them at once.
func (a *App) drain(stop <-chan os.Signal, now bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if now {
		cancel()
	}
	finished := make(chan error, 1)
	go func() { finished <- a.shutdown(ctx) }()
	for {
		select {
		case err := <-finished:
			if err != nil && !errors.Is(err, context.Canceled) {
				a.log.Warn("shut down with connections still open", zap.Error(err))
			} else {
				a.log.Info("shut down")
			}
			return
		case how := <-a.stops:
			if how == console.StopNow {
				cancel()
			}
		case <-stop:
			a.log.Info("immediate shutdown requested", zap.Int("clients", a.proxy.Clients()))
			cancel()
		}
	}
}

// shutdown ends clients in order until ctx ends, then at once, and after them
// the servers and all else.
func (a *App) shutdown(ctx context.Context) error {
	a.serving = false
	a.manager.Resume("") // who waits because of PAUSE would hold up the end
	err := a.proxy.Shutdown(ctx)
	closing, cancel := context.WithTimeout(context.Background(), closeServers)
	defer cancel()
	err = errors.Join(err, a.manager.Close(closing))
	if a.http != nil {
		a.http.Close()
	}
	a.stop()
	a.children.Wait()
	if err == nil { // otherwise it still has connections
		a.engine.Close()
	}
	return err
}
