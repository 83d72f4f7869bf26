package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
)

func TestWhatTheFileLeavesOutHasItsDefault(t *testing.T) {
	f := accepted(t, base)
	if f.Pool != pool.DefaultConfig() || f.Log != Default().Log {
		t.Errorf("pool %+v and log %+v are not the defaults", f.Pool, f.Log)
	}
	listen := proxy.DefaultListenConfig()
	listen.Address, listen.TLS.CertFile, listen.TLS.KeyFile = "127.0.0.1:6432", "/tls.crt", "/tls.key"
	if len(f.Listen) != 1 || !reflect.DeepEqual(f.Listen[0].ListenConfig, listen) {
		t.Errorf("listeners %+v, want %+v", f.Listen, listen)
	}
	db := pool.DefaultDatabaseConfig()
	db.Host, db.SSLRootCert = "db.internal", "/ca.crt"
	if len(f.Databases) != 1 || f.Databases["app"].DatabaseConfig != db {
		t.Errorf("databases %+v, want %+v", f.Databases, db)
	}
}

func TestWhatTheFileSaysIsTaken(t *testing.T) {
	f := accepted(t, base+`    port: 6543
    dbname: other
    user: role
    password: "`+secret+`"
    sslmode: verify-ca
    pool_size: 7
  "*": {host: /run/postgresql, sslmode: disable, pool_mode: session}
pool:
  query_wait_timeout: 1h30m
  server_lifetime: 0s
  server_reset_query: ""
log: {level: debug, format: console}
`)
	db := f.Databases["app"]
	if db.Port != 6543 || db.DBName != "other" || db.User != "role" || db.Password != secret || db.SSLMode != "verify-ca" || db.PoolSize != 7 {
		t.Errorf("database app is %+v", db)
	}
	if db := f.Databases["*"]; db.Host != "/run/postgresql" || db.Port != 5432 || db.PoolMode != "session" {
		t.Errorf("database * is %+v", db)
	}
	if f.Pool.QueryWaitTimeout != 90*time.Minute || f.Pool.ServerLifetime != 0 || f.Pool.ServerResetQuery != "" {
		t.Errorf("pool is %+v", f.Pool)
	}
	if f.Pool.DefaultPoolSize != 20 {
		t.Error("a key beside those in the file lost its default")
	}
	if f.Log.ZapLevel() != zapcore.DebugLevel || f.Log.Format != "console" {
		t.Errorf("log is %+v", f.Log)
	}
}

func TestASectionWithoutContentHasItsDefaults(t *testing.T) {
	f := accepted(t, base+"pool:\nlog:\n  level:\n")
	if f.Pool != pool.DefaultConfig() || f.Log != Default().Log {
		t.Errorf("pool %+v and log %+v are not the defaults", f.Pool, f.Log)
	}
}

func TestAnEmptyFileLacksAllThatHasNoDefault(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# a comment\n", "---\n", "--- ~\n", "null", "%YAML 1.1\n---\n...\n", "\ufeff"} {
		_, err := parse(text)
		wants(t, err, "0 listen: at least one listener", "0 databases: at least one database", "0 auth.users_file: no way to log in")
	}
}

func TestAnEmptyListIsAsGoodAsNone(t *testing.T) {
	_, err := parse("listen: []\ndatabases: {}\nauth: {}\n")
	wants(t, err, "0 listen: at least one listener is required", "0 databases: at least one database is required", "3 auth.users_file: no way to log in")
}

func TestAUnixListenerNeedsNoCertificate(t *testing.T) {
	unix := strings.Replace(base, "127.0.0.1:6432\n    tls: {cert_file: /tls.crt, key_file: /tls.key}", "unix:/run/pgseal/.s.PGSQL.6432", 1)
	f := accepted(t, unix)
	if got := f.Listen[0].TLS.Mode; got != "disable" {
		t.Errorf("its mode is %s", got)
	}
	network, address := f.Listen[0].Network()
	if network != "unix" || address != "/run/pgseal/.s.PGSQL.6432" {
		t.Errorf("it listens on %s %s", network, address)
	}
	accepted(t, strings.Replace(unix, "6432\n", "6432\n    tls: {mode: disable, min_version: '1.3'}\n", 1))

	for _, mode := range []string{"require", "prefer"} {
		_, err := parse(strings.Replace(unix, "6432\n", "6432\n    tls:\n      cert_file: /c\n      key_file: /k\n      mode: "+mode+"\n", 1))
		wants(t, err, "6 listen[0].tls.mode: TLS is not supported on Unix sockets")
	}
	_, err := parse(strings.Replace(unix, "6432\n", "6432\n    tls: {mode: none}\n", 1))
	if errText(err) == "" || !strings.Contains(errText(err), `invalid value "none"`) {
		t.Errorf("got %v", err)
	}
	_, err = parse(strings.Replace(unix, "unix:/run", "unix:run", 1))
	wants(t, err, "2 listen[0].address: must be an absolute path")
}

func TestATCPListenerNeedsItsCertificate(t *testing.T) {
	_, err := parse(strings.Replace(base, "    tls: {cert_file: /tls.crt, key_file: /tls.key}\n", "", 1))
	wants(t, err, "2 listen[0].tls.cert_file: required", "2 listen[0].tls.key_file: required")
}

func TestEachSectionTellsWhatItRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"    port: 0\n":                              below(1, "databases.app.port: 0 is outside the valid range"),
		"    sslmode: prefer\n":                      below(1, "databases.app.sslmode: falls back to plaintext"),
		"    sslmode: maybe\n":                       below(1, "databases.app.sslmode: invalid value"),
		"    ssl_min_protocol_version: TLSv1\n":      below(1, "databases.app.ssl_min_protocol_version: invalid value"),
		"    password: " + secret + "\n":             "7 databases.app.user: required",
		"    pool_mode: query\n":                     below(1, "databases.app.pool_mode: must be session"),
		"  \"*\": {sslmode: disable}\n":              below(1, "databases.*.host: required"),
		"  pgseal: {host: a, sslmode: disable}\n":    below(1, "databases.pgseal: reserved for the console"),
		"  pgbouncer: {host: a, sslmode: disable}\n": below(1, "databases.pgbouncer: reserved for the console"),
		"pool:\n\n  default_pool_size: 0\n":          below(3, "pool.default_pool_size: outside the valid range (1 .."),
		"pool: {client_login_timeout: 0s}\n":         below(1, "pool.client_login_timeout: greater than zero"),
		"pool: {server_lifetime: -1h}\n":             below(1, "pool.server_lifetime: negative"),
		"log: {level: verbose}\n":                    below(1, "log.level: must be debug, info, warn or error"),
		"log: {format: text}\n":                      below(1, "log.format: must be json or console"),
	} {
		_, err := parse(base + text)
		wants(t, err, want)
	}
}

func TestTheDatabaseOfAServerNameHasToBeThere(t *testing.T) {
	of := func(database string) string {
		return strings.Replace(base, "/tls.key}", "/tls.key, certificates: [{server_names: [a], cert_file: /a.crt, key_file: /a.key, database: "+database+"}]}", 1)
	}
	accepted(t, of("app"))
	_, err := parse(of("other"))
	wants(t, err, "3 listen[0].tls.certificates[0].database: is not defined")
	accepted(t, of("other")+"  \"*\": {host: a, sslrootcert: /ca.crt}\n")
}

func TestTwoListenersCanNotHaveOneAddress(t *testing.T) {
	second := "  - address: 127.0.0.1:6432\n    tls: {mode: disable}\n"
	_, err := parse(strings.Replace(base, "auth:", second+"auth:", 1))
	wants(t, err, "4 listen[1].address: duplicate")
	accepted(t, strings.Replace(base, "auth:", strings.Replace(second, "6432", "6433", 1)+"auth:", 1))
}

func TestFaultsAreToldTogetherInTheOrderOfTheirLines(t *testing.T) {
	text := `log: {format: x}
databases:
  b: {host: a, port: 0, pool_size: -1, sslmode: disable}
  a: {host: a, port: 0, sslmode: disable}
listen:
  - address: nowhere
    tls: {mode: disable}
pool:
  server_lifetime: -1s
  pool_mode: x
`
	for range 5 { // maps have no order of their own
		_, err := parse(text)
		wants(t, err,
			"0 auth.users_file: no way to log in",
			"1 log.format: must be",
			"3 databases.b.port: outside the valid range",
			"3 databases.b.pool_size: outside the valid range",
			"4 databases.a.port: outside the valid range",
			"6 listen[0].address: must be",
			"9 pool.server_lifetime: negative",
			"10 pool.pool_mode: must be session",
		)
	}
}

func TestMinusOneStandsForNoKeyThatIsLeftOut(t *testing.T) {
	_, err := parse(base + "    max_db_connections: -1\n    server_lifetime: -1s\nusers:\n  app:\n    query_timeout: -1s\npool:\n  max_address_logins: -1\n")
	wants(t, err,
		"10 databases.app.max_db_connections: omit the key",
		"11 databases.app.server_lifetime: omit the key",
		"14 users.app.query_timeout: omit the key",
		"16 pool.max_address_logins: omit the key",
	)
	f := accepted(t, base+"    max_db_connections: 0\nusers:\n  app: {query_timeout: 0s}\n")
	if n, d := f.Databases["app"].MaxDBConnections, f.Users["app"].QueryTimeout; n == nil || *n != 0 || d == nil || *d != 0 || f.Users["app"].TransactionTimeout != nil {
		t.Errorf("no limit is %v and %v", n, d)
	}
}

func TestAFaultReadsAsFileLineKeyAndReason(t *testing.T) {
	for _, c := range []struct {
		fault Error
		want  string
	}{
		{Error{"c.yaml", 7, "pool.x", errors.New("is bad")}, "c.yaml:7: pool.x: is bad"},
		{Error{"c.yaml", 7, "", errors.New("is bad")}, "c.yaml:7: is bad"},
		{Error{"c.yaml", 0, "listen", errors.New("is bad")}, "c.yaml: listen: is bad"},
		{Error{"c.yaml", 0, "", errors.New("is bad")}, "c.yaml: is bad"},
	} {
		if got := c.fault.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if !errors.Is(&c.fault, c.fault.Err) {
			t.Error("the reason can't be found in it")
		}
	}
}

func TestLoadReadsTheFileAndTheEnvironment(t *testing.T) {
	t.Setenv("PGSEAL_TEST_HOST", "from.environment")
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(base, "db.internal", "${PGSEAL_TEST_HOST}", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil || f.Databases["app"].Host != "from.environment" {
		t.Errorf("got %+v and %v", f.Databases, err)
	}
	if _, err := Load(path + ".missing"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file is told as %v", err)
	}
	if _, err := Load(filepath.Dir(path)); err == nil {
		t.Error("a directory was read")
	}
	if err := os.WriteFile(path, []byte("x: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: x: ") {
		t.Errorf("a fault does not begin with the path and line: %v", err)
	}
}

func TestALevelThatWasNotValidatedLogsAtInfo(t *testing.T) {
	for level, want := range map[string]zapcore.Level{
		"debug": zapcore.DebugLevel, "info": zapcore.InfoLevel, "warn": zapcore.WarnLevel, "error": zapcore.ErrorLevel, "?": zapcore.InfoLevel,
	} {
		if got := (Log{Level: level}).ZapLevel(); got != want {
			t.Errorf("%s: got %v", level, got)
		}
	}
}
