package targets

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgcluster"
)

const (
	role     = "bench"
	database = "bench"

	// reserved is how many of max_connections are kept for superusers and for
	// our own look into the server.
	reserved = 10

	loopback = "127.0.0.1"
	hostName = "localhost"

	certLife = 24 * time.Hour
)

// Options say what a Lab is like.
type Options struct {
	PostgreSQL     string // major version, "" for the newest
	Scale          int    // of pgbench's tables
	MaxConnections int
	PoolSize       int
	MaxClients     int    // that a pooler lets in
	PgSealPath     string // the program, "" to build it from this checkout
	PgBouncerPath  string // the program, "" for the one in PATH
	Variants       []Variant
}

// Variant is one more pgseal: of another build, or with other settings.
type Variant struct {
	Name    string
	Program string // "" for the one that is measured anyway
	Workers int    // event loops, 0 for the default
}

// Lab is one throwaway PostgreSQL and what is needed to put targets before it.
type Lab struct {
	options  Options
	dir      string
	ca       *devca.CA
	cluster  *pgcluster.Cluster
	as       *account
	password string
	secret   string // the role's SCRAM secret, as PostgreSQL made it
	version  string
	started  []*process
}

// NewLab makes certificates, starts PostgreSQL, makes a role and fills the
// tables. On error nothing is left behind.
func NewLab(ctx context.Context, o Options) (*Lab, error) {
	l := &Lab{options: o, password: rand.Text()}
	if err := l.setUp(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) setUp(ctx context.Context) (err error) {
	if l.as, err = peerAccount(); err != nil {
		return err
	}
	if l.dir, err = os.MkdirTemp("", "pgseal-bench-"); err != nil {
		return err
	}
	if err = os.Chmod(l.dir, 0o711); err != nil { // the peers' account passes through
		return err
	}
	if l.ca, err = devca.New("pgseal bench CA", certLife); err != nil {
		return err
	}
	if err = os.WriteFile(l.caFile(), l.ca.CertPEM(), 0o644); err != nil {
		return err
	}
	if err = l.startPostgres(ctx); err != nil {
		return err
	}
	return l.fill(ctx)
}

func (l *Lab) startPostgres(ctx context.Context) error {
	bin, err := pgcluster.Find(l.options.PostgreSQL)
	if err != nil {
		return err
	}
	pair, err := l.issue()
	if err != nil {
		return err
	}
	l.cluster, err = pgcluster.Start(ctx, pgcluster.Options{
		BinDir: bin, ServerCert: pair.CertPEM, ServerKey: pair.KeyPEM, Password: l.password,
		Settings: map[string]string{
			"shared_buffers":   "256MB",
			"max_connections":  strconv.Itoa(l.options.MaxConnections),
			"max_wal_size":     "4GB",
			"autovacuum":       "off", // it would run in one target's turn and not in another's
			"log_min_messages": "fatal",
		},
	})
	return err
}

func (l *Lab) issue() (devca.Pair, error) {
	return l.ca.Issue(devca.Request{CommonName: "pgseal bench", Hosts: []string{hostName, loopback}, Life: certLife})
}

// fill makes role, database and tables, and reads the role's secret back:
// with it the poolers need not derive one at each login.
func (l *Lab) fill(ctx context.Context) error {
	admin, err := client.Dial(ctx, l.endpoint("postgres", "postgres", l.cluster.Port()))
	if err != nil {
		return err
	}
	defer admin.Close()
	for _, sql := range []string{
		"CREATE ROLE " + role + " LOGIN PASSWORD '" + l.password + "'",
		"GRANT pg_read_all_stats TO " + role,
		"CREATE DATABASE " + database + " OWNER " + role,
	} {
		if _, err := admin.Query(sql); err != nil {
			return err
		}
	}
	secret, err := admin.Query("SELECT rolpassword FROM pg_authid WHERE rolname = '" + role + "'")
	if err != nil {
		return err
	}
	version, err := admin.Query("SHOW server_version")
	if err != nil {
		return err
	}
	if len(secret.First) != 1 || len(version.First) != 1 {
		return errors.New("PostgreSQL does not know the created role")
	}
	l.secret, l.version = secret.First[0], version.First[0]
	owner, err := client.Dial(ctx, l.endpoint(role, database, l.cluster.Port()))
	if err != nil {
		return err
	}
	defer owner.Close()
	return load.Tables(owner, l.options.Scale)
}

// endpoint is a port on loopback, with TLS verified in full.
func (l *Lab) endpoint(user, dbname string, port int) *client.Endpoint {
	return &client.Endpoint{
		Network: "tcp", Address: address(port),
		TLS: &tls.Config{
			RootCAs: l.ca.Pool(), ServerName: hostName, MinVersion: tls.VersionTLS12,
			CurvePreferences: []tls.CurveID{tls.X25519},
		},
		User: user, Password: l.password, Database: dbname,
		Conninfo: fmt.Sprintf("host=%s hostaddr=%s port=%d user=%s dbname=%s sslmode=verify-full sslrootcert=%s gssencmode=disable",
			hostName, loopback, port, user, dbname, l.caFile()),
	}
}

// Version is PostgreSQL's.
func (l *Lab) Version() string { return l.version }

// Scale is that of the tables.
func (l *Lab) Scale() int { return l.options.Scale }

// Admin is the server itself, as the superuser, past every target.
func (l *Lab) Admin() *client.Endpoint {
	return l.endpoint("postgres", database, l.cluster.Port())
}

// Close stops everything and removes the directory. Further calls do nothing.
func (l *Lab) Close() error {
	for _, p := range l.started {
		p.stop()
	}
	l.started = nil
	var errs []error
	if l.cluster != nil {
		errs = append(errs, l.cluster.Stop())
	}
	if l.dir != "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}

func (l *Lab) caFile() string { return filepath.Join(l.dir, "ca.crt") }

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// freePort returns a port nobody listens on now.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", address(0))
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
