package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// exporter starts Debian's exporter of PgBouncer's figures for Prometheus, which
// asks the console of p, and returns where it tells them.
func exporter(t *testing.T, p *pgseal) string {
	t.Helper()
	program, err := exec.LookPath("prometheus-pgbouncer-exporter")
	if err != nil {
		t.Fatalf("%v: scripts/install-test-tools.sh brings it", err)
	}
	port := freePort(t)
	cmd := exec.Command(program, "--host", "127.0.0.1", "--port", strconv.Itoa(port),
		"--pgbouncer-host", "localhost", "--pgbouncer-port", strconv.Itoa(p.port()), "--pgbouncer-user", "watcher")
	cmd.Env = append(os.Environ(), "PGPASSWORD=watching", "PGSSLMODE=verify-full", "PGSSLROOTCERT="+p.root)
	running, _, stderr := background(t, cmd)
	t.Cleanup(func() {
		if t.Failed() {
			running.cmd.Process.Kill()
			<-running.exited
			t.Logf("the exporter says:\n%s", stderr)
		}
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	eventually(t, patience, "the exporter listens", func() bool {
		code, _ := get(t, url+"/")
		return code == 200
	})
	return url + "/metrics"
}

func TestDebiansExporterOfPgBouncersFiguresWorks(t *testing.T) {
	t.Parallel()
	o := consoleOptions()
	o.databases = map[string]settings{"app": {"pool_size": "5", "reserve_pool_size": "2"}}
	p := start(t, sharedPostgres(t, versions[len(versions)-1]), o)
	url := exporter(t, p)
	client := p.pgx(t, "app", simpleMode)
	for range 9 {
		execute(t, client, "SELECT pg_sleep(0.01)")
	}
	code, scrape := get(t, url)
	if code != 200 {
		t.Fatalf("the scrape ends with %d: %s", code, scrape)
	}
	for series, least := range map[string]float64{
		`pgbouncer_requests_total{database="app"}`:            9,
		`pgbouncer_received_bytes_total{database="app"}`:      9 * float64(len("SELECT pg_sleep(0.01)")),
		`pgbouncer_sent_bytes_total{database="app"}`:          100,
		`pgbouncer_query_microseconds_total{database="app"}`:  90_000,
		`pgbouncer_requests_total{database="pgbouncer"}`:      1,
		`pgbouncer_active_clients{database="app",user="app"}`: 1,
		`pgbouncer_databases`:                                 2,
		`pgbouncer_pools`:                                     2,
		`pgbouncer_used_clients`:                              2,
		`pgbouncer_free_clients`:                              1,
		`pgbouncer_used_servers`:                              1,
	} {
		if got := figure(t, scrape, series); got < least {
			t.Errorf("%s is %v, want %v or more", series, got, least)
		}
	}
	for series, want := range map[string]float64{
		`pgbouncer_pool_size{database="app"}`:                             5,
		`pgbouncer_reserve_pool{database="app"}`:                          2,
		`pgbouncer_pool_size{database="pgbouncer"}`:                       2,
		`pgbouncer_waiting_clients{database="app",user="app"}`:            0,
		`pgbouncer_active_clients{database="pgbouncer",user="pgbouncer"}`: 1,
		`pgbouncer_login_clients`:                                         0,
	} {
		if got := figure(t, scrape, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if n := strings.Count(scrape, "# HELP pgbouncer_"); n < 19 {
		t.Errorf("there are only %d metrics of PgBouncer's", n)
	}
}
