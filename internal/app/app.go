package app

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/httpd"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
)

// App is everything that runs under one configuration file, and applies changes of it.
// Load makes one; its methods are called by one goroutine.
type App struct {
	version string
	log     *zap.Logger
	output  *output
	engine  engine.Engine
	manager *pool.Manager
	proxy   *proxy.Server
	console *console.Console
	watcher *reload.Watcher
	pulse   *engine.Pulse
	http    *httpd.Server     // nil if HTTP is not spoken
	stops   chan console.Stop // what SHUTDOWN of the console asks for

	serving  bool // something was started that shutdown has not ended
	wasReady atomic.Bool
	stop     context.CancelFunc // ends the children
	children sync.WaitGroup

	changing sync.Mutex         // held from reading a configuration until it is in force; taken before mu
	mu       sync.Mutex         // held for moments
	current  *setup             // in force
	reloads  stats.ReloadStatus // of the configuration
}

// Load reads all files that a configuration references, and starts logging to w. Any
// error is one of the configuration. The App has to be closed.
func Load(f config.File, version string, w io.Writer) (*App, error) {
	a := &App{version: version, stops: make(chan console.Stop, 1)}
	a.log, a.output = newOutput(f.Log, w)
	a.watcher = reload.NewWatcher(a.log, 0)
	var err error
	if a.current, err = a.load(f, &setup{}); err != nil {
		a.output.lines.end()
		return nil, err
	}
	return a, nil
}

// Start opens all listeners and begins to serve. It is called once; after an
// error only Close may be.
func (a *App) Start() (err error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	s := a.current
	if a.engine, err = s.loops.start(a.log); err != nil {
		return err
	}
	a.manager = pool.NewManager(a.log, a.engine, proxy.NewServerState)
	a.manager.Apply(s.databases.specs)
	a.proxy = proxy.New(a.log, a.engine, a.manager, s.settings())
	a.console = console.New(a.log,
		console.Sources{Version: a.version, Clients: a.proxy, Pools: a.manager, Config: process{a}},
		console.Actions{Clients: a.proxy, Pools: a.manager, Process: process{a}})
	a.proxy.UseConsole(a.console)
	a.watcher.OnReload(func(name string, err error) { a.proxy.Audit().Reload(name, err) })
	s.warn(a.log)
	a.reloads.LoadedAt = time.Now()
	ctx, stop := context.WithCancel(context.Background())
	a.stop, a.serving = stop, true
	if err := a.startHTTP(ctx, &s.web); err != nil {
		return err
	}
	if err := s.listeners.open(a.log, a.proxy); err != nil {
		return err
	}
	a.watch(s)
	a.log.Info("pgseal started", zap.String("version", a.version), zap.Int("pid", os.Getpid()))
	for _, child := range []func(context.Context){
		a.watcher.Run, a.manager.Run, a.manager.WatchRequired, a.console.Run, a.tellStatistics, giveBack,
		func(ctx context.Context) { a.output.sampler.run(ctx, a.log) },
	} {
		a.children.Go(func() { child(ctx) })
	}
	return nil
}

// Close ends immediately what Serve has not ended, and flushes the log and the audit
// stream.
func (a *App) Close() {
	if a.serving {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		a.shutdown(now)
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	a.current.audit.close()
	a.output.lines.end()
}

// inForce returns the setup in force.
func (a *App) inForce() *setup {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}
