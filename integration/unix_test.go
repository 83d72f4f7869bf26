package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAUnixSocketServesPsqlPgbenchAndPgx(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{listeners: []*listener{{socket: true}}})
		l := p.listeners[1]
		env := []string{"PGHOST=" + l.socketDir(), fmt.Sprintf("PGPORT=%d", l.port)}
		r := p.psql(t, "app", env, "-c", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
		if r.status != 0 || strings.TrimSpace(r.stdout) != "t" {
			t.Errorf("psql ended with status %d: %s%s", r.status, r.stdout, r.stderr)
		}
		r = p.psql(t, "app", append(env, "PGPASSWORD="+wrongPassword), "-c", "SELECT 1")
		if r.status != 2 || !strings.Contains(r.stderr, `password authentication failed for user "app"`) {
			t.Errorf("psql with a wrong password ended with status %d: %s", r.status, r.stderr)
		}
		bench := p.command(t, "pgbench", "app", env, "-n", "-c", "8", "-t", "50", "-f", "-")
		bench.Stdin = strings.NewReader("SELECT 1;\n")
		if _, err := benchTransactions(runProgram(t, bench)); err != nil {
			t.Error(err)
		}
		conn := p.pgx(t, "app", fmt.Sprintf("host=%s port=%d sslmode=disable %s", l.socketDir(), l.port, execMode))
		if got := value(t, conn, "SELECT 'alive'"); got != "alive" {
			t.Errorf("got %q", got)
		}
		conn.Close(soon(t))
		p.signal(syscall.SIGTERM)
		if !p.ended(stopLimit) {
			t.Fatal("pgseal goes on")
		}
		path := filepath.Join(l.socketDir(), fmt.Sprintf(".s.PGSQL.%d", l.port))
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
}
