package targets

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/bench/internal/proc"
	pgseal "github.com/pgseal/pgseal/internal/config"
)

func sampleConfig() config {
	return config{
		Dir: "/tmp/room", CAFile: "/tmp/ca.crt", User: "bench", Database: "bench",
		Password: "PASSWORD", Secret: "SCRAM-SHA-256$4096:c2FsdA==$a:b",
		Port: 6432, ServerPort: 5432, PoolSize: 20, MaxClients: 12000, MaxConnections: 300,
	}
}

func TestPgsealTakesTheConfigurationThatIsWrittenForIt(t *testing.T) {
	f, err := pgseal.Parse("config.yaml", []byte(pgsealYAML(sampleConfig())), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	db := f.Databases["bench"]
	if f.Listen[0].Address != "127.0.0.1:6432" || db.Port != 5432 || db.PoolSize != 20 || db.SSLMode != "verify-full" ||
		db.PoolMode != "transaction" || f.Pool.MaxClientConn != 12000 || f.Log.Level != "warn" {
		t.Errorf("%+v", f)
	}
}

func TestBothPoolersAreSetUpAlike(t *testing.T) {
	c := sampleConfig()
	ini := pgbouncerINI(c)
	for _, line := range []string{
		"default_pool_size = 20", "max_client_conn = 12000", "pool_mode = transaction", "auth_type = scram-sha-256",
		"client_tls_sslmode = require", "server_tls_sslmode = verify-full", "server_tls_ca_file = /tmp/ca.crt",
		"log_connections = 0", "log_disconnections = 0", "log_stats = 0", "listen_addr = 127.0.0.1", "listen_port = 6432",
	} {
		if !strings.Contains(ini, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, ini)
		}
	}
	if got := usersFile(c); got != "\"bench\" \"SCRAM-SHA-256$4096:c2FsdA==$a:b\"\n" {
		t.Errorf("users are %q", got)
	}
}

func TestOnlyAPgBouncerThatKnowsPreparedStatementsIsToldOfThem(t *testing.T) {
	c := sampleConfig()
	if strings.Contains(pgbouncerINI(c), "max_prepared_statements") {
		t.Error("an old one is told")
	}
	c.MaxPrepared = true
	if !strings.Contains(pgbouncerINI(c), "\nmax_prepared_statements = 200\n") {
		t.Error("a new one is not told")
	}
	for version, want := range map[string]bool{"1.18.0": false, "1.20.1": false, "1.21.0": true, "1.25.2": true, "2.0": true, "unknown": false, "": false} {
		if got := atLeast(version, 1, 21); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

func TestHAProxyPassesBytesOnAndEndsNoTLS(t *testing.T) {
	cfg := haproxyCFG(sampleConfig())
	for _, part := range []string{"mode tcp\n", "bind 127.0.0.1:6432\n", "server postgresql 127.0.0.1:5432\n", "maxconn 300\n"} {
		if !strings.Contains(cfg, part) {
			t.Errorf("no %q in\n%s", part, cfg)
		}
	}
	if strings.Contains(cfg, "ssl") || strings.Contains(cfg, "crt") {
		t.Errorf("it speaks of TLS:\n%s", cfg)
	}
}

func TestNoSecretStandsInWhatAResultShows(t *testing.T) {
	x, err := External("mine", "postgresql://app:hunter2@127.0.0.1/x?sslmode=disable", proc.Group{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(x.Settings, "hunter2") {
		t.Errorf("settings are %q", x.Settings)
	}
}

func TestAnExternalTargetIsNeitherRestartedNorSignalled(t *testing.T) {
	x, err := External("mine", "host=127.0.0.1 sslmode=disable", proc.Group{})
	if err != nil {
		t.Fatal(err)
	}
	if x.Restartable() || x.CanReplaceCertificate() || x.Restart(t.Context()) == nil ||
		x.Signal(os.Interrupt) == nil || x.ReplaceCertificate(t.Context()) == nil {
		t.Error("it was")
	}
	if x.Alive() != nil || !x.Group().Empty() {
		t.Error("nothing is known of its process")
	}
}

func TestAProgramThatIsNotThereIsMissing(t *testing.T) {
	if _, err := find("no-such-pooler"); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
	l := &Lab{options: Options{PgSealPath: "/nowhere/pgseal"}}
	if _, err := l.pgsealProgram(t.Context(), ""); err == nil || errors.Is(err, ErrMissing) {
		t.Errorf("a program that was asked for: got %v", err)
	}
	if _, err := l.Start(t.Context(), "odyssey"); err == nil {
		t.Error("started what is not built in")
	}
}

func TestTheCheckoutIsFoundFromAnywhereInIt(t *testing.T) {
	root, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "cmd", "pgseal", "main.go")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if dir, err := checkout(); err == nil {
		t.Errorf("found one at %s", dir)
	}
}

func TestAChainWithoutACertificateHasNoKind(t *testing.T) {
	if got := certificateKind(nil); got != "none" {
		t.Errorf("got %q", got)
	}
	if got := certificateKind([]*x509.Certificate{{}}); got == "" {
		t.Error("a key of an unknown kind has no name")
	}
}
