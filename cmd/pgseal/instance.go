package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/console"
	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// instance is everything that runs under one configuration file, and what is
// needed to bring it in line with a changed one.
type instance struct {
	path    string
	log     *zap.Logger
	level   zap.AtomicLevel
	sampler *sampler
	engine  engine.Engine
	manager *pool.Manager
	proxy   *proxy.Server
	console *console.Console
	watcher *reload.Watcher
	stops   chan console.Stop // what SHUTDOWN of the console asks for
	web     *web

	configReloads reloads

	changing  sync.Mutex // held from reading a configuration until it is in force; taken before mu
	mu        sync.Mutex // held for moments
	current   parts
	listeners map[string]*proxy.Listener // by address
	audits    []*auditStream             // all that were opened; guarded by changing
}

// parts is what a configuration names, loaded from disk.
type parts struct {
	file   config.File
	certs  map[string]*reload.Store[*tlsconf.Listener] // by address
	trust  map[string]*reload.Store[*tlsconf.Upstream] // by database
	users  *reload.Store[*auth.Users]                  // nil without a users_file
	access *reload.Store[*login.Access]
	mocker *auth.Mocker
	audit  *auditStream
	http   webFiles
	specs  map[string]*pool.Spec

	authPass string // of auth_user, from its file
}

func newInstance(path string, log *zap.Logger, level zap.AtomicLevel, sampler *sampler) *instance {
	return &instance{
		path: path, log: log, level: level, sampler: sampler,
		watcher: reload.NewWatcher(log, 0), stops: make(chan console.Stop, 1), listeners: map[string]*proxy.Listener{},
	}
}

// newEngine returns the engine that the configuration asks for.
func (r *instance) newEngine(f config.File) (engine.Engine, error) {
	if f.Engine == config.PortableEngine {
		return engine.NewPortable(r.log), nil
	}
	return engine.New(r.log, f.Workers)
}

// load builds the parts of a configuration. What did not change since old is
// taken over from it; nothing of what runs is touched.
func (r *instance) load(f config.File, old parts) (parts, error) {
	p := parts{
		file:  f,
		certs: map[string]*reload.Store[*tlsconf.Listener]{},
		trust: map[string]*reload.Store[*tlsconf.Upstream]{},
		specs: map[string]*pool.Spec{},
	}
	var errs []error
	for i, l := range f.Listen {
		store, err := r.listenerStore(l, old)
		errs = append(errs, f.Fault(fmt.Sprintf("listen[%d].tls", i), err))
		p.certs[l.Address] = store
	}
	users := f.UserConfigs()
	for name, d := range f.Databases {
		spec, err := r.spec(name, d, f.Pool, old)
		if spec != nil {
			spec.Users = users
		}
		errs = append(errs, f.Fault("databases."+name, err))
		if err == nil {
			p.specs[name], p.trust[name] = spec, spec.Trust
		}
	}
	var err error
	p.mocker, err = mockerOf(f.Auth, old)
	errs = append(errs, f.Fault("auth.mock_secret_file", err))
	p.users, err = r.usersStore(f.Auth, p.mocker, old)
	errs = append(errs, f.Fault("auth.users_file", err))
	p.authPass, err = readPassword(f.Auth.AuthPasswordFile)
	errs = append(errs, f.Fault("auth.auth_password_file", err))
	p.access, err = r.accessStore(f.Auth, old)
	errs = append(errs, f.Fault("auth", err))
	if p.http = old.http; old.access == nil { // it keeps what it was started with
		p.http, err = newWebFiles(f.HTTP)
		errs = append(errs, f.Fault("http", err))
	}
	err = errors.Join(errs...)
	if err == nil {
		p.audit, err = r.auditOf(f, old)
	}
	return p, err
}

func (r *instance) listenerStore(l config.Listen, old parts) (*reload.Store[*tlsconf.Listener], error) {
	if l.TLS.Mode == "disable" {
		return nil, nil
	}
	for _, o := range old.file.Listen {
		if o.Address == l.Address && reflect.DeepEqual(o.TLS, l.TLS) {
			return old.certs[l.Address], nil
		}
	}
	store, err := tlsconf.NewListenerStore("listener "+l.Address, l.TLS)
	return successor(store, err, old.certs[l.Address])
}

// successor holds a store of other files to what a reload of the same files is
// held to: nothing that has expired in the place of what is valid.
func successor[T reload.Successor[T]](store *reload.Store[T], err error, old *reload.Store[T]) (*reload.Store[T], error) {
	if err != nil || old == nil {
		return store, err
	}
	return store, store.Load().MaySucceed(old.Load())
}

func (r *instance) spec(name string, d config.Database, defaults pool.Config, old parts) (*pool.Spec, error) {
	spec := &pool.Spec{DatabaseConfig: d.DatabaseConfig, Defaults: defaults, Secret: d.Password}
	if d.PasswordFile != "" {
		secret, err := readPassword(d.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("password_file: %w", err)
		}
		spec.Secret = secret
	}
	var err error
	if spec.AuthPass, err = readPassword(d.AuthPasswordFile); err != nil {
		return nil, fmt.Errorf("auth_password_file: %w", err)
	}
	if o, ok := old.file.Databases[name]; ok && o.UpstreamConfig == d.UpstreamConfig {
		spec.Trust = old.trust[name]
		return spec, nil
	}
	store, err := tlsconf.NewUpstreamStore("database "+name, d.UpstreamConfig)
	if store, err = successor(store, err, old.trust[name]); err != nil {
		return nil, err
	}
	store.OnChange(func(*tlsconf.Upstream) { r.manager.RenewTrust(store) })
	spec.Trust = store
	return spec, nil
}

// mockerOf returns what makes the salts of strangers.
func mockerOf(c login.Config, old parts) (*auth.Mocker, error) {
	switch {
	case c.MockSecretFile != "":
		m, err := readMocker(c.MockSecretFile)
		if err != nil || !m.Same(old.mocker) {
			return m, err
		}
	case old.mocker == nil || old.file.Auth.MockSecretFile != "":
		return auth.NewMocker(nil), nil
	}
	return old.mocker, nil
}

func readMocker(path string) (*auth.Mocker, error) {
	content, err := reload.ReadSecretFile(path)
	if err != nil {
		return nil, err
	}
	return auth.ParseMocker(path, content)
}

// auditOf returns the audit stream. One that the configuration does not name any
// more stays open until the end: a login that is under way may write to it.
func (r *instance) auditOf(f config.File, old parts) (*auditStream, error) {
	if old.audit != nil && old.file.Log.AuditFile == f.Log.AuditFile {
		return old.audit, nil
	}
	audit, err := newAuditStream(f.Log.AuditFile, r.log)
	if err != nil {
		return nil, f.Fault("log.audit_file", err)
	}
	r.audits = append(r.audits, audit)
	return audit, nil
}

// readPassword returns the password in a file, or none where path is empty.
func readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	secret, err := reload.ReadSecretFile(path)
	return strings.TrimRight(string(secret), "\r\n"), err
}

func (r *instance) usersStore(c login.Config, m *auth.Mocker, old parts) (*reload.Store[*auth.Users], error) {
	if c.UsersFile == "" || m == nil {
		return nil, nil
	}
	if old.users != nil && old.file.Auth.UsersFile == c.UsersFile && old.mocker == m {
		return old.users, nil
	}
	var last *auth.Users
	if old.users != nil {
		last = old.users.Load()
	}
	store, err := reload.NewStore("users_file", []reload.File{{Path: c.UsersFile, Secret: true}},
		func(content reload.Contents) (*auth.Users, error) {
			users, err := auth.ParseUsers(c.UsersFile, content[c.UsersFile], m, last)
			if err == nil {
				last = users
			}
			return users, err
		})
	if err != nil {
		return nil, err
	}
	store.OnChange(func(*auth.Users) { r.configureProxy() })
	return store, nil
}

// accessStore holds the access rules and user name maps, and what they include.
func (r *instance) accessStore(c login.Config, old parts) (*reload.Store[*login.Access], error) {
	if old.access != nil && reflect.DeepEqual(old.file.Auth, c) {
		return old.access, nil
	}
	store, err := reload.NewTreeStore("access rules", func(files *reload.Reader) (*login.Access, error) {
		return login.ParseAccess(files, r.path, c)
	})
	if err != nil {
		return nil, err
	}
	store.OnChange(func(*login.Access) { r.configureProxy() })
	return store, nil
}

// start opens all listeners and begins to serve.
func (r *instance) start(f config.File) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.load(f, parts{})
	if err != nil {
		return usageError{err}
	}
	r.current = p
	if r.engine, err = r.newEngine(f); err != nil {
		return err
	}
	r.manager = pool.NewManager(r.log, r.engine)
	r.manager.Apply(p.specs)
	r.proxy = proxy.New(r.log, r.engine, r.manager, p.settings())
	r.console = console.New(r.log, r.proxy, r.manager, r)
	r.proxy.UseConsole(r.console)
	r.watcher.OnReload(func(name string, err error) { r.proxy.Audit().Reload(name, err) })
	r.warn(p)
	r.configReloads.began()
	if err := r.startHTTP(p); err != nil {
		return err
	}
	for _, l := range f.Listen {
		ln, err := r.proxy.Listen(l.ListenConfig, p.certs[l.Address])
		if err != nil {
			return listenError(l.Address, err)
		}
		r.listeners[l.Address] = ln
		r.log.Info("listening", zap.String("address", l.Address), zap.String("tls", l.TLS.Mode))
	}
	r.watch(p)
	return nil
}

// listenError says which address could not be listened on, once: that of the
// system repeats it.
func listenError(address string, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

func (p parts) settings() proxy.Settings {
	s := proxy.Settings{
		Settings: login.Settings{Access: p.access.Load(), Auth: p.file.Auth, AuthPass: p.authPass, Mocker: p.mocker},
		Pool:     p.file.Pool, Audit: p.audit.log, SlowWait: p.file.Log.SlowWait,
	}
	if p.users != nil {
		s.Users = p.users.Load()
	}
	return s
}

// parts returns what is in force.
func (r *instance) parts() parts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// configureProxy hands the users that are in force to the proxy.
func (r *instance) configureProxy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proxy.Configure(r.current.settings())
}

func (r *instance) watch(p parts) {
	var all []reload.Reloadable
	for _, store := range p.certs {
		if store != nil {
			all = append(all, store)
		}
	}
	for _, store := range p.trust {
		all = append(all, store)
	}
	if p.users != nil {
		all = append(all, p.users)
	}
	all = append(all, p.http.all()...)
	r.watcher.Set(append(all, p.access)...)
}

// warn says what is weaker than it should be.
func (r *instance) warn(p parts) {
	for address, store := range p.certs {
		if store != nil {
			for _, w := range store.Load().Warnings {
				r.log.Warn("certificate warning", zap.String("listener", address), zap.String("warning", w))
			}
		}
	}
	for _, w := range p.access.Load().Warnings() {
		r.log.Warn("weak access rule", zap.String("warning", w))
	}
	for _, l := range p.file.Listen {
		for _, w := range l.TLS.Warnings() {
			if network, _ := l.Network(); network != "unix" {
				r.log.Warn("weak setting", zap.String("listener", l.Address), zap.String("warning", w))
			}
		}
	}
	for _, key := range p.file.UnqualifiedQueries() {
		r.log.Warn("weak setting", zap.String("key", key), zap.String("warning", "the query names tables or functions without their schema, so search_path says whose they are"))
	}
	for _, w := range p.file.HTTP.Warnings() {
		r.log.Warn("weak setting", zap.String("http", p.file.HTTP.Address), zap.String("warning", w))
	}
	for name, list := range loginWarnings(p.file) {
		for _, w := range list {
			r.log.Warn("weak login", zap.String("database", name), zap.String("warning", w))
		}
	}
	for name, list := range unservedWarnings(p.file, p.access.Load(), p.settings().Users) {
		for _, w := range list {
			r.log.Warn("clients without a login", zap.String("database", name), zap.String("warning", w))
		}
	}
	for name, store := range p.trust {
		for _, w := range append(p.file.Databases[name].UpstreamConfig.Warnings(), store.Load().Warnings...) {
			r.log.Warn("weak setting", zap.String("database", name), zap.String("warning", w))
		}
	}
}

// reload re-reads the configuration and all files it names, logs what came of
// it, and returns what was refused. A fault in the configuration leaves all of that as it was; a fault in
// a file leaves what is made of that file.
func (r *instance) reload() error {
	r.reopenAudit()
	err := r.reloadConfig()
	r.configReloads.note(err)
	if err != nil {
		r.log.Error("configuration refused, all of it stays as it was", zap.Error(err))
	}
	r.proxy.Audit().Reload("configuration", err)
	files := r.watcher.ReloadAll()
	switch {
	case files != nil:
		r.log.Error("a file was refused, what was made of it stays as it was", zap.Error(files))
	case err == nil:
		r.log.Info("configuration reloaded")
	}
	return errors.Join(err, files)
}

func (r *instance) reloadConfig() error {
	r.changing.Lock()
	defer r.changing.Unlock()
	f, err := config.Load(r.path)
	if err != nil {
		return err
	}
	return r.apply(f)
}

// apply puts a configuration into force. changing is held, or an older one could
// take the place of a newer one.
func (r *instance) apply(f config.File) error {
	// Without mu: a file system that hangs must not hold up who only looks.
	p, err := r.load(f, r.parts())
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Engine != r.current.file.Engine || f.Workers != r.current.file.Workers {
		r.log.Warn("engine and workers take effect at the next start")
	}
	if f.HTTP != r.current.file.HTTP {
		r.log.Warn("changes of http take effect at the next start")
	}
	r.current = p
	r.level.SetLevel(f.Log.ZapLevel())
	r.sampler.on.Store(f.Log.Sampling)
	r.manager.Apply(p.specs)
	r.proxy.Configure(p.settings())
	for _, l := range f.Listen {
		if ln := r.listeners[l.Address]; ln != nil {
			ln.Configure(l.TLS.Mode, p.certs[l.Address])
		} else {
			r.log.Warn("a new listener needs a restart", zap.String("address", l.Address))
		}
	}
	r.watch(p)
	r.warn(p)
	return nil
}

// reopenAudit has the audit stream go on in the file that has its name now.
func (r *instance) reopenAudit() { r.parts().audit.reopen() }

// closeAudit writes what waits of the audit stream. Nothing may write to it any
// more.
func (r *instance) closeAudit() {
	r.changing.Lock()
	defer r.changing.Unlock()
	for _, audit := range r.audits {
		audit.close()
	}
	r.audits = nil
}

// run looks after files and servers until ctx ends.
func (r *instance) run(ctx context.Context) {
	var children sync.WaitGroup
	children.Go(func() { r.watcher.Run(ctx) })
	children.Go(func() { r.manager.Run(ctx) })
	children.Go(func() { giveBack(ctx) })
	children.Go(func() { r.tellStatistics(ctx) })
	children.Go(func() { r.sampler.tell(ctx, r.log) })
	children.Go(func() { r.console.Run(ctx) })
	children.Go(func() { r.manager.WatchRequired(ctx) })
	children.Wait()
}

// shutdown ends clients in order until ctx ends, then at once, and the
// servers after them.
func (r *instance) shutdown(ctx context.Context) error {
	defer r.web.close()
	r.manager.Resume("") // who waits because of PAUSE would hold up the end
	err := r.proxy.Shutdown(ctx)
	closing, cancel := context.WithTimeout(context.Background(), closeServers)
	defer cancel()
	if err := errors.Join(err, r.manager.Close(closing)); err != nil {
		return err // the engine still has connections
	}
	r.web.close()
	r.engine.Close()
	return nil
}
