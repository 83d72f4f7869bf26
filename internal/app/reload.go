package app

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
)

// reload reads the configuration and all files it names again, logs what came of
// it, and returns what was refused. A fault in the configuration leaves all of
// it as it was; a fault in a file leaves what is made of that file.
func (a *App) reload() error {
	a.inForce().audit.reopen()
	err := a.reloadConfig()
	a.note(err)
	if err != nil {
		a.log.Error("configuration contains errors; no changes were applied", zap.Error(err))
	}
	a.proxy.Audit().Reload("configuration", err)
	files := a.watcher.ReloadAll()
	switch {
	case files != nil:
		a.log.Error("file was not reloaded, keeping the version in force", zap.Error(files))
	case err == nil:
		a.log.Info("configuration reloaded")
	}
	return errors.Join(err, files)
}

func (a *App) reloadConfig() error {
	a.changing.Lock()
	defer a.changing.Unlock()
	f, err := config.Load(a.inForce().file.Path())
	if err != nil {
		return err
	}
	return a.apply(f)
}

// apply puts a configuration into force, all of it or nothing. changing is held,
// or an older one could take the place of a newer one.
func (a *App) apply(f config.File) error {
	// Without mu: a hanging file system must not block readers.
	old := a.inForce()
	s, err := a.load(f, old)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = s
	for _, p := range s.parts() {
		if !p.same(old) {
			p.apply(a)
			p.restart(a.log)
		}
	}
	a.proxy.Configure(s.settings())
	a.watch(s)
	s.warn(a.log)
	return nil
}

// configureProxy hands the users and access rules that are in force to the
// proxy.
func (a *App) configureProxy() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proxy.Configure(a.current.settings())
}

// note counts a reload of the configuration, which failed where err is not nil.
func (a *App) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.reloads.LastError = err; err != nil {
		a.reloads.Failures++
		a.reloads.LastErrorAt = now
		return
	}
	a.reloads.Reloads++
	a.reloads.LoadedAt = now
}
