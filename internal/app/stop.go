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

// Serve runs until a signal on stop, or SHUTDOWN at the console. Then it rejects new
// clients and waits for transactions to finish; another signal on stop cuts them
// off. A signal on reload reloads everything.
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

// awaitClients rejects new clients and returns how to stop once all clients have
// disconnected, or a signal or another SHUTDOWN arrives.
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

// drain waits for transactions to finish, until another signal or SHUTDOWN cuts them
// off, or cuts them off immediately if now is set.
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
	a.manager.Resume("") // clients waiting because of PAUSE would block the shutdown
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
