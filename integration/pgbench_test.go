package integration

import (
	"context"
	"strconv"
	"testing"
	"time"
)

func TestPgbenchRunsWithoutOneErrorAndNeverOnMoreServersThanPoolSize(t *testing.T) {
	const clients, poolSize = 16, 6
	runs := []struct {
		database string
		args     []string
		servers  int
	}{
		{"transaction", []string{"-M", "simple", "-S"}, poolSize},
		{"transaction", []string{"-M", "simple"}, poolSize},
		{"transaction", []string{"-M", "extended", "-S"}, poolSize},
		{"transaction", []string{"-M", "extended"}, poolSize},
		{"transaction", []string{"-M", "prepared", "-S"}, poolSize},
		// A thread for each client: pgbench prepares with a call that blocks its
		// thread, and so the other clients of it, in mid-transaction.
		{"transaction", []string{"-M", "prepared", "-j", strconv.Itoa(clients)}, poolSize},
		{"session", []string{"-M", "prepared"}, clients},
	}
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		pg.database(t, "bench")
		p := start(t, pg, options{databases: map[string]settings{
			"transaction": {"dbname": "bench", "pool_size": strconv.Itoa(poolSize)},
			"session":     {"dbname": "bench", "pool_mode": "session", "pool_size": strconv.Itoa(clients)},
		}})
		p.fill(t, "transaction", 10)
		observer := pg.direct(t, "bench")
		idle := backends(t, observer, "true") // of the pool that is not under test
		for _, run := range runs {
			watch := watchBackends(t, pg, "bench")
			args := append([]string{"-n", "-c", strconv.Itoa(clients), "-j", "2", "-T", strconv.Itoa(benchSeconds(t))}, run.args...)
			n, err := benchTransactions(runProgram(t, p.command(t, "pgbench", run.database, nil, args...)))
			most := watch()
			if err != nil {
				t.Fatalf("%v in %s mode: %v", run.args, run.database, err)
			}
			limit := run.servers
			if run.database == "session" {
				limit += idle
			}
			if most > limit || most == 0 {
				t.Errorf("%v in %s mode: up to %d servers, limit %d", run.args, run.database, most, limit)
			}
			idle = most
			t.Logf("%v in %s mode: %d transactions, up to %d servers", run.args, run.database, n, most)
		}
	})
}

// watchBackends counts the servers of app in a database until the function it
// returns is called, which returns the highest count.
func watchBackends(t *testing.T, pg *postgres, database string) (most func() int) {
	t.Helper()
	conn := pg.direct(t, database)
	ctx, stop := context.WithCancel(t.Context())
	highest := make(chan int, 1)
	go func() {
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		most := 0
		for {
			n, err := countBackends(context.WithoutCancel(ctx), conn, "true")
			if err != nil {
				t.Errorf("pg_stat_activity: %v", err)
			}
			most = max(most, n)
			select {
			case <-tick.C:
			case <-ctx.Done():
				highest <- most
				return
			}
		}
	}()
	return func() int {
		stop()
		return <-highest
	}
}
