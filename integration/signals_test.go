package integration

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// lastWords reads from an idle connection until it ends, and returns why.
func lastWords(t *testing.T, conn *pgx.Conn) error {
	t.Helper()
	_, err := conn.WaitForNotification(soon(t))
	return err
}

func TestSIGTERMLetsTransactionsFinishAndTellsIdleClients(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{})
		observer := pg.direct(t, "app")
		idle, busy, querying := p.pgx(t, "app", execMode), p.pgx(t, "app", execMode), p.pgx(t, "app", execMode)
		execute(t, busy, "DROP TABLE IF EXISTS kept")
		execute(t, busy, "CREATE TABLE kept (n int)")
		execute(t, busy, "BEGIN")
		execute(t, busy, "INSERT INTO kept VALUES (1)")
		answer := make(chan error, 1)
		go func() {
			var n int
			answer <- querying.QueryRow(soon(t), "SELECT 1 FROM pg_sleep(1)").Scan(&n)
		}()
		eventually(t, patience, "the query runs", func() bool { return backends(t, observer, "state = 'active'") == 1 })

		p.signal(syscall.SIGTERM)
		wantState(t, lastWords(t, idle), "57P01")
		eventually(t, patience, "no more clients are taken", func() bool {
			conn, err := p.tryPgx(soon(t), "app", execMode)
			if err == nil {
				conn.Close(soon(t))
			}
			return errors.Is(err, syscall.ECONNREFUSED)
		})
		if err := receive(t, answer, "the running query is answered"); err != nil {
			t.Errorf("the query that ran: %v", err)
		}
		wantState(t, lastWords(t, querying), "57P01")
		execute(t, busy, "INSERT INTO kept VALUES (2)")
		if p.ended(0) {
			t.Error("pgseal ended while a transaction was open")
		}
		execute(t, busy, "COMMIT")
		wantState(t, lastWords(t, busy), "57P01")
		if !p.ended(stopLimit) || p.status() != 0 {
			t.Fatalf("pgseal has not ended with status 0: %v", p.cmd.ProcessState)
		}
		if got := value(t, observer, "SELECT count(*)::text FROM kept"); got != "2" {
			t.Errorf("%s rows were kept, want 2", got)
		}
		if n := backends(t, observer, "true"); n != 0 {
			t.Errorf("%d servers are left", n)
		}
	})
}

func TestASecondSIGTERMEndsAtOnce(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, "18")
	p := start(t, pg, options{})
	observer := pg.direct(t, "app")
	open, running := p.pgx(t, "app", execMode), p.pgx(t, "app", execMode)
	execute(t, open, "BEGIN")
	execute(t, open, "SELECT 1")
	answer := inBackground(running, context.Background(), slow("running"))
	runs(t, observer, "running")
	p.signal(syscall.SIGTERM)
	eventually(t, patience, "pgseal drains", func() bool { return p.log.count("shutting down") == 1 })
	if p.ended(300 * time.Millisecond) {
		t.Fatal("pgseal ended while a transaction was open")
	}
	p.signal(syscall.SIGTERM)
	if !p.ended(5 * time.Second) {
		t.Fatal("pgseal goes on")
	}
	if status := p.status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if err := receive(t, answer, "the client notices"); err == nil {
		t.Error("the query was answered")
	}
	eventually(t, patience, "the servers are gone", func() bool { return backends(t, observer, "true") == 0 })
}

const (
	configRefused = "configuration contains errors; no changes were applied"
	fileRefused   = "file was not reloaded, keeping the version in force"
)

func TestSIGHUPWithABadFileKeepsTheOldConfiguration(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{errors: []string{configRefused}})
	before := p.pgx(t, "app", execMode)
	for i, bad := range []string{"databases: [", "databases: {}\n", "listen: []\npool: {default_pool_sise: 3}\n", ""} {
		p.writeFile(p.configFile(), bad)
		p.reload()
		if n := p.log.count(configRefused); n != i+1 {
			t.Fatalf("%q: %d refusals in the log, want %d", bad, n, i+1)
		}
		execute(t, before, "SELECT 1")
		if got := p.ask(t, "app", "SELECT 'alive'"); got != "alive" {
			t.Errorf("got %q", got)
		}
	}
	p.writeConfig()
	p.reload()
	if n := p.log.count("configuration reloaded"); n != 1 {
		t.Errorf("the good file was taken %d times, want once", n)
	}
}

func TestSIGHUPTakesAnotherPoolSizeAndDatabasesThatCameOrWent(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"pool_size": "1"}, "old": {"pool_size": "1"}}})
		observer := pg.direct(t, "app")
		stays, leaves := p.pgx(t, "app", execMode), p.pgx(t, "old", execMode)
		execute(t, leaves, "SELECT 1")
		refused(t, p, "new", "", "3D000")

		p.options.databases = map[string]settings{"app": {"pool_size": "3"}, "new": {}}
		p.writeConfig()
		p.reload()
		execute(t, stays, "SELECT 1")
		if got := p.ask(t, "new", "SELECT current_database()"); got != "app" {
			t.Errorf("got %q", got)
		}
		refused(t, p, "old", "", "3D000")
		wantState(t, func() error { _, err := leaves.Exec(soon(t), "SELECT 1"); return err }(), "3D000")

		var answers []<-chan error
		for range 3 {
			answers = append(answers, inBackground(p.pgx(t, "app", execMode), soon(t), "SELECT pg_sleep(1)"))
		}
		eventually(t, patience, "three servers are at work", func() bool { return backends(t, observer, "state = 'active'") == 3 })
		p.options.databases["app"] = settings{"pool_size": "1"}
		p.writeConfig()
		p.reload()
		for _, answer := range answers {
			if err := receive(t, answer, "the query ends"); err != nil {
				t.Error(err)
			}
		}
		eventually(t, patience, "one server each is left", func() bool { return backends(t, observer, "true") == 2 })
	})
}
