package app

import (
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
)

// files is something that is made of files and reloaded by itself, with what
// metrics, console and status page show of it.
type files struct {
	reload.Reloadable
	status func() stats.ReloadStatus
	expiry func() stats.Expiry
	loaded func() []stats.Certificate
}

// filesOf returns files of which none is a certificate.
func filesOf[T any](s *reload.Store[T]) files {
	return files{s, s.Status, func() (none stats.Expiry) { return none }, func() []stats.Certificate { return nil }}
}

// certificates returns files that hold what loaded lists of the value in force.
func certificates[T interface{ Expiry() stats.Expiry }](s *reload.Store[T], loaded func(T) []stats.Certificate) files {
	return files{s, s.Status, func() stats.Expiry { return s.Load().Expiry() }, func() []stats.Certificate { return loaded(s.Load()) }}
}

// watch has all files of a setup looked after, and no others.
func (a *App) watch(s *setup) {
	var all []reload.Reloadable
	for _, f := range s.files() {
		all = append(all, f.Reloadable)
	}
	a.watcher.Set(all...)
}

// shownFiles lists all that is reloaded by itself.
func (a *App) shownFiles() []stats.Files {
	a.mu.Lock()
	list := []stats.Files{{Name: "configuration", Status: a.reloads}}
	a.mu.Unlock()
	for _, f := range a.inForce().files() {
		list = append(list, stats.Files{Name: f.Name(), Status: f.status(), Expiry: f.expiry()})
	}
	slices.SortFunc(list, func(a, b stats.Files) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// shownCertificates lists what is in force on both legs, and of HTTP.
func (a *App) shownCertificates() []stats.Certificate {
	s := a.inForce()
	return loadedOf(&s.listeners, &s.databases, &s.web)
}

func loadedOf(parts ...part) (list []stats.Certificate) {
	for _, p := range parts {
		for _, f := range p.files() {
			for _, c := range f.loaded() {
				c.Where, c.Status = f.Name(), f.status()
				list = append(list, c)
			}
		}
	}
	return list
}
