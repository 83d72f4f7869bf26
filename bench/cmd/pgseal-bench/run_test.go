package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// call runs one command line.
func call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = runMain(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestEveryCommandHasHelpAndExitsFine(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"run", "--help"}, {"list", "--help"}, {"list"}} {
		status, out, errs := call(args...)
		if status != exitFine || len(out) < 40 || errs != "" {
			t.Errorf("%v: status %d, out %q, err %q", args, status, out, errs)
		}
	}
	_, out, _ := call("list")
	for _, name := range []string{"throughput", "connect", "latency", "idle", "bulk", "storm", "reload", "direct", "pgseal", "pgbouncer", "haproxy"} {
		if !strings.Contains(out, name) {
			t.Errorf("list does not name %s", name)
		}
	}
}

func TestWrongUsageIsOneClearLineAndStatusTwo(t *testing.T) {
	for want, args := range map[string][]string{
		"unknown command":                  {"measure"},
		"unknown scenario \"soak\"":        {"run", "--scenario", "throughput,soak"},
		"unknown built-in target":          {"run", "--targets", "direct,odyssey"},
		"duplicate target":                 {"run", "--targets", "direct,direct"},
		"x: invalid DSN":                   {"run", "--target", "x=postgresql://u:hunter2@h:99999/d"},
		"y: invalid DSN":                   {"run", "--target=y=host=h sslmode=sometimes password=hunter2"},
		"--target requires NAME=DSN":       {"run", "--target", "hunter2"},
		"--target requires NAME=DSN, with": {"run", "--target", "postgresql://u:hunter2@h/d?sslmode=disable"},
		"--pid requires NAME=PID":          {"run", "--pid", "12"},
		"duplicate target direct":          {"run", "--targets", "direct", "--target", "direct=host=h"},
		"unknown --target":                 {"run", "--pid", "x=1"},
		"is not a process ID":              {"run", "--target", "x=host=h", "--pid", "x=one"},
		"process already given":            {"run", "--target", "x=host=h", "--pid", "x=1", "--container-pid", "x=1"},
		"--clients":                        {"run", "--clients", "16,zero"},
		"from 1 to 10000":                  {"run", "--clients", "10001"},
		"--rounds 0":                       {"run", "--rounds", "0"},
		"--seconds -1":                     {"run", "--seconds", "-1"},
		"--scale 0":                        {"run", "--scale", "0"},
		"unexpected argument \"now\"":      {"run", "now"},
		"not defined: -fast":               {"run", "--fast"},
		"list takes no arguments":          {"list", "all"},
	} {
		status, out, errs := call(args...)
		if status != exitUsage || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "hunter2") {
			t.Errorf("%v: status %d, want %q in %q", args, status, want, errs)
		}
	}
	if status, _, errs := call(); status != exitUsage || !strings.Contains(errs, "Commands:") {
		t.Errorf("without a command: status %d, %q", status, errs)
	}
}

// listener answers each connection with a script, for as long as the test runs.
func listener(t *testing.T, script func(net.Conn)) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			script(conn)
			conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

func TestADSNThatNobodyAnswersIsWrong(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	status, _, errs := call("run", "--target", "staging=host=127.0.0.1 port="+port+" user=u password=hunter2 sslmode=require", "--out", t.TempDir())
	if status != exitUsage || !strings.Contains(errs, "target staging: connect: ") || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "hunter2") {
		t.Errorf("status %d, %q", status, errs)
	}
}

func TestATargetThatRefusesTLSIsToldAndNothingIsMeasured(t *testing.T) {
	port := listener(t, func(conn net.Conn) {
		io.ReadFull(conn, make([]byte, 8))
		conn.Write([]byte{'N'})
	})
	dir := t.TempDir()
	status, _, errs := call("run", "--target", "plain=host=127.0.0.1 port="+port+" user=u sslmode=require", "--out", dir)
	if status != exitUsage || !strings.Contains(errs, "the server does not support SSL") || strings.Count(errs, "\n") != 1 {
		t.Errorf("status %d, %q", status, errs)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestTheCommandToRepeatARunHoldsNoPassword(t *testing.T) {
	o, _, done := parseRun([]string{
		"--quick", "--target", "a=postgresql://u:hunter2@h/d?sslmode=disable", "--target=b=host=h password='hunter2 x' user=it's",
		"--clients", "1,2", "--pid", "a=12",
	}, io.Discard, io.Discard)
	if done {
		t.Fatal("refused")
	}
	want := `pgseal-bench run --quick --target 'a=postgresql://u@h/d?sslmode=disable' '--target=b=host=h user=it'\''s' --clients 1,2 --pid a=12`
	if o.Command != want {
		t.Errorf("got  %s\nwant %s", o.Command, want)
	}
	if len(o.BuiltIn) != 0 || len(o.External) != 2 || o.External[0].Group.Empty() || !o.External[1].Group.Empty() || !slices.Equal(o.Clients, []int{1, 2}) {
		t.Errorf("%+v", o.External)
	}
}

func TestWithoutTargetsOfTheUsersAllBuiltInOnesTakePart(t *testing.T) {
	o, _, done := parseRun(nil, io.Discard, io.Discard)
	if done || len(o.BuiltIn) != 4 || len(o.Scenarios) != 10 || o.Rounds != 3 || o.out != "bench-results" {
		t.Errorf("%+v", o)
	}
}

func TestMorePgsealsTakePartUnderNamesOfTheirOwn(t *testing.T) {
	o, _, done := parseRun([]string{
		"--targets", "pgseal,pgbouncer", "--pgseal", "./new", "--also", "old=./old", "--workers", "2,4", "--pgbouncer", "./pgbouncer",
	}, io.Discard, io.Discard)
	if done {
		t.Fatal("refused")
	}
	if want := []string{"pgseal", "pgbouncer", "old", "pgseal-2", "pgseal-4"}; !slices.Equal(o.BuiltIn, want) {
		t.Errorf("targets %q, want %q", o.BuiltIn, want)
	}
	want := []targets.Variant{{Name: "old", Program: "./old"}, {Name: "pgseal-2", Program: "./new", Workers: 2}, {Name: "pgseal-4", Program: "./new", Workers: 4}}
	if !slices.Equal(o.Variants, want) || o.PgBouncerPath != "./pgbouncer" {
		t.Errorf("%+v, %q", o.Variants, o.PgBouncerPath)
	}
	for want, args := range map[string][]string{
		`--workers: "0" is not a number`: {"--workers", "0"},
		`--workers: "x" is not a number`: {"--workers", "2,x"},
		"duplicate target pgseal":        {"--also", "pgseal=./old"},
		"duplicate target pgseal-2":      {"--workers", "2,2"},
		"duplicate target old":           {"--also", "old=./old", "--target", "old=host=h sslmode=disable"},
		"--also requires NAME=PROGRAM":   {"--also", "./old"},
	} {
		if status, out, errs := call(append([]string{"run"}, args...)...); status != exitUsage || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%v: status %d, want %q in %q", args, status, want, errs)
		}
	}
}

// The whole way, with everything real but small.
func TestAShortRunWritesAllFourOutputsWithoutErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	status, out, errs := call("run", "--quick", "--targets", "direct,pgseal", "--clients", "4", "--seconds", "1",
		"--rounds", "1", "--scale", "1", "--out", dir)
	if status != exitFine {
		t.Fatalf("status %d\n%s\n%s", status, out, errs)
	}
	if !strings.Contains(out, "THROUGHPUT") || !strings.Contains(errs, "left") {
		t.Errorf("out\n%s\nerr\n%s", out, errs)
	}
	for _, name := range []string{"report.md", "report.html"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := os.Open(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := result.ReadJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r)
}

// check looks for what every scenario has to bring.
func check(t *testing.T, r *result.Run) {
	t.Helper()
	want := map[string][]string{
		"throughput": {"tps", "cpu_us_per_tx", "load_cpu_us_per_tx", "peak_rss_kib", "p99_ms"},
		"connect":    {"logins_per_s", "login_p50_ms", "cpu_us_per_login", "query_open_p50_ms", "reconnect_overhead"},
		"latency":    {"p50_ms", "p999_ms", "achieved_rate"},
		"crowd":      {"tps", "cpu_us_per_tx", "p99_ms"},
		"kept":       {"rss_kib_per_client"},
		"idle":       {"rss_kib_per_client"},
		"bulk":       {"copy_out_mb_s", "copy_in_mb_s", "rows_mb_s", "cpu_ms_per_mb"},
		"storm":      {"storm_all_s", "storm_slowest_ms", "server_conns"},
		"reload":     {"reloads", "quiet_p99_ms", "quiet_worst_p99_ms", "worst_p99_ms"},
	}
	for _, c := range r.Cases {
		for _, metric := range want[c.Scenario] {
			if got := c.Values("pgseal", metric); len(got) != 1 || !(got[0] > 0) {
				t.Errorf("%s, %s: %s of pgseal is %v", c.Scenario, c.Name, metric, got)
			}
		}
		if got := c.Values("direct", "cpu_us_per_tx"); len(got) > 0 && got[0] == got[0] {
			t.Errorf("%s: direct has a cost of %v", c.Scenario, got)
		}
		delete(want, c.Scenario)
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
	if r.Meta.LoadCPU <= 0 || r.Meta.PostgreSQL == "" || r.Meta.Cores < 1 || !strings.HasPrefix(r.Meta.Command, "pgseal-bench run --quick") {
		t.Errorf("%+v", r.Meta)
	}
}
