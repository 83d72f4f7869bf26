package report

import (
	"slices"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

// view is a run as it is to be shown.
type view struct {
	run      *result.Run
	baseline string // target of the ratios
	problems []string
	rounds   [2]int // fewest and most rounds of any case
	sections []section
}

// section is one scenario.
type section struct {
	scenario
	cases  []*result.Case
	tables []table
}

// scenario says what a group of cases is about.
type scenario struct {
	name, title, what string
	headline          []string // metrics worth a glance and a plot
}

// scenarios in the order they are shown. Those that are not listed follow, bare.
var scenarios = []scenario{
	{"throughput", "Throughput", "As many transactions as go through, and what each costs in CPU. CPU per transaction is the figure to trust: it holds where the machine is noisy.",
		[]string{"cpu_us_per_tx", "tps"}},
	{"statements", "Statements", "The ways in which drivers prepare: parsed, described and then bound for each query, as lib/pq does, and by clients that log in, prepare 50 statements, run each and leave, which is one transaction here.",
		[]string{"cpu_us_per_tx", "tps"}},
	{"connect", "Connect", "A full login (TCP, TLS, SCRAM), one query, close; beside it the same query on a connection that is already open.",
		[]string{"cpu_us_per_login", "logins_per_s", "login_p50_ms", "login_p99_ms", "query_open_p50_ms", "reconnect_overhead"}},
	{"latency", "Latency", "Transactions sent at a fixed rate whether or not the last one has been answered, so that waiting counts (corrected for coordinated omission).",
		[]string{"p50_ms", "p99_ms", "p999_ms", "achieved_rate"}},
	{"crowd", "Crowd", "200 clients work, alone and among thousands that are connected and say nothing.",
		[]string{"cpu_us_per_tx", "tps"}},
	{"idle", "Idle clients", "Clients that are logged in over TLS and say nothing.",
		[]string{"rss_kib_per_client"}},
	{"kept", "Kept memory", "Clients that moved 10 MB both ways, once, and say nothing since.",
		[]string{"rss_kib_per_client"}},
	{"bulk", "Bulk", "Much data on one connection.",
		[]string{"cpu_ms_per_mb", "copy_out_mb_s", "copy_in_mb_s", "rows_mb_s"}},
	{"storm", "Login storm", "Many clients log in at the same moment.",
		[]string{"storm_all_s", "storm_slowest_ms", "failures", "server_conns"}},
	{"reload", "Reload", "Certificates are replaced while clients work.",
		[]string{"failures", "quiet_p99_ms", "quiet_worst_p99_ms", "worst_p99_ms", "reloads"}},
}

// table is one metric of a scenario: a row for each case, a cell for each target.
type table struct {
	metric   result.Metric
	headline bool
	rows     []row
}

type row struct {
	name  string
	cells []cell
}

// cell is what one target did in one case.
type cell struct {
	target  string
	value   stats.Summary
	ratio   stats.Summary // to the baseline, round by round; none for the baseline itself
	verdict stats.Verdict
	failed  int // rounds that ended in an error
}

func newView(run *result.Run) view {
	v := view{run: run, baseline: run.Baseline(), problems: run.Problems()}
	for i := range run.Cases {
		n := len(run.Cases[i].Rounds)
		if i == 0 || n < v.rounds[0] {
			v.rounds[0] = n
		}
		v.rounds[1] = max(v.rounds[1], n)
	}
	for _, s := range knownAndUnknown(run) {
		sec := section{scenario: s}
		for i := range run.Cases {
			if run.Cases[i].Scenario == s.name {
				sec.cases = append(sec.cases, &run.Cases[i])
			}
		}
		if len(sec.cases) > 0 {
			sec.tables = v.tables(sec)
			v.sections = append(v.sections, sec)
		}
	}
	return v
}

// knownAndUnknown lists our scenarios, then those that only the run knows.
func knownAndUnknown(run *result.Run) []scenario {
	list := slices.Clone(scenarios)
	for _, c := range run.Cases {
		if !slices.ContainsFunc(list, func(s scenario) bool { return s.name == c.Scenario }) {
			list = append(list, scenario{name: c.Scenario, title: c.Scenario})
		}
	}
	return list
}

// tables gives the headline metrics first, then the others as catalogued.
func (v view) tables(sec section) []table {
	var metrics []result.Metric
	for _, c := range sec.cases {
		for _, m := range c.MetricsOf() {
			if !slices.Contains(metrics, m) {
				metrics = append(metrics, m)
			}
		}
	}
	rank := func(m result.Metric) int {
		if i := slices.Index(sec.headline, m.Name); i >= 0 {
			return i
		}
		if i := slices.Index(result.Metrics, m); i >= 0 {
			return len(sec.headline) + i
		}
		return len(sec.headline) + len(result.Metrics)
	}
	slices.SortStableFunc(metrics, func(a, b result.Metric) int { return rank(a) - rank(b) })
	var list []table
	for _, m := range metrics {
		t := table{metric: m, headline: len(sec.headline) == 0 || slices.Contains(sec.headline, m.Name)}
		for _, c := range sec.cases {
			if r, ok := v.row(c, m); ok {
				t.rows = append(t.rows, r)
			}
		}
		if len(t.rows) > 0 {
			list = append(list, t)
		}
	}
	return list
}

// row has no figure to show where no target was measured, and is left out.
func (v view) row(c *result.Case, m result.Metric) (row, bool) {
	r, any := row{name: c.Name}, false
	for _, t := range v.run.Targets {
		r.cells = append(r.cells, v.cell(c, m, t.Name))
		last := r.cells[len(r.cells)-1]
		any = any || last.value.N > 0 || last.failed > 0
	}
	return r, any
}

func (v view) cell(c *result.Case, m result.Metric, target string) cell {
	values := c.Values(target, m.Name)
	x := cell{target: target, value: stats.Summarize(values)}
	if target != v.baseline && m.Judged() {
		x.ratio = stats.Summarize(stats.Ratios(values, c.Values(v.baseline, m.Name)))
		x.verdict = stats.AgainstOne(x.ratio, m.Higher)
	}
	for _, round := range c.Rounds {
		for _, s := range round.Samples {
			if s.Target == target && s.Error != "" {
				x.failed++
			}
		}
	}
	return x
}

// overall is the geometric mean of a metric's ratio over all cases of a
// scenario, taken in each round and then summarized, and how many cases it is of.
func (v view) overall(sec section, m result.Metric, target string) (stats.Summary, int) {
	var ratios [][]float64
	for _, c := range sec.cases {
		r := stats.Ratios(c.Values(target, m.Name), c.Values(v.baseline, m.Name))
		if stats.Summarize(r).N > 0 {
			ratios = append(ratios, r)
		}
	}
	return stats.Summarize(stats.GeometricMeans(ratios)), len(ratios)
}
