package integration

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startConsole starts a pgseal with a console.
func startConsole(t *testing.T) *pgseal {
	t.Helper()
	return start(t, sharedPostgres(t, versions[len(versions)-1]), consoleOptions())
}

func TestSuspendLosesNothing(t *testing.T) {
	t.Parallel()
	p := startConsole(t)
	console, busy := p.pgx(t, "pgseal", simpleMode), p.pgx(t, "app", execMode)
	execute(t, busy, "CREATE TEMPORARY TABLE counted (n int)")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	counted, failed := 0, make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if _, err := busy.Exec(context.Background(), "INSERT INTO counted VALUES ($1)", counted); err != nil {
				failed <- err
				return
			}
			counted++
		}
		failed <- nil
	}()
	for range 20 {
		execute(t, console, "SUSPEND")
		execute(t, console, "RESUME")
	}
	stop()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if n := value(t, busy, "SELECT count(*)::text FROM counted"); n != strconv.Itoa(counted) || counted == 0 {
		t.Errorf("%d rows were told to be there, %s are", counted, n)
	}
}

func TestWhileSuspendedClientsWaitAndTheConsoleAnswers(t *testing.T) {
	t.Parallel()
	p := startConsole(t)
	console, client := p.pgx(t, "pgseal", simpleMode), p.pgx(t, "app", execMode)
	execute(t, client, "SELECT 1")
	execute(t, console, "SUSPEND")
	answers := make(chan error, 2)
	go func() {
		_, err := client.Exec(context.Background(), "SELECT 2")
		answers <- err
	}()
	newcomer := make(chan *pgx.Conn, 1)
	go func() {
		conn, err := p.tryPgx(context.Background(), "app", execMode)
		newcomer <- conn
		answers <- err
	}()
	for _, command := range []string{"SUSPEND", "PAUSE"} {
		if _, err := console.Exec(soon(t), command); sqlState(err) != "55000" {
			t.Errorf("%s while suspended: %v", command, err)
		}
	}
	second := p.pgx(t, "pgseal", simpleMode) // the one that suspended may be gone
	if state := find(rowsOf(t, second, "SHOW STATE"), "key", "suspended"); state[0]["value"] != "yes" {
		t.Errorf("the state is %v", state)
	}
	select {
	case err := <-answers:
		t.Fatalf("somebody was answered while suspended: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	execute(t, second, "RESUME")
	for range 2 {
		if err := <-answers; err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
	if conn := <-newcomer; conn != nil {
		execute(t, conn, "SELECT 3")
		conn.Close(context.Background())
	}
}

func TestASuspendedClientCanBeKilled(t *testing.T) {
	t.Parallel()
	p := startConsole(t)
	console, client := p.pgx(t, "pgseal", simpleMode), p.pgx(t, "app", "application_name=victim "+execMode)
	execute(t, client, "BEGIN")
	execute(t, console, "SUSPEND")
	execute(t, console, "KILL_CLIENT "+text(find(rowsOf(t, console, "SHOW CLIENTS"), "application_name", "victim")[0]["id"]))
	if _, err := client.Exec(soon(t), "SELECT 1"); sqlState(err) != "57P01" {
		t.Errorf("the killed client is told %v", err)
	}
	execute(t, console, "RESUME")
	execute(t, p.pgx(t, "app", execMode), "SELECT 1")
}

func TestASuspendedPgsealStops(t *testing.T) {
	t.Parallel()
	p := startConsole(t)
	console, client := p.pgx(t, "pgseal", simpleMode), p.pgx(t, "app", execMode)
	execute(t, client, "SELECT 1")
	execute(t, console, "SUSPEND")
	execute(t, console, "SHUTDOWN WAIT_FOR_SERVERS")
	if !p.ended(stopLimit) {
		t.Error("the process does not end")
	}
}
