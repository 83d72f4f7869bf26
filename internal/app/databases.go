package app

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/tlsconf"
)

// databases are the part of the sections databases, users and pool, as far as
// servers are concerned.
type databases struct {
	plain
	specs map[string]*pool.Spec
}

func (d *databases) load(a *App, f config.File, old *setup) error {
	d.specs = map[string]*pool.Spec{}
	var errs []error
	for name, c := range f.Databases {
		spec := &pool.Spec{DatabaseConfig: c.DatabaseConfig, Defaults: f.Pool, Users: f.Users, Secret: c.Password}
		was := old.databases.specs[name]
		if was == nil {
			was = &pool.Spec{}
		}
		errs = append(errs, f.Fault("databases."+name, a.complete(name, spec, was)))
		d.specs[name] = spec
	}
	return errors.Join(errs...)
}

// complete reads the files that the configuration of a database references.
func (a *App) complete(name string, spec, old *pool.Spec) (err error) {
	if spec.PasswordFile != "" {
		if spec.Secret, err = reload.ReadPassword(spec.PasswordFile); err != nil {
			return fmt.Errorf("password_file: %w", err)
		}
	}
	if spec.AuthPass, err = reload.ReadPassword(spec.AuthPasswordFile); err != nil {
		return fmt.Errorf("auth_password_file: %w", err)
	}
	if spec.Trust = old.Trust; spec.Trust != nil && spec.UpstreamConfig == old.UpstreamConfig {
		return nil
	}
	store, err := tlsconf.NewUpstreamStore("database "+name, spec.UpstreamConfig)
	if spec.Trust, err = successor(store, err, old.Trust); err == nil {
		store.OnChange(func(*tlsconf.Upstream) { a.manager.RotateTrust(store) })
	}
	return err
}

// same implements part: a reload always reopens the connections for lookups.
func (d *databases) same(*setup) bool { return false }

func (d *databases) apply(a *App) { a.manager.Apply(d.specs) }

func (d *databases) warn(log *zap.Logger, s *setup) {
	for _, key := range s.file.UnqualifiedQueries() {
		log.Warn("weak setting", zap.String("key", key), zap.String("warning", "the query references tables or functions without a schema: search_path decides which ones are used"))
	}
	for name, spec := range d.specs {
		for _, w := range loginWarnings(s.file, name) {
			log.Warn("weak login", zap.String("database", name), zap.String("warning", w))
		}
		for _, w := range unservedWarnings(s, name) {
			log.Warn("clients without a server login", zap.String("database", name), zap.String("warning", w))
		}
		for _, w := range append(spec.UpstreamConfig.Warnings(), spec.Trust.Load().Warnings...) {
			log.Warn("weak setting", zap.String("database", name), zap.String("warning", w))
		}
	}
}

func (d *databases) files() (list []files) {
	for _, name := range slices.Sorted(maps.Keys(d.specs)) {
		spec := d.specs[name]
		list = append(list, certificates(spec.Trust, func(v *tlsconf.Upstream) []stats.Certificate { return v.Loaded(spec.UpstreamConfig) }))
	}
	return list
}

// loginWarnings returns what is weak about pgseal's login to a database, one
// sentence each, without any password.
func loginWarnings(f config.File, name string) (list []string) {
	d := f.Databases[name]
	if info, err := os.Stat(f.Path()); err == nil && info.Mode().Perm()&0o077 != 0 && d.Password != "" && !f.FromEnvironment("databases."+name+".password") {
		list = append(list, fmt.Sprintf("password is in a configuration file that others can read (permissions %#o): use password_file", info.Mode().Perm()))
	}
	if d.AllowsMD5() {
		list = append(list, "require_auth allows md5: an eavesdropper, or anyone with the stored hash, can log in")
	}
	if d.AllowsPassword() {
		list = append(list, "require_auth allows password: the password itself is sent to the server")
	}
	if d.User != "" && d.Password == "" && d.PasswordFile == "" && d.SSLCert == "" {
		list = append(list, fmt.Sprintf("role %q has neither a password nor a certificate to log in with: set password_file", d.User))
	}
	return list
}

// unservedWarnings returns the access rules whose clients cannot be logged in at the
// server of a database: their method reveals no password or key, and neither the
// database nor any role has a password.
func unservedWarnings(s *setup, name string) (list []string) {
	if s.file.Databases[name].User != "" || s.users.inForce().HavePasswords() {
		return nil
	}
	for _, rule := range s.access.store.Load().WithoutSecret(name) {
		list = append(list, fmt.Sprintf("%s:%d: clients authenticated by %s have no login at the server: "+
			"set user and password_file, or add a password for the role to users_file", rule.File, rule.Line, rule.Method))
	}
	return list
}
