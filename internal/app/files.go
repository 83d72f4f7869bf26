package app

import (
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/metrics"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/status"
	"github.com/pgseal/pgseal/tlsconf"
)

// files is something that is made of files and reloaded by itself, with what
// metrics, console and status page show of it.
type files struct {
	reload.Reloadable
	status func() reload.Status
	expiry func() tlsconf.Expiry
	loaded func() []tlsconf.Loaded
}

// filesOf returns files of which none is a certificate.
func filesOf[T any](s *reload.Store[T]) files {
	return files{s, s.Status, func() (none tlsconf.Expiry) { return none }, func() []tlsconf.Loaded { return nil }}
}

// certificates returns files that hold what loaded lists of the value in force.
func certificates[T interface{ Expiry() tlsconf.Expiry }](s *reload.Store[T], loaded func(T) []tlsconf.Loaded) files {
	return files{s, s.Status, func() tlsconf.Expiry { return s.Load().Expiry() }, func() []tlsconf.Loaded { return loaded(s.Load()) }}
}

// watch has all files of a setup looked after, and no others.
func (a *App) watch(s *setup) {
	var all []reload.Reloadable
	for _, f := range s.files() {
		all = append(all, f.Reloadable)
	}
	a.watcher.Set(all...)
}

// metricsFiles lists all that is reloaded by itself.
func (a *App) metricsFiles() []metrics.Files {
	a.mu.Lock()
	list := []metrics.Files{{Name: "configuration", Status: a.reloads}}
	a.mu.Unlock()
	for _, f := range a.inForce().files() {
		list = append(list, metrics.Files{Name: f.Name(), Status: f.status(), Expiry: f.expiry()})
	}
	slices.SortFunc(list, func(a, b metrics.Files) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// statusFiles lists the same for the status page.
func (a *App) statusFiles() (list []status.File) {
	for _, f := range a.metricsFiles() {
		list = append(list, status.File{Name: f.Name, Status: f.Status})
	}
	return list
}

// statusCertificates lists what is in force on both legs, and of HTTP.
func (a *App) statusCertificates() (list []status.Loaded) {
	s := a.inForce()
	for _, c := range loadedOf(&s.listeners, &s.databases, &s.web) {
		list = append(list, status.Loaded{Loaded: c.Loaded, Where: c.Where})
	}
	return list
}

func loadedOf(parts ...part) (list []console.Certificate) {
	for _, p := range parts {
		for _, f := range p.files() {
			for _, x := range f.loaded() {
				list = append(list, console.Certificate{Loaded: x, Where: f.Name(), Status: f.status()})
			}
		}
	}
	return list
}
