package main

import (
	"errors"
	"maps"
	"slices"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

// Role implements console.ConfigSource.
func (r *instance) Role(user string) console.Role {
	admin := r.file().Admin
	switch {
	case slices.Contains(admin.Users, user):
		return console.Admin
	case slices.Contains(admin.StatsUsers, user):
		return console.Stats
	}
	return console.Nobody
}

// file returns the configuration in force.
func (r *instance) file() config.File {
	return r.parts().file
}

// Settings implements console.ConfigSource.
func (r *instance) Settings() (list []console.Setting) {
	for _, s := range r.file().Settings() {
		list = append(list, console.Setting(s))
	}
	return list
}

// Listeners implements console.ConfigSource.
func (r *instance) Listeners() (list []string) {
	for _, l := range r.file().Listen {
		list = append(list, l.Address)
	}
	return list
}

// Certificates implements console.ConfigSource.
func (r *instance) Certificates() (list []stats.Certificate) {
	p := r.parts()
	for _, l := range p.file.Listen {
		if store := p.certs[l.Address]; store != nil {
			list = append(list, loaded(store, store.Load().Loaded(l.TLS))...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.trust)) {
		store := p.trust[name]
		list = append(list, loaded(store, store.Load().Loaded(p.file.Databases[name].UpstreamConfig))...)
	}
	return list
}

// loaded says of certificates which store they are from.
func loaded[T any](store *reload.Store[T], list []stats.Certificate) []stats.Certificate {
	for i := range list {
		list[i].Where, list[i].Status = store.Name(), store.Status()
	}
	return list
}

// Reload implements console.ProcessActions.
func (r *instance) Reload() error { return r.reload() }

// Set implements console.ProcessActions. What it sets holds until the next reload.
func (r *instance) Set(key, value string) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	f := r.file()
	switch err := f.Set(key, value); {
	case errors.Is(err, config.ErrNoSetting):
		return &wire.Error{Code: wire.CodeUndefinedObject, Message: `unrecognized configuration parameter "` + key + `"`, Hint: "SHOW CONFIG lists the settings."}
	case errors.Is(err, config.ErrNotChangeable):
		return &wire.Error{Code: wire.CodeCantChange, Message: `setting "` + key + `" cannot be changed now: ` + err.Error()}
	case err != nil:
		return &wire.Error{Code: wire.CodeInvalidParameter, Message: err.Error()}
	}
	if err := r.apply(f); err != nil {
		return &wire.Error{Code: wire.CodeConfigFile, Message: "SET failed: " + err.Error()}
	}
	return nil
}

// Shutdown implements console.ProcessActions.
func (r *instance) Shutdown(how console.Stop) {
	select {
	case r.stops <- how:
	default: // one is under way, and this one has come twice meanwhile
	}
}
