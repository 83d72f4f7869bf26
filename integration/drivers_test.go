package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// driver is a driver's program below drivers/, which does the steps that
// drivers/steps/doc.go tells of.
type driver struct {
	name    string
	dir     string
	command []string // what runs it, in its directory
}

// Debian's own Python has Debian's packages; another one may come first in PATH.
const python = "/usr/bin/python3"

// java runs a program for a second or two: it compiles little, and with one thread
// at a time.
var java = []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"}

var drivers = []driver{
	{"pgx", "pgx", nil},
	{"lib/pq", "pq", nil},
	{"node-postgres", "node-postgres", []string{"node", "main.mjs"}},
	{"postgres.js", "postgres.js", []string{"node", "main.mjs"}},
	{"psycopg2", "psycopg2", []string{python, "-B", "main.py"}},
	{"psycopg 3", "psycopg3", []string{python, "-B", "main.py"}},
	{"asyncpg", "asyncpg", []string{python, "-B", "main.py"}},
	{"SQLAlchemy", "sqlalchemy", []string{python, "-B", "main.py"}},
	{"JDBC", "jdbc", append(java, "Main")},
	{"ruby-pg", "ruby-pg", []string{"ruby", "main.rb"}},
	{"PHP PDO", "php-pdo", []string{"php", "main.php"}},
	{"psqlODBC", "psqlodbc", []string{python, "-B", "main.py"}},
}

// driverSteps are the steps of every program, in order.
var driverSteps = []string{"connect", "types", "prepared", "transactions", "pipeline", "copy",
	"cancel", "listen", "settings", "errors", "reconnect"}

// driverRoutes are the ways that the programs take to PostgreSQL. The first
// shows that they are right themselves. With one server every step of two
// clients trades it; with three, clients change servers.
var driverRoutes = []struct {
	name, mode string
	size       string
}{
	{"direct", "", ""},
	{"session mode", "session", "4"},
	{"transaction mode, one server", "transaction", "1"},
	{"transaction mode, three servers", "transaction", "3"},
}

// driverLimit is how long one program may take on a busy machine.
const driverLimit = 2 * time.Minute

func TestDriversAtTheirDefaultsWorkInTransactionMode(t *testing.T) {
	t.Parallel()
	programs := buildDrivers(t)
	report := newDriverReport()
	t.Run("all", func(t *testing.T) {
		for _, version := range versions {
			pg := sharedPostgres(t, version)
			p := start(t, pg, options{databases: driverDatabases()})
			for _, d := range drivers {
				for route := range driverRoutes {
					t.Run(fmt.Sprintf("%s/PostgreSQL %s/%s", d.name, version, driverRoutes[route].name), func(t *testing.T) {
						t.Parallel()
						where := fmt.Sprintf("PostgreSQL %s, %s", version, driverRoutes[route].name)
						report.add(d.name, where, runDriver(t, p, d, programs, route))
					})
				}
			}
		}
	})
	report.check(t)
}

const jdbc = "/usr/share/java/postgresql.jar"

// buildDrivers builds the programs in Go and Java, and returns where they are.
func buildDrivers(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, build := range [][]string{
		{"go", "build", "-o", dir + "/", "./drivers/..."},
		{"javac", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-cp", jdbc, "-d", dir, "drivers/jdbc/Main.java"},
	} {
		if out, err := exec.Command(build[0], build[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("build the drivers' programs: %v\n%s", err, out)
		}
	}
	return dir
}

// driverDatabases gives each driver pools of its own, so that what it finds
// there, it or the passerby has left.
func driverDatabases() map[string]settings {
	databases := map[string]settings{"aside": {"pool_size": "5"}}
	for _, d := range drivers {
		for route, r := range driverRoutes[1:] {
			databases[driverDatabase(d, route+1)] = settings{"pool_mode": r.mode, "pool_size": r.size}
		}
	}
	return databases
}

func driverDatabase(d driver, route int) string {
	return fmt.Sprintf("%s-%d", d.dir, route)
}

// runDriver runs a driver's program and returns its lines.
func runDriver(t *testing.T, p *pgseal, d driver, programs string, route int) []string {
	ctx, cancel := context.WithTimeout(t.Context(), driverLimit)
	defer cancel()
	user, database, aside, port, root := "app", driverDatabase(d, route), "aside", p.port(), p.root
	if route == 0 {
		user, database, aside, port, root = "driver", "app", "app", int(p.pg.Port()), p.pg.root
	} else if driverRoutes[route].mode == "transaction" {
		stop := passerby(t, p, database)
		defer stop()
	}
	tag := "driver_" + strings.NewReplacer("-", "_", ".", "_").Replace(fmt.Sprintf("%s_%d_", d.dir, route))
	command := d.command
	if command == nil {
		command = []string{filepath.Join(programs, d.dir)}
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = filepath.Join("drivers", d.dir)
	cmd.Env = append(os.Environ(), "PGHOST=localhost", fmt.Sprintf("PGPORT=%d", port), "PGUSER="+user, "PGPASSWORD="+appPassword,
		"PGDATABASE="+database, "PGSSLMODE=verify-full", "PGSSLROOTCERT="+root, "PGSEAL_TEST_TAG="+tag, "PGSEAL_TEST_ASIDE="+aside,
		"PYTHONPATH=../steps", "CLASSPATH="+jdbc+":"+programs, "LC_ALL=C.UTF-8")
	r := runProgram(t, cmd)
	if r.status != 0 {
		t.Errorf("status %d, error output:\n%s", r.status, r.stderr)
	}
	return strings.Split(strings.TrimSpace(r.stdout), "\n")
}

// passerby is another client of the same pool, with settings and statements of
// its own. It holds a server now and then, so that others change theirs.
func passerby(t *testing.T, p *pgseal, database string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	for range 2 {
		conn, err := p.tryPgx(ctx, database, "application_name=passerby TimeZone=Pacific/Chatham search_path=passerby "+execMode)
		if err != nil {
			t.Fatal(err)
		}
		done.Go(func() {
			defer conn.Close(context.Background())
			for ctx.Err() == nil {
				if err := hold(ctx, conn); err != nil && ctx.Err() == nil {
					t.Errorf("the passerby: %v", err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		done.Wait()
	}
}

// hold keeps a server for some milliseconds, and looks whether the session's
// own settings are there.
func hold(ctx context.Context, conn *pgx.Conn) error {
	var got string
	err := conn.QueryRow(ctx, "SELECT current_setting('TimeZone') || current_setting('search_path') || "+
		"current_setting('statement_timeout') FROM pg_sleep(0.003)").Scan(&got)
	if err == nil && got != "Pacific/Chathampasserby0" {
		err = fmt.Errorf("it finds the settings %s", got)
	}
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
	return nil
}
