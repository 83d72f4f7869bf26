package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/resulttest"
)

func saved(t *testing.T, run *result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := result.WriteJSON(&b, run); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func compared(args ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = runCompare(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestCompareExitsZeroWhereNothingGotWorse(t *testing.T) {
	status, out, errs := compared(saved(t, resulttest.Run(1, 5)), saved(t, resulttest.Run(2, 5)))
	if status != 0 || errs != "" || !strings.Contains(out, "0 improved, 0 worse") || !strings.Contains(out, "held against: pgbouncer") {
		t.Errorf("status %d, stderr %q:\n%s", status, errs, out)
	}
}

func TestCompareExitsOneWhereSomethingGotWorse(t *testing.T) {
	dear := resulttest.Run(2, 5)
	resulttest.Scale(dear, "pgseal", "cpu_us_per_tx", 1.25)
	old, now := saved(t, resulttest.Run(1, 5)), saved(t, dear)
	for _, tc := range []struct {
		args []string
		want int
	}{
		{[]string{old, now}, 1},
		{[]string{now, old}, 0},
		{[]string{old, now, "--threshold", "50"}, 0},
		{[]string{old, "--threshold=10", now}, 1},
		{[]string{"--metric", "tps", old, now}, 0},
		{[]string{"--metric", "tps", "--metric", "cpu_us_per_tx", old, now}, 1},
	} {
		if status, out, errs := compared(tc.args...); status != tc.want {
			t.Errorf("%v: status %d, want %d, stderr %q:\n%s", tc.args[2:], status, tc.want, errs, out)
		}
	}
}

func TestCompareExitsTwoWithOneClearLineWhereItCannotCompare(t *testing.T) {
	good := saved(t, resulttest.Run(1, 5))
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"version":7,"targets":[{"name":"a"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	other := resulttest.Run(1, 5)
	other.Targets = []result.Target{{Name: "stranger"}}
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "got 0 files"},
		{"one file", []string{good}, "got 1 files"},
		{"three files", []string{good, good, good}, "got 3 files"},
		{"no such file", []string{good, filepath.Join(t.TempDir(), "none.json")}, "no such file"},
		{"another layout", []string{good, broken}, "broken.json: read results: layout of another version: 7"},
		{"an unknown flag", []string{"--moon", good, good}, "-moon"},
		{"an unknown metric", []string{"--metric", "happiness", good, good}, "known are tps"},
		{"a negative threshold", []string{"--threshold", "-1", good, good}, "from 0 up"},
		{"a threshold that is no number", []string{"--threshold", "NaN", good, good}, "from 0 up"},
		{"nothing in common", []string{good, saved(t, other)}, "in common"},
		{"nothing that could be decided", []string{good, saved(t, resulttest.Run(1, 2)), "--metric", "tps"}, "run more rounds"},
	} {
		status, _, errs := compared(tc.args...)
		if status != 2 || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: status %d, stderr %q, want %q in it", tc.name, status, errs, tc.want)
		}
	}
}

func TestCompareExplainsItself(t *testing.T) {
	status, _, errs := compared("--help")
	for _, want := range []string{"OLD.json NEW.json", "-threshold", "-metric"} {
		if status != 0 || !strings.Contains(errs, want) {
			t.Errorf("status %d, %q is missing from:\n%s", status, want, errs)
		}
	}
}
