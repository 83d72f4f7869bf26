package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pgseal/pgseal/internal/devca"
)

// ErrMissing says that a target's program is not on this machine.
var ErrMissing = errors.New("not installed")

// Start starts a built-in target. It fails with ErrMissing where its program
// is not there.
func (l *Lab) Start(ctx context.Context, name string) (*Target, error) {
	start, ok := map[string]func(context.Context) (*Target, error){
		Direct: l.direct, PgBouncer: l.startPgBouncer, HAProxy: l.startHAProxy,
		PgSeal: func(ctx context.Context) (*Target, error) { return l.startPgSeal(ctx, Variant{Name: PgSeal}) },
	}[name]
	if i := slices.IndexFunc(l.options.Variants, func(v Variant) bool { return v.Name == name }); !ok && i >= 0 {
		ok = true
		start = func(ctx context.Context) (*Target, error) { return l.startPgSeal(ctx, l.options.Variants[i]) }
	}
	if !ok {
		return nil, fmt.Errorf("unknown built-in target %q", name)
	}
	t, err := start(ctx)
	if err != nil {
		return nil, err
	}
	t.Scale = l.options.Scale
	return t, nil
}

func (l *Lab) direct(context.Context) (*Target, error) {
	return &Target{
		Name: Direct, Version: "PostgreSQL " + l.version,
		Settings:           fmt.Sprintf("nothing between; max_connections %d, shared_buffers 256MB, ssl on, scram-sha-256", l.options.MaxConnections),
		Endpoint:           l.endpoint(role, database, l.cluster.Port()),
		MaxClients:         l.options.MaxConnections - reserved,
		replaceCertificate: l.replacePostgresCertificate,
	}, nil
}

func (l *Lab) replacePostgresCertificate(ctx context.Context) error {
	pair, err := l.issue()
	if err != nil {
		return err
	}
	if err := l.cluster.WriteServerCert(pair.CertPEM, pair.KeyPEM); err != nil {
		return err
	}
	return l.cluster.Reload(ctx)
}

// room is the directory of one target.
type room struct {
	dir  string
	port int
}

func (r room) file(name string) string { return filepath.Join(r.dir, name) }

func (l *Lab) newRoom(name string) (room, error) {
	r := room{dir: filepath.Join(l.dir, name)}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return r, err
	}
	var err error
	r.port, err = freePort()
	return r, err
}

// config is what the templates of configurations see.
type config struct {
	Dir, CAFile, User, Database string
	Password, Secret            string
	Port, ServerPort            int
	PoolSize, MaxClients        int
	MaxConnections              int  // PostgreSQL's
	MaxPrepared                 bool // PgBouncer knows the setting
	Workers                     int  // pgseal's event loops, 0 for the default
}

func (l *Lab) config(r room) config {
	return config{
		Dir: r.dir, CAFile: l.caFile(), User: role, Database: database,
		Password: l.password, Secret: l.secret,
		Port: r.port, ServerPort: l.cluster.Port(),
		PoolSize: l.options.PoolSize, MaxClients: l.options.MaxClients, MaxConnections: l.options.MaxConnections,
	}
}

// launch starts a target whose files are in its room.
func (l *Lab) launch(ctx context.Context, name string, r room, as *account, command ...string) (*process, error) {
	if err := as.own(r.dir); err != nil {
		return nil, err
	}
	p := &process{name: name, command: command, as: as, address: address(r.port), log: filepath.Join(l.dir, name+".log")}
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	l.started = append(l.started, p)
	return p, nil
}

// listenerPair writes a new certificate for a target that ends TLS itself.
func (l *Lab) listenerPair(r room, as *account) error {
	pair, err := l.issue()
	if err != nil {
		return err
	}
	if err := pair.WriteFiles(r.file("tls.crt"), r.file("tls.key")); err != nil {
		return err
	}
	return as.own(r.dir)
}

// bothPairs writes new certificates for both legs of pgseal.
func (l *Lab) bothPairs(r room) error {
	if err := l.listenerPair(r, nil); err != nil {
		return err
	}
	pair, err := l.ca.Issue(devca.Request{CommonName: role, Client: true, Life: certLife})
	if err != nil {
		return err
	}
	return pair.WriteFiles(r.file("client.crt"), r.file("client.key"))
}

func (l *Lab) startPgSeal(ctx context.Context, v Variant) (*Target, error) {
	program, err := l.pgsealProgram(ctx, v.Program)
	if err != nil {
		return nil, err
	}
	r, err := l.newRoom(v.Name)
	if err != nil {
		return nil, err
	}
	if err := l.bothPairs(r); err != nil {
		return nil, err
	}
	c := l.config(r)
	c.Workers = v.Workers
	for name, text := range map[string]string{"config.yaml": pgsealYAML(c), "users.txt": usersFile(c), "password": c.Password + "\n"} {
		if err := os.WriteFile(r.file(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	p, err := l.launch(ctx, v.Name, r, nil, program, "serve", "--config", r.file("config.yaml"))
	if err != nil {
		return nil, err
	}
	t := &Target{
		Name: v.Name, Version: firstLine(ctx, program, "version"),
		Settings: fmt.Sprintf("pool_mode transaction, pool_size %d, tls require, sslmode verify-full with a client certificate, users_file with a SCRAM secret, log level warn", c.PoolSize),
		Endpoint: l.endpoint(role, database, r.port), process: p,
		// It watches the files itself: nobody has to tell it. New servers take the
		// place of those that the old client certificate was shown to.
		replaceCertificate: func(context.Context) error { return l.bothPairs(r) },
	}
	if v.Workers > 0 {
		t.Settings += fmt.Sprintf(", workers %d", v.Workers)
	}
	return t, nil
}

func (l *Lab) startPgBouncer(ctx context.Context) (*Target, error) {
	program, err := l.pgbouncerProgram()
	if err != nil {
		return nil, err
	}
	r, err := l.newRoom(PgBouncer)
	if err != nil {
		return nil, err
	}
	if err := l.listenerPair(r, l.as); err != nil {
		return nil, err
	}
	version := strings.TrimPrefix(firstLine(ctx, program, "--version"), "PgBouncer ")
	c := l.config(r)
	c.MaxPrepared = atLeast(version, 1, 21)
	for name, text := range map[string]string{"pgbouncer.ini": pgbouncerINI(c), "users.txt": usersFile(c)} {
		if err := os.WriteFile(r.file(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	p, err := l.launch(ctx, PgBouncer, r, l.as, program, r.file("pgbouncer.ini"))
	if err != nil {
		return nil, err
	}
	t := &Target{
		Name: PgBouncer, Version: "PgBouncer " + version,
		Settings: fmt.Sprintf("pool_mode transaction, default_pool_size %d, auth_type scram-sha-256, client_tls_sslmode require, server_tls_sslmode verify-full, logging of connections off", c.PoolSize),
		Endpoint: l.endpoint(role, database, r.port), process: p,
	}
	t.replaceCertificate = func(context.Context) error {
		if err := l.listenerPair(r, l.as); err != nil {
			return err
		}
		return p.signal(syscall.SIGHUP)
	}
	if c.MaxPrepared {
		t.Settings += ", max_prepared_statements 200"
	} else {
		t.NoPrepared = "PgBouncer " + version + " has no prepared statements of the protocol in transaction mode (1.21 has)"
	}
	return t, nil
}

func (l *Lab) startHAProxy(ctx context.Context) (*Target, error) {
	program, err := find("haproxy")
	if err != nil {
		return nil, err
	}
	r, err := l.newRoom(HAProxy)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.file("haproxy.cfg"), []byte(haproxyCFG(l.config(r))), 0o600); err != nil {
		return nil, err
	}
	p, err := l.launch(ctx, HAProxy, r, l.as, program, "-db", "-f", r.file("haproxy.cfg"))
	if err != nil {
		return nil, err
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(firstLine(ctx, program, "-v"), "HAProxy version "), " ")
	return &Target{
		Name: HAProxy, Version: "HAProxy " + version,
		Settings: "mode tcp: bytes passed on, TLS and login between client and PostgreSQL",
		Endpoint: l.endpoint(role, database, r.port), process: p,
		MaxClients: l.options.MaxConnections - reserved,
	}, nil
}

// find looks for a program in PATH and where daemons are, which is not in
// every user's PATH.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is %w", name, ErrMissing)
}

// firstLine is what a program says first about itself, "unknown" if nothing.
func firstLine(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}

// atLeast compares a version such as 1.18.0. What can't be read is old.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}
