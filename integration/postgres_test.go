package integration

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgcluster"
)

// versions of PostgreSQL that pgseal is tested with, from the environment;
// without it an older one that is widely in use, and the newest.
var versions = strings.Fields(cmp.Or(os.Getenv("PGSEAL_TEST_POSTGRES"), "15 18"))

// Passwords of the roles that every cluster has. No log may hold them.
var (
	superPassword  = rand.Text()
	appPassword    = rand.Text()
	sealedPassword = rand.Text()
	wrongPassword  = rand.Text()
)

// Secrets of these roles with one iteration. The tests log in thousands of times,
// and 4096 iterations would keep them busy under the race detector.
var superSecret, appSecret = quickSecret(superPassword), quickSecret(appPassword)

func quickSecret(password string) func() string {
	return sync.OnceValue(func() string {
		secret, err := auth.NewSecret(password, 1)
		if err != nil {
			panic(err)
		}
		return secret.Encode()
	})
}

// postgres is a PostgreSQL server with TLS, the database app, its owner app,
// the role driver, who may do the same and whose secret PostgreSQL has made: some
// drivers take none of fewer iterations; the role streamer, which may replicate,
// and the role sealed, which may not log in.
type postgres struct {
	*pgcluster.Cluster
	version string
	log     *buffer
	dir     string
	root    string // file with the authority of its certificate
	ca      *devca.CA
	cert    *x509.Certificate // that it began with
}

// shared are the clusters that one test takes over from another.
var shared = struct {
	mu   sync.Mutex
	all  []*postgres
	free map[string][]*postgres // by version
	lent map[string]*loan       // by test and version
}{free: map[string][]*postgres{}, lent: map[string]*loan{}}

// loan is a cluster in the hands of a test.
type loan struct {
	find  sync.Once
	pg    *postgres
	err   error
	users int // how many of the test's subtests use it
}

func stopShared() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var stopping sync.WaitGroup
	for _, pg := range shared.all {
		stopping.Go(func() {
			if err := pg.stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	stopping.Wait()
}

// sharedPostgres returns a cluster of that version, the same one to a test and
// its subtests, and to no other test at the same time. They must neither
// restart it nor change its certificate: another test has it next.
func sharedPostgres(t *testing.T, version string) *postgres {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	key := test + " " + version
	shared.mu.Lock()
	l := shared.lent[key]
	if l == nil {
		l = &loan{}
		shared.lent[key] = l
	}
	l.users++
	shared.mu.Unlock()
	t.Cleanup(func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if l.users--; l.users > 0 {
			return
		}
		delete(shared.lent, key)
		if l.pg != nil {
			shared.free[version] = append(shared.free[version], l.pg)
		}
	})
	if l.find.Do(func() { l.pg, l.err = freePostgres(version) }); l.err != nil {
		t.Fatal(l.err)
	}
	return l.pg
}

// freePostgres returns a cluster that no test has, which is a new one where
// all have theirs.
func freePostgres(version string) (*postgres, error) {
	shared.mu.Lock()
	if free := shared.free[version]; len(free) > 0 {
		defer shared.mu.Unlock()
		shared.free[version] = free[:len(free)-1]
		return free[len(free)-1], nil
	}
	shared.mu.Unlock()
	pg, err := startPostgres(version)
	if err != nil {
		return nil, err
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.all = append(shared.all, pg)
	return pg, nil
}

// ownPostgres starts a cluster that the test may do anything to.
func ownPostgres(t *testing.T, version string) *postgres {
	t.Helper()
	pg, err := startPostgres(version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.stop(); err != nil {
			t.Error(err)
		}
	})
	return pg
}

// onEachVersion runs a test with every version of PostgreSQL.
func onEachVersion(t *testing.T, f func(t *testing.T, pg *postgres)) { onEachSince(t, 0, f) }

// onEachSince is onEachVersion for what PostgreSQL has had since a version.
func onEachSince(t *testing.T, first int, f func(t *testing.T, pg *postgres)) {
	for _, version := range versionsSince(first) {
		t.Run("PostgreSQL "+version, func(t *testing.T) { f(t, sharedPostgres(t, version)) })
	}
}

// onAllVersions is onEachVersion for a test that takes minutes: with all of them
// at the same time.
func onAllVersions(t *testing.T, f func(t *testing.T, pg *postgres)) {
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			t.Parallel()
			f(t, sharedPostgres(t, version))
		})
	}
}

// versionsSince returns the versions under test that are not older than first.
func versionsSince(first int) []string {
	return slices.DeleteFunc(slices.Clone(versions), func(version string) bool {
		n, err := strconv.Atoi(version)
		return err != nil || n < first
	})
}

func startPostgres(version string) (*postgres, error) {
	bin, err := findPrograms(version)
	if err != nil {
		return nil, err
	}
	pg := &postgres{version: version, log: &buffer{}}
	if pg.ca, err = devca.New("authority of PostgreSQL "+version, 24*time.Hour); err != nil {
		return nil, err
	}
	pair, err := pg.ca.Issue(serverRequest())
	if err != nil {
		return nil, err
	}
	pg.cert = pair.Cert
	if pg.dir, err = os.MkdirTemp("", "pgseal-integration-"); err != nil {
		return nil, err
	}
	pg.root = filepath.Join(pg.dir, "root.crt")
	if err := os.WriteFile(pg.root, pg.ca.CertPEM(), 0o644); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pg.Cluster, err = pgcluster.Start(ctx, pgcluster.Options{
		BinDir: bin, ServerCert: pair.CertPEM, ServerKey: pair.KeyPEM,
		Password: superPassword, Log: pg.log,
		HBA:      []string{"hostssl all,replication all 127.0.0.1/32 scram-sha-256", "hostssl all,replication all ::1/128 scram-sha-256"},
		Settings: map[string]string{"log_connections": "on", "timezone": "UTC", "max_wal_size": "4GB", "wal_level": "logical"},
	})
	if err != nil {
		return nil, err
	}
	return pg, pg.populate(ctx)
}

// serverRequest asks for a certificate for a server on this machine.
func serverRequest() devca.Request {
	return devca.Request{CommonName: "localhost", Hosts: []string{"localhost", "127.0.0.1"}, Life: 20 * time.Hour}
}

func (pg *postgres) populate(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, pg.dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"ALTER ROLE postgres PASSWORD '" + superSecret() + "'",
		"CREATE ROLE app LOGIN PASSWORD '" + appSecret() + "'",
		"CREATE ROLE driver LOGIN IN ROLE app PASSWORD '" + appPassword + "'",
		"CREATE ROLE streamer LOGIN REPLICATION PASSWORD '" + appSecret() + "'",
		"CREATE ROLE sealed NOLOGIN PASSWORD '" + sealedPassword + "'",
		"CREATE DATABASE app OWNER app",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (pg *postgres) stop() error {
	defer os.RemoveAll(pg.dir)
	return pg.Cluster.Stop()
}

// dsn leads the superuser to the server itself, without pgseal.
func (pg *postgres) dsn(database string) string {
	return fmt.Sprintf("host=localhost port=%d user=postgres password=%s dbname=%s sslmode=verify-full sslrootcert=%s",
		pg.Port(), superPassword, database, pg.root)
}

// asksForCertificates has the server ask clients for certificates of its own
// authority.
func (pg *postgres) asksForCertificates(t *testing.T) {
	t.Helper()
	if err := os.Chmod(pg.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pg.set(t, "ssl_ca_file", pg.root)
}

// set changes settings, given by name and value, that a reload brings into
// force.
func (pg *postgres) set(t *testing.T, pairs ...string) {
	t.Helper()
	conn := pg.direct(t, "postgres")
	for pair := range slices.Chunk(pairs, 2) {
		execute(t, conn, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", pair[0], pair[1]))
	}
	if err := pg.Reload(soon(t)); err != nil {
		t.Fatal(err)
	}
}

// direct returns a connection of the superuser to the server itself.
func (pg *postgres) direct(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(soon(t), pg.dsn(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// database creates a database that is the test's own, and drops it at the end.
func (pg *postgres) database(t *testing.T, name string) {
	t.Helper()
	conn := pg.direct(t, "postgres")
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name + " OWNER app"} {
		if _, err := conn.Exec(soon(t), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
}

// backends counts the server processes that serve the role app in the
// database of conn, those that fulfil a condition on pg_stat_activity.
func backends(t *testing.T, conn *pgx.Conn, condition string) int {
	t.Helper()
	n, err := countBackends(soon(t), conn, condition)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func countBackends(ctx context.Context, conn *pgx.Conn, condition string) (n int, err error) {
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' "+
		"AND datname = current_database() AND "+condition).Scan(&n)
	return n, err
}

// debianVersion is that of Debian's package, which brings psql and other
// programs.
const debianVersion = "15"

// program returns the path of one of PostgreSQL's client programs.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, version := range append(slices.Clone(versions), debianVersion) {
		if dir, err := pgcluster.Find(version); err == nil {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path
			}
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// buffer is a bytes.Buffer for many goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
