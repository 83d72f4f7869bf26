package app

import (
	"errors"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/proxy/login"
)

// A part is what some keys of the configuration ask for, loaded from disk. It is
// in force together with all other parts or not at all, and does not change
// after load: a reload makes another one. Its methods are called with App.changing
// held, except files, which may be called at any time.
type part interface {
	// load loads the part as f configures it, without affecting anything that runs. What
	// is unchanged is taken over from old, which is empty at the start.
	load(a *App, f config.File, old *setup) error
	// same reports whether the part equals old's. Otherwise apply applies it, and restart
	// logs what requires a restart.
	same(old *setup) bool
	apply(a *App)
	restart(log *zap.Logger)
	// warn logs what is weaker than it should be. s is the setup of the part.
	warn(log *zap.Logger, s *setup)
	// files lists the files of the part that are watched.
	files() []files
}

// plain is embedded for the default methods of a part. What only the proxy needs is
// passed by setup.settings.
type plain struct{}

func (plain) apply(*App)               {}
func (plain) restart(*zap.Logger)      {}
func (plain) warn(*zap.Logger, *setup) {}
func (plain) files() (none []files)    { return none }

// setup is a configuration with everything loaded for it.
type setup struct {
	file      config.File
	loops     loops
	listeners listeners
	databases databases
	users     users
	access    access
	web       web
	logging   logging
	audit     audit
}

// parts lists the parts in the order in which they are loaded.
func (s *setup) parts() []part {
	return []part{&s.loops, &s.listeners, &s.databases, &s.users, &s.access, &s.web, &s.logging, &s.audit}
}

// empty reports whether nothing was loaded yet.
func (s *setup) empty() bool { return s.access.store == nil }

// load loads all parts of a configuration and returns all their errors.
func (a *App) load(f config.File, old *setup) (*setup, error) {
	s := &setup{file: f}
	var err error
	for _, p := range s.parts() {
		if p == part(&s.audit) && err != nil {
			break // it makes a file, which only a configuration in force may do
		}
		err = errors.Join(err, p.load(a, f, old))
	}
	return s, err
}

func (s *setup) warn(log *zap.Logger) {
	for _, p := range s.parts() {
		p.warn(log, s)
	}
}

func (s *setup) files() (all []files) {
	for _, p := range s.parts() {
		all = append(all, p.files()...)
	}
	return all
}

// settings returns what the proxy has to know, as it is now.
func (s *setup) settings() proxy.Settings {
	return proxy.Settings{
		Settings: login.Settings{
			Users: s.users.inForce(), Access: s.access.store.Load(), Auth: s.file.Auth, AuthPass: s.users.lookupPass, Mocker: s.users.mocker,
		},
		Pool: s.file.Pool, Audit: s.audit.log, SlowWait: s.file.Log.SlowWait,
	}
}
