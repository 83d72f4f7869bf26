package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/httpd"
	"github.com/pgseal/pgseal/internal/metrics"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/status"
	"github.com/pgseal/pgseal/tlsconf"
)

// lateLoop is how long an event loop may stall before pgseal is reported as dead.
const lateLoop = 10 * time.Second

// web is the part of the section http, but for the files what it was at the
// start.
type web struct {
	plain
	config httpd.Config
	cert   *reload.Store[*tlsconf.Listener] // nil without TLS
	token  *reload.Store[httpd.Token]       // nil if nobody has to know one
}

func (w *web) load(_ *App, f config.File, old *setup) (err error) {
	*w = web{config: f.HTTP, cert: old.web.cert, token: old.web.token}
	if !old.empty() || f.HTTP.Address == "" {
		return nil
	}
	if w.cert, err = f.HTTP.TLS.NewCertificate(); err == nil {
		w.token, err = httpd.NewToken(f.HTTP.BearerTokenFile)
	}
	return f.Fault("http", err)
}

func (w *web) same(old *setup) bool { return w.config == old.web.config }

func (w *web) restart(log *zap.Logger) {
	log.Warn("http cannot be changed without a restart")
}

func (w *web) warn(log *zap.Logger, _ *setup) {
	for _, text := range w.config.Warnings() {
		log.Warn("weak setting", zap.String("http", w.config.Address), zap.String("warning", text))
	}
}

func (w *web) files() (list []files) {
	if w.cert != nil {
		list = append(list, certificates(w.cert, func(v *tlsconf.Listener) []stats.Certificate {
			return v.Loaded(tlsconf.ListenerConfig{CertFile: w.config.TLS.CertFile})
		}))
	}
	if w.token != nil {
		list = append(list, filesOf(w.token))
	}
	return list
}

// startHTTP begins to watch the event loops, and to answer HTTP if that is
// wanted. What it starts ends with ctx, but for the server.
func (a *App) startHTTP(ctx context.Context, w *web) (err error) {
	a.pulse = engine.NewPulse(a.engine)
	a.children.Go(func() { a.pulse.Run(ctx) })
	if w.config.Address == "" {
		return nil
	}
	page := status.New(status.Sources{
		Version: a.version, Pools: a.manager, Clients: a.proxy, Certificates: a.shownCertificates, Files: a.shownFiles, Missing: a.ready,
	})
	a.children.Go(func() { page.Run(ctx) })
	pages := page.Handlers()
	pages["/metrics"] = metrics.Handler(metrics.Sources{
		Version: a.version, Pools: a.manager, Clients: a.proxy, Loops: a.pulse.Stats, Files: a.shownFiles,
	})
	a.http, err = httpd.Listen(a.log, httpd.Options{
		Address: w.config.Address, Pprof: w.config.Pprof, Certificate: w.cert, Token: w.token,
		Health: httpd.Health{Alive: a.alive, Ready: a.ready, Started: a.started},
		Pages:  pages,
	})
	if err != nil {
		return fmt.Errorf("%w (an empty address disables HTTP)", err)
	}
	a.log.Info("http server listening", zap.Stringer("address", a.http.Addr()), zap.Bool("tls", w.cert != nil))
	return nil
}

// alive returns why pgseal should be restarted.
func (a *App) alive() []string {
	if late := a.pulse.Late(); late > lateLoop {
		return []string{fmt.Sprintf("event loop stalled for %v", late.Round(time.Second))}
	}
	return nil
}

// ready returns why pgseal should get no new clients.
func (a *App) ready() (missing []string) {
	if !a.proxy.Listening() {
		missing = append(missing, "not accepting clients (starting up or shutting down)")
	}
	if names := a.manager.Unreachable(); len(names) > 0 {
		missing = append(missing, "no verified server connection: "+strings.Join(names, ", "))
	}
	if len(missing) == 0 {
		a.wasReady.Store(true)
	}
	return missing
}

// started returns what pgseal still waits for after its start: it has to have been
// ready once.
func (a *App) started() []string {
	if a.wasReady.Load() {
		return nil
	}
	return a.ready()
}
