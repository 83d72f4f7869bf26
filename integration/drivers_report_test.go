package integration

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// compatibilityPage holds the table of what the programs of all drivers print.
// PGSEAL_TEST_UPDATE=1 writes it; without that a test compares it.
const compatibilityPage = "../docs/compatibility.md"

const (
	tableBegins = "<!-- written by make compatibility -->\n"
	tableEnds   = "<!-- end -->\n"
)

// driverReport gathers what the programs print: a mark for each driver and
// step, the worst of all versions and routes.
type driverReport struct {
	mu       sync.Mutex
	releases map[string]string // by driver
	marks    map[string]string // by driver and step: "ok", "n/a", "FAIL"
	failures []string
}

func newDriverReport() *driverReport {
	return &driverReport{releases: map[string]string{}, marks: map[string]string{}}
}

// worse lists marks from the best to the worst.
var worse = []string{"", "ok", "n/a", "FAIL"}

func (r *driverReport) mark(driver, step, mark string) {
	if key := driver + "/" + step; slices.Index(worse, mark) > slices.Index(worse, r.marks[key]) {
		r.marks[key] = mark
	}
}

// add takes the lines of one run. Where is the run, for failures.
func (r *driverReport) add(driver, where string, lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	open := slices.Clone(driverSteps)
	for _, line := range lines {
		what, rest, _ := strings.Cut(line, " ")
		step, _, _ := strings.Cut(rest, ": ")
		switch i := slices.Index(open, step); {
		case what == "version":
			r.releases[driver] = rest
		case i < 0 || !slices.Contains(worse[1:], what):
			r.failures = append(r.failures, fmt.Sprintf("%s, %s: it prints %q", driver, where, line))
		default:
			open = slices.Delete(open, i, i+1)
			r.mark(driver, step, what)
			if what == "FAIL" {
				r.failures = append(r.failures, fmt.Sprintf("%s, %s: %s", driver, where, line))
			}
		}
	}
	for _, step := range open {
		r.mark(driver, step, "FAIL")
		r.failures = append(r.failures, fmt.Sprintf("%s, %s: it did not come to %s", driver, where, step))
	}
}

// table returns the marks as the page has them. Releases are left out where
// only the marks matter.
func (r *driverReport) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| driver | release | PostgreSQL | %s |\n|---|---|---|%s\n",
		strings.Join(driverSteps, " | "), strings.Repeat("---|", len(driverSteps)))
	for _, d := range drivers {
		fmt.Fprintf(&b, "| %s | %s | %s |", d.name, r.releases[d.name], strings.Join(versions, ", "))
		for _, step := range driverSteps {
			fmt.Fprintf(&b, " %s |", map[string]string{"ok": "✓", "n/a": "–", "FAIL": "**no**"}[r.marks[d.name+"/"+step]])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// check fails the test for every step that failed, and where the page shows
// other marks than the programs have earned.
func (r *driverReport) check(t *testing.T) {
	t.Helper()
	for _, f := range slices.Sorted(slices.Values(r.failures)) {
		t.Error(f)
	}
	page, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), tableBegins)
	old, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no table", compatibilityPage)
	}
	table := r.table()
	if os.Getenv("PGSEAL_TEST_UPDATE") != "" {
		replace(t, compatibilityPage, []byte(before+tableBegins+"\n"+table+"\n"+tableEnds+after), 0o644)
		return
	}
	if shown, earned := marksOf(old), marksOf(table); !maps.Equal(shown, earned) {
		t.Errorf("the marks in %s are stale: it shows\n%v\nand the drivers have earned\n%v\nrun make compatibility", compatibilityPage, shown, earned)
	}
}

// marksOf returns the marks in a table by driver, without releases, which
// depend on the machine.
func marksOf(table string) map[string]string {
	marks := map[string]string{}
	for line := range strings.Lines(table) {
		if cells := strings.SplitN(strings.TrimSpace(line), "|", 5); len(cells) == 5 {
			marks[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[4])
		}
	}
	return marks
}

func TestTheCompatibilityPageTakesTheWorstMarkOfAllRuns(t *testing.T) {
	t.Parallel()
	r := newDriverReport()
	fine := []string{"version 1"}
	for _, step := range driverSteps {
		fine = append(fine, "ok "+step)
	}
	r.add("pgx", "first run", fine)
	if len(r.failures) != 0 {
		t.Fatalf("failures %q, want none", r.failures)
	}
	r.add("pgx", "second run", append([]string{"FAIL connect: refused"}, fine[2:len(fine)-1]...))
	if len(r.failures) != 2 || !strings.Contains(r.failures[0], "FAIL connect: refused") || !strings.Contains(r.failures[1], "did not come to reconnect") {
		t.Errorf("failures %q", r.failures)
	}
	got := marksOf(r.table())["pgx"]
	if want := "**no** |" + strings.Repeat(" ✓ |", len(driverSteps)-2) + " **no** |"; got != want {
		t.Errorf("marks %q, want %q", got, want)
	}
}
