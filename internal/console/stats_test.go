package console

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
)

// work are totals of a pool that was used n times as much as for n = 1.
func work(n uint64) stats.PoolTotals {
	of := func(d time.Duration, times uint64) stats.Distribution {
		var h stats.Histogram
		h.AddSome(d*time.Duration(times), times)
		return h.Read()
	}
	return stats.PoolTotals{
		Assignments: 60 * n, Transactions: 120 * n, Queries: 240 * n, Received: 6000 * n, Sent: 12000 * n,
		TransactionTime: time.Duration(120*n) * 3 * time.Millisecond,
		QueryTime:       of(2*time.Millisecond, 240*n), WaitTime: of(5*time.Millisecond, 30*n),
		ClientParses: 600 * n, ServerParses: 60 * n, Binds: 1200 * n,
	}
}

// shown returns the rows of a command by their first column.
func shown(rows []row) map[string][]string {
	all := map[string][]string{}
	for _, r := range rows {
		var list []string
		for _, v := range r[1:] {
			list = append(list, fmt.Sprint(v))
		}
		all[r[0].(string)] = list
	}
	return all
}

func TestAveragesAreOfTheLastMinuteOrTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := New(zap.NewNop(), f.sources(), f.actions())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		wants := func(when string, want ...string) {
			t.Helper()
			if got := shown(showStatsAverages(c))["app"]; !slices.Equal(got, want) {
				t.Errorf("%s the averages are %v, want %v", when, got, want)
			}
		}
		idle := slices.Repeat([]string{"0"}, figures)
		wants("at the start", idle...)
		f.used.Store(1)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		wants("after half a minute", "2", "4", "8", "200", "400", "3000", "2000", "2500", "20", "2", "40")
		time.Sleep(30*time.Second + time.Millisecond)
		synctest.Wait()
		f.used.Store(3)
		time.Sleep(time.Minute)
		synctest.Wait()
		wants("after two minutes", "1", "3", "7", "199", "399", "3000", "2000", "2500", "19", "1", "39") // of a bit more than one
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wants("after two minutes without work", idle...)
		f.used.Store(1) // of a database that was removed and came back
		time.Sleep(time.Second)
		if got := shown(showStatsAverages(c))["app"]; len(got) != figures || got[queries] != "3" {
			t.Errorf("when counting began anew the averages are %v", got)
		}
	})
}

func TestStatsTellOfEachDatabaseAndOfTheConsole(t *testing.T) {
	d := sit(t, "stats")
	d.used.Store(1)
	totals := "60 120 240 6000 12000 360000 480000 150000 600 60 1200"
	r := d.ask("SHOW STATS_TOTALS")
	if len(r.rows) != 2 || strings.Join(r.rows[0], " ") != "app "+totals {
		t.Errorf("the totals are %v", r.rows)
	}
	d.ask("SHOW VERSION; SHOW VERSION")
	r = d.ask("SHOW STATS")
	if len(r.rows) != 2 || !strings.HasPrefix(strings.Join(r.rows[0], " "), "app "+totals) || !strings.HasPrefix(strings.Join(r.rows[1], " "), "pgbouncer 0 4 4 0") {
		t.Errorf("the stats are %v", r.rows)
	}
	if last := r.names[len(r.names)-1]; last != "total_requests" || r.rows[0][len(r.names)-1] != "240" {
		t.Errorf("the last column is %s with %v", last, r.rows[0])
	}
	sums := map[string]string{}
	for _, row := range d.ask("SHOW TOTALS").rows {
		sums[row[0]] = row[1]
	}
	if len(sums) != 2*figures || sums["total_query_count"] != "245" || sums["total_client_bytes"] != "6000" || sums["avg_query_time"] != "1959" {
		t.Errorf("the sums are %v", sums)
	}
	if !slices.Contains(slices.Collect(maps.Keys(sums)), "total_ps_bind_count") {
		t.Errorf("the sums are named %v", sums)
	}
}

func TestTheConsoleIsAmongPoolsAndDatabases(t *testing.T) {
	d := sit(t, "stats")
	for command, want := range map[string]string{
		"SHOW POOLS":     "pgbouncer pgbouncer 1 0 0 0 0 0 0 0 0 0 0 0 0 statement NULL",
		"SHOW DATABASES": "pgbouncer NULL 6432 pgbouncer pgbouncer 2 0 0 0 statement NULL 0 0 0 1 0 0 0",
	} {
		rows := d.ask(command).rows
		if len(rows) != 2 || rows[0][0] != "app" || strings.Join(rows[1], " ") != want {
			t.Errorf("%s: %v, want %s", command, rows, want)
		}
	}
	if pools := d.ask("SHOW POOLS").rows; strings.Join(pools[0], " ") != "app alice 1 1 1 0 1 1 1 0 0 0 0 1 500000 transaction NULL" {
		t.Errorf("the pool of clients is %v", pools[0])
	}
	if got := withConsole([]row{{"app"}, {"zebra"}}, row{"pgbouncer"}); got[1][0] != "pgbouncer" {
		t.Errorf("the order is %v", got)
	}
}

func TestErrorsAreShownWithoutTheTextsOfServers(t *testing.T) {
	d := sit(t, "stats")
	rows := d.ask("SHOW ERRORS").rows
	if len(rows) != 2 || strings.Join(rows[0][1:], "|") != "8|app|bob|53300|FATAL|pgseal|too many" || strings.Join(rows[1][1:], "|") != "7|app|alice|22012|ERROR|server|NULL" {
		t.Errorf("the errors are %v", rows)
	}
	var totals []string
	for _, r := range d.ask("SHOW ERRORS_TOTALS").rows {
		totals = append(totals, strings.Join(r, " "))
	}
	if !slices.Equal(totals, []string{"pgseal 28 2", "pgseal 53 1", "server 22 3"}) {
		t.Errorf("the totals are %v", totals)
	}
}
