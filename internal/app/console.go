package app

import (
	"errors"
	"slices"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

// process is what the console reaches of an App: it implements
// console.ConfigSource and console.ProcessActions.
type process struct{ app *App }

func (p process) Role(user string) console.Role {
	admin := p.app.inForce().file.Admin
	switch {
	case slices.Contains(admin.Users, user):
		return console.Admin
	case slices.Contains(admin.StatsUsers, user):
		return console.Stats
	}
	return console.Nobody
}

func (p process) Settings() (list []console.Setting) {
	for _, s := range p.app.inForce().file.Settings() {
		list = append(list, console.Setting(s))
	}
	return list
}

func (p process) Listeners() (list []string) {
	for _, l := range p.app.inForce().file.Listen {
		list = append(list, l.Address)
	}
	return list
}

func (p process) Certificates() []stats.Certificate {
	s := p.app.inForce()
	return loadedOf(&s.listeners, &s.databases)
}

func (p process) Reload() error { return p.app.reload() }

// Set sets what holds until the next reload.
func (p process) Set(key, value string) error {
	p.app.changing.Lock()
	defer p.app.changing.Unlock()
	f := p.app.inForce().file
	switch err := f.Set(key, value); {
	case errors.Is(err, config.ErrNoSetting):
		return &wire.Error{Code: wire.CodeUndefinedObject, Message: `unrecognized configuration parameter "` + key + `"`, Hint: "SHOW CONFIG lists the settings."}
	case errors.Is(err, config.ErrNotChangeable):
		return &wire.Error{Code: wire.CodeCantChange, Message: `parameter "` + key + `" cannot be changed now: ` + err.Error()}
	case err != nil:
		return &wire.Error{Code: wire.CodeInvalidParameter, Message: err.Error()}
	}
	if err := p.app.apply(f); err != nil {
		return &wire.Error{Code: wire.CodeConfigFile, Message: "SET failed: " + err.Error()}
	}
	return nil
}

func (p process) Shutdown(how console.Stop) {
	select {
	case p.app.stops <- how:
	default: // one is under way, and this one has come twice meanwhile
	}
}
