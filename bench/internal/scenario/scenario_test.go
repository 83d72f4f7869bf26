package scenario

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/proc"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

func env(o Options) *Env { return &Env{Options: o, Files: 1 << 20} }

func names(list []*Case) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

func TestAFullThroughputPlanCrossesWorkloadsProtocolsAndClients(t *testing.T) {
	plan := throughput(env(Options{}))
	got := names(plan)
	if len(got) != 2*3*4 || !slices.Contains(got, "TPC-B, prepared, 1000 clients") || !slices.Contains(got, "select-only, simple, 1 client") {
		t.Errorf("%q", got)
	}
}

func TestAQuickPlanOfAllScenariosIsShort(t *testing.T) {
	const fourTargets, rounds = 4, 3
	total := time.Duration(0)
	for _, s := range All {
		for _, c := range s.Plan(env(Options{Quick: true})) {
			if c.Scenario != s.Name || c.Take == nil || c.LeaveOut == nil {
				t.Errorf("%s: %+v", s.Name, c.Case)
			}
			total += fourTargets * rounds * c.Sample
		}
	}
	if total > 4*time.Minute {
		t.Errorf("it would take %v", total)
	}
}

func TestClientsAndSecondsOfTheUserHoldInEveryScenario(t *testing.T) {
	for _, s := range All {
		plan := s.Plan(env(Options{Clients: []int{7}, Seconds: 4}))
		for _, c := range plan {
			if c.Clients != 7 && s.Name != "bulk" {
				t.Errorf("%s: %d clients", s.Name, c.Clients)
			}
			if slices.Contains([]string{"throughput", "statements", "connect", "latency", "reload"}, s.Name) && c.Sample < 4*time.Second {
				t.Errorf("%s: a sample of %v", s.Name, c.Sample)
			}
		}
		seen := map[string]bool{}
		for _, c := range s.Plan(env(Options{Clients: []int{3, 5}})) {
			if seen[c.Name] {
				t.Errorf("%s: two cases are called %q", s.Name, c.Name)
			}
			seen[c.Name] = true
		}
	}
}

func TestScenariosAreFoundByName(t *testing.T) {
	for _, want := range []string{"throughput", "connect", "latency", "crowd", "idle", "kept", "bulk", "storm", "reload"} {
		if s, ok := Find(want); !ok || s.Name != want {
			t.Errorf("%s: %v, %v", want, s.Name, ok)
		}
	}
	if _, ok := Find("soak"); ok {
		t.Error("found what there is not")
	}
}

func caseNamed(t *testing.T, plan []*Case, name string) *Case {
	t.Helper()
	i := slices.IndexFunc(plan, func(c *Case) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no %q in %q", name, names(plan))
	}
	return plan[i]
}

func TestATargetWithoutPreparedStatementsIsLeftOutOfThatCaseOnly(t *testing.T) {
	plan := throughput(env(Options{}))
	old := &targets.Target{Name: "old", NoPrepared: "too old"}
	if why := caseNamed(t, plan, "select-only, prepared, 16 clients").LeaveOut(old); why != "too old" {
		t.Errorf("prepared: %q", why)
	}
	if why := caseNamed(t, plan, "select-only, extended, 16 clients").LeaveOut(old); why != "" {
		t.Errorf("extended: %q", why)
	}
}

func TestMoreClientsThanConnectionsLeaveATargetOut(t *testing.T) {
	direct := &targets.Target{Name: "direct", MaxClients: 290}
	for name, plan := range map[string][]*Case{
		"select-only, simple, 1000 clients": throughput(env(Options{})),
		"500 logins at once":                storm(env(Options{})),
	} {
		c := caseNamed(t, plan, name)
		if why := c.LeaveOut(direct); !strings.Contains(why, "290") {
			t.Errorf("%s: %q", name, why)
		}
		if why := c.LeaveOut(&targets.Target{Name: "pooler"}); why != "" {
			t.Errorf("%s leaves a pooler out: %q", name, why)
		}
	}
}

func TestIdleMemoryNeedsAProcessAndEnoughFiles(t *testing.T) {
	mine, err := targets.External("mine", "host=127.0.0.1 sslmode=disable", proc.Tree(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	e := env(Options{})
	e.Files = 4096
	plan := idle(e)
	if why := plan[0].LeaveOut(&targets.Target{}); !strings.Contains(why, "no process") {
		t.Errorf("without a process: %q", why)
	}
	if why := plan[0].LeaveOut(mine); why != "" {
		t.Errorf("1000 clients: %q", why)
	}
	if why := plan[1].LeaveOut(mine); !strings.Contains(why, "10200") || !strings.Contains(why, "4096") {
		t.Errorf("10000 clients: %q", why)
	}
}

func TestOnlyATargetWhoseCertificateIsOursIsReloaded(t *testing.T) {
	c := reload(env(Options{}))[0]
	if why := c.LeaveOut(&targets.Target{}); why == "" {
		t.Error("a foreign target takes part")
	}
}

func TestTheCostOfASampleIsDividedByItsTransactions(t *testing.T) {
	e := env(Options{})
	mine, err := targets.External("mine", "host=127.0.0.1 sslmode=disable", proc.Tree(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	m := e.begin(mine)
	for begin := proc.Own(); proc.Own().Sub(begin).Total() < 200*time.Millisecond; {
	}
	metrics := Metrics{}
	if err := m.end(metrics, 1000, 2000); err != nil {
		t.Fatal(err)
	}
	if got := metrics["cpu_us_per_tx"]; got < 170 {
		t.Errorf("%v µs a transaction, want 200 or more", got)
	}
	if got := metrics["user_us_per_tx"] + metrics["system_us_per_tx"]; math.Abs(got-metrics["cpu_us_per_tx"]) > 1e-6 {
		t.Errorf("user and system make %v of %v", got, metrics["cpu_us_per_tx"])
	}
	if got := metrics["load_cpu_us_per_tx"]; got < 90 || e.LoadCPU < 180*time.Millisecond {
		t.Errorf("the load took %v µs a transaction, %v in all", got, e.LoadCPU)
	}
	if metrics["peak_rss_kib"] <= 0 {
		t.Error("no peak of memory")
	}
}

func TestATargetWithoutAProcessHasNoFiguresOfCost(t *testing.T) {
	e := env(Options{})
	m := e.begin(&targets.Target{Name: "direct"})
	metrics := Metrics{}
	if err := m.end(metrics, 10, 10); err != nil {
		t.Fatal(err)
	}
	for name := range metrics {
		if name != "load_cpu_us_per_tx" {
			t.Errorf("it has %s", name)
		}
	}
}

func TestEveryMetricThatIsMeasuredIsInTheCatalogue(t *testing.T) {
	h := load.NewHistogram()
	h.Record(time.Millisecond)
	metrics := Metrics{}
	addPercentiles(metrics, h)
	for name := range metrics {
		if _, ok := result.Lookup(name); !ok {
			t.Errorf("%s is not", name)
		}
	}
	empty := Metrics{}
	addPercentiles(empty, load.NewHistogram())
	if len(empty) > 0 {
		t.Errorf("no latencies gave %v", empty)
	}
}

func TestTheWorstSecondAndAQuietOneAreToldApart(t *testing.T) {
	p := newPerSecond(4)
	for second, ms := range []int{1, 3, 50, 2} {
		for range 100 {
			p.observe(time.Duration(second)*time.Second+time.Millisecond, time.Duration(ms)*time.Millisecond)
		}
	}
	p.observe(time.Hour, time.Hour) // beyond the last second
	if got := p.median(0, 2); math.Abs(got-2) > 0.01 {
		t.Errorf("a quiet second: %v", got)
	}
	if got := p.worst(2, 4); math.Abs(got-50) > 0.1 {
		t.Errorf("the worst second: %v", got)
	}
}

func TestFailuresAreToldWithTheFirst(t *testing.T) {
	lost := errors.New("connection lost")
	if err := failed(3, "logins", lost); !errors.Is(err, lost) || !strings.Contains(err.Error(), "3 logins failed") {
		t.Errorf("got %v", err)
	}
	if err := failed(0, "logins", nil); err != nil {
		t.Errorf("none failed: %v", err)
	}
}
