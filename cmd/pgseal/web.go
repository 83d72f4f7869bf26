package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/httpd"
	"github.com/pgseal/pgseal/internal/metrics"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/tlsconf"
)

// lateLoop is for how long an event loop may come to nothing new before pgseal
// counts as dead.
const lateLoop = 10 * time.Second

// webFiles is what HTTP is spoken with. Both are nil where they are not wanted.
type webFiles struct {
	cert  *reload.Store[*tlsconf.Listener]
	token *reload.Store[httpd.Token]
}

func newWebFiles(c httpd.Config) (w webFiles, err error) {
	if c.Address == "" {
		return w, nil
	}
	if w.cert, err = c.TLS.NewCertificate(); err != nil {
		return w, err
	}
	w.token, err = httpd.NewToken(c.BearerTokenFile)
	return w, err
}

func (w webFiles) all() (list []reload.Reloadable) {
	if w.cert != nil {
		list = append(list, w.cert)
	}
	if w.token != nil {
		list = append(list, w.token)
	}
	return list
}

// web is the HTTP server and what it watches.
type web struct {
	server  *httpd.Server // nil where HTTP is not spoken
	pulse   *engine.Pulse
	stop    context.CancelFunc
	pulsing sync.WaitGroup
	started atomic.Bool // it was ready once
}

// startHTTP begins to watch the event loops, and to answer HTTP where that is
// wanted. mu is held.
func (r *instance) startHTTP(p parts) error {
	ctx, stop := context.WithCancel(context.Background())
	w := &web{pulse: engine.NewPulse(r.engine), stop: stop}
	w.pulsing.Go(func() { w.pulse.Run(ctx) })
	r.web = w
	c := p.file.HTTP
	if c.Address == "" {
		return nil
	}
	pages := map[string]http.Handler{"/metrics": metrics.Handler(metrics.Sources{
		Version: version(), Pools: r.manager, Clients: r.proxy, Loops: w.pulse.Stats, Files: r.files,
	})}
	page := r.statusPage()
	w.pulsing.Go(func() { page.Run(ctx) })
	maps.Copy(pages, page.Handlers())
	var err error
	w.server, err = httpd.Listen(r.log, httpd.Options{
		Address: c.Address, Pprof: c.Pprof, Certificate: p.http.cert, Token: p.http.token,
		Health: httpd.Health{Alive: r.alive, Ready: r.ready, Started: r.started},
		Pages:  pages,
	})
	if err != nil {
		return fmt.Errorf("%w (empty switches HTTP off)", err)
	}
	r.log.Info("HTTP is served", zap.Stringer("address", w.server.Addr()), zap.Bool("tls", p.http.cert != nil))
	return nil
}

// close ends what runs. The engine must not be closed before. Further calls do
// nothing.
func (w *web) close() {
	if w.server != nil {
		w.server.Close()
	}
	w.stop()
	w.pulsing.Wait()
}

// alive says why pgseal should be started anew.
func (r *instance) alive() []string {
	if late := r.web.pulse.Late(); late > lateLoop {
		return []string{fmt.Sprintf("an event loop has come to nothing new for %v", late.Round(time.Second))}
	}
	return nil
}

// ready says why pgseal should get no new clients.
func (r *instance) ready() (missing []string) {
	if !r.proxy.Listening() {
		missing = append(missing, "it takes no clients: it starts, or is about to stop")
	}
	if names := r.manager.Unreachable(); len(names) > 0 {
		missing = append(missing, "no verified server lately: "+strings.Join(names, ", "))
	}
	if len(missing) == 0 {
		r.web.started.Store(true)
	}
	return missing
}

// started says what pgseal still waits for after its start: to have been ready
// once.
func (r *instance) started() []string {
	if r.web.started.Load() {
		return nil
	}
	return r.ready()
}

// reloads is what became of the configuration at its reloads.
type reloads struct {
	mu     sync.Mutex
	status stats.ReloadStatus
}

func (r *reloads) began() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.LoadedAt = time.Now()
}

// note counts a reload, which failed where err is not nil.
func (r *reloads) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.LastError = err; err != nil {
		r.status.Failures++
		r.status.LastErrorAt = time.Now()
		return
	}
	r.status.Reloads++
	r.status.LoadedAt = time.Now()
}

func (r *reloads) read() stats.ReloadStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// files lists all that is reloaded by itself.
func (r *instance) files() []stats.Files {
	p := r.parts()
	list := []stats.Files{{Name: "configuration", Status: r.configReloads.read()}}
	for _, s := range p.certs {
		if s != nil {
			list = append(list, stats.Files{Name: s.Name(), Status: s.Status(), Expiry: s.Load().Expiry()})
		}
	}
	for _, s := range p.trust {
		list = append(list, stats.Files{Name: s.Name(), Status: s.Status(), Expiry: s.Load().Expiry()})
	}
	if s := p.http.cert; s != nil {
		list = append(list, stats.Files{Name: s.Name(), Status: s.Status(), Expiry: s.Load().Expiry()})
	}
	if s := p.http.token; s != nil {
		list = append(list, stats.Files{Name: s.Name(), Status: s.Status()})
	}
	if s := p.users; s != nil {
		list = append(list, stats.Files{Name: s.Name(), Status: s.Status()})
	}
	list = append(list, stats.Files{Name: p.access.Name(), Status: p.access.Status()})
	slices.SortFunc(list, func(a, b stats.Files) int { return strings.Compare(a.Name, b.Name) })
	return list
}
