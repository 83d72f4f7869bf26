package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// get asks pgseal by HTTP.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(body)
}

// figure returns the value of one series of a scrape.
func figure(t *testing.T, scrape, series string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(scrape)
	if m == nil {
		t.Errorf("there is no %s", series)
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// withHTTP are options with HTTP on a free port.
func withHTTP(t *testing.T, o options) (options, string) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	o.http = settings{"address": address}
	return o, "http://" + address
}

func TestMetricsTellWhatClientsDid(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		o, url := withHTTP(t, options{databases: map[string]settings{"app": {"pool_size": "2"}}})
		p := start(t, pg, o)
		conn := p.pgx(t, "app", simpleMode)
		_, before := get(t, url+"/metrics")
		for range 10 {
			execute(t, conn, "BEGIN")
			execute(t, conn, "SELECT 1")
			execute(t, conn, "COMMIT")
		}
		if _, err := conn.Exec(soon(t), "SELECT 1/0"); err == nil {
			t.Fatal("a division by zero succeeded")
		}
		code, after := get(t, url+"/metrics")
		if code != 200 {
			t.Fatalf("/metrics answers %d %s", code, after)
		}
		const of = `{database="app",user="app"}`
		for series, want := range map[string]float64{
			"pgseal_transactions_total" + of:                  11,
			"pgseal_queries_total" + of:                       31,
			"pgseal_query_duration_seconds_count" + of:        31,
			"pgseal_server_assignments_total" + of:            11,
			`pgseal_errors_total{class="22",source="server"}`: 1,
		} {
			was := 0.0
			if strings.Contains(before, "\n"+series+" ") {
				was = figure(t, before, series)
			}
			if got := figure(t, after, series) - was; got != want {
				t.Errorf("%s grew by %v, want %v", series, got, want)
			}
		}
		if n := figure(t, after, `pgseal_certificate_not_after_timestamp_seconds{kind="authority",where="database app"}`); time.Unix(int64(n), 0).Before(time.Now()) {
			t.Errorf("the authority is said to expire at %v", n)
		}
		if n := figure(t, after, `pgseal_client_logins_total{outcome="ok"}`); n != 1 {
			t.Errorf("%v logins", n)
		}
		if n := figure(t, after, "pgseal_panics_total"); n != 0 {
			t.Errorf("%v panics", n)
		}
	})
}

func TestARefusedReloadShowsInMetricsUntilItIsMended(t *testing.T) {
	t.Parallel()
	o, url := withHTTP(t, options{errors: []string{"reload failed, keeping the version in force", fileRefused, configRefused}})
	p := start(t, sharedPostgres(t, versionsSince(0)[0]), o)
	users := `pgseal_reload_failing{name="users_file"}`
	_, scrape := get(t, url+"/metrics")
	if figure(t, scrape, users) != 0 || figure(t, scrape, `pgseal_reload_failing{name="configuration"}`) != 0 {
		t.Error("a reload is said to fail")
	}
	p.writeFile(p.usersFile(), "nonsense\n")
	p.reload()
	_, scrape = get(t, url+"/metrics")
	if figure(t, scrape, users) != 1 || figure(t, scrape, `pgseal_reloads_total{name="users_file",outcome="failed"}`) != 1 {
		t.Error("a refused users_file does not show")
	}
	p.writeConfig()
	p.reload()
	_, scrape = get(t, url+"/metrics")
	if figure(t, scrape, users) != 0 || figure(t, scrape, `pgseal_reloads_total{name="configuration",outcome="ok"}`) != 2 {
		t.Error("what was mended still shows")
	}
}

func TestAReloadThatHangsHoldsUpNobodyWhoLooks(t *testing.T) {
	t.Parallel()
	o, url := withHTTP(t, consoleOptions())
	p := start(t, sharedPostgres(t, versionsSince(0)[0]), o)
	fifo := filepath.Join(shortDir(t), "audit.log") // nobody reads it: to open it takes for ever
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p.options.logs = settings{"audit_file": fifo}
	p.writeConfig()
	p.signal(syscall.SIGHUP)
	for range 100 {
		for _, page := range []string{"/metrics", "/readyz", "/"} {
			if code, body := get(t, url+page); code != 200 {
				t.Fatalf("%s answers %d %s", page, code, body)
			}
		}
	}
	if got := p.ask(t, "pgseal", "SHOW POOLS"); !strings.Contains(got, "pgbouncer") {
		t.Errorf("the pools are %q", got)
	}
	if p.log.count("configuration reloaded") != 0 {
		t.Fatal("the reload did not hang")
	}
	reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	eventually(t, patience, "the reload goes on", func() bool { return p.log.count("configuration reloaded") == 1 })
}

func TestReadinessWaitsForRequiredDatabasesAndEndsWithTheDrain(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, versionsSince(0)[0])
	o, url := withHTTP(t, options{
		databases: map[string]settings{"app": {"required": "true"}, "gone": {"required": "true", "port": strconv.Itoa(freePort(t))}},
	})
	p := start(t, pg, o)
	code, body := get(t, url+"/healthz")
	if code != 200 {
		t.Errorf("/healthz answers %d %s", code, body)
	}
	eventually(t, patience, "the database that is there is verified", func() bool {
		code, body = get(t, url+"/readyz")
		return code == 503 && strings.Contains(body, "gone") && !strings.Contains(body, "app")
	})
	if code, body := get(t, url+"/startupz"); code != 503 || !strings.Contains(body, "gone") {
		t.Errorf("/startupz answers %d %s", code, body)
	}
	delete(p.options.databases, "gone")
	p.writeConfig()
	p.reload()
	eventually(t, patience, "it is ready without that database", func() bool { code, _ = get(t, url+"/readyz"); return code == 200 })
	if code, body := get(t, url+"/startupz"); code != 200 {
		t.Errorf("/startupz answers %d %s", code, body)
	}
	conn := p.pgx(t, "app", simpleMode)
	execute(t, conn, "BEGIN")
	p.signal(syscall.SIGTERM)
	eventually(t, patience, "it is not ready while it drains", func() bool {
		code, body := get(t, url+"/readyz")
		return code == 503 && strings.Contains(body, "shutting down")
	})
	if code, body := get(t, url+"/healthz"); code != 200 {
		t.Errorf("/healthz answers %d %s while it drains", code, body)
	}
	execute(t, conn, "COMMIT")
}

func TestAnHTTPAddressInUseIsToldByItsKey(t *testing.T) {
	t.Parallel()
	o, url := withHTTP(t, options{})
	p := start(t, sharedPostgres(t, versionsSince(0)[0]), o)
	content, err := os.ReadFile(p.configFile())
	if err != nil {
		t.Fatal(err)
	}
	second := strings.ReplaceAll(string(content), fmt.Sprintf(":%d", p.port()), fmt.Sprintf(":%d", freePort(t)))
	path := filepath.Join(p.dir, "second.yaml")
	p.writeFile(path, second)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, p.options.binary, "serve", "--config", path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "http.address: listen tcp "+strings.TrimPrefix(url, "http://")) || !strings.Contains(string(out), "in use") {
		t.Errorf("it ended with %v and %s", err, out)
	}
}
