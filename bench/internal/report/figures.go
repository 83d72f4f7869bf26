package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

// figure is a plot with the words around it.
type figure struct {
	Title string
	Note  string // unit and what is better
	Plot  scene
}

// percentiles are the columns of a latency plot.
var percentiles = []struct{ metric, name string }{
	{"p50_ms", "p50"}, {"p90_ms", "p90"}, {"p99_ms", "p99"}, {"p999_ms", "p99.9"},
}

// glance lists the metrics of the overview, by scenario and metric.
var glance = [][2]string{
	{"throughput", "cpu_us_per_tx"}, {"throughput", "tps"},
	{"connect", "cpu_us_per_login"}, {"connect", "logins_per_s"}, {"connect", "login_p99_ms"},
	{"latency", "p50_ms"}, {"latency", "p99_ms"}, {"crowd", "cpu_us_per_tx"},
	{"idle", "rss_kib_per_client"}, {"kept", "rss_kib_per_client"},
	{"bulk", "cpu_ms_per_mb"}, {"bulk", "copy_out_mb_s"}, {"bulk", "copy_in_mb_s"}, {"bulk", "rows_mb_s"},
	{"storm", "storm_all_s"}, {"reload", "worst_p99_ms"},
}

func (v view) names() []string {
	var list []string
	for _, t := range v.run.Targets {
		list = append(list, t.Name)
	}
	return list
}

// overview has one figure for each target but the baseline, all on one scale.
func (v view) overview() []figure {
	var plots []ratioPlot
	reach, style := 0.0, styles(v.names())
	for _, target := range v.names() {
		if target == v.baseline {
			continue
		}
		p := ratioPlot{what: fmt.Sprintf("%s against %s", plain(target), plain(v.baseline)), baseline: v.baseline, style: style[target]}
		for _, g := range glance {
			if r, ok := v.glanceRow(g[0], g[1], target); ok {
				p.rows = append(p.rows, r)
			}
		}
		if len(p.rows) > 0 {
			plots = append(plots, p)
			reach = max(reach, reachOf(p.rows))
		}
	}
	var list []figure
	for _, p := range plots {
		p.reach = reach
		list = append(list, figure{Title: p.what, Note: "ratio of the figures; bars to the right are better, to the left worse", Plot: p.draw()})
	}
	return list
}

func (v view) glanceRow(scenario, metric, target string) (ratioRow, bool) {
	m, _ := result.Lookup(metric)
	for _, sec := range v.sections {
		if sec.name != scenario {
			continue
		}
		r, cases := v.overall(sec, m, target)
		name := capital(m.Title)
		if cases > 1 {
			name += fmt.Sprintf(" (%d cases)", cases)
		}
		return ratioRow{name: name, ratio: r, higher: m.Higher}, r.N > 0
	}
	return ratioRow{}, false
}

// figures are the plots of one scenario.
func (v view) figures(sec section) []figure {
	if sec.name == "latency" {
		return v.latencyFigures(sec)
	}
	var list []figure
	for _, t := range sec.tables {
		if t.headline {
			list = append(list, v.metricFigures(sec, t.metric)...)
		}
	}
	return list
}

// group holds the cases that differ in their clients only.
type group struct {
	name, workload string
	cases          []*result.Case
}

func groups(cases []*result.Case) []group {
	var list []group
	for _, c := range cases {
		name := strings.Trim(c.Workload+", "+c.Protocol, ", ")
		i := slices.IndexFunc(list, func(g group) bool { return g.name == name })
		if i < 0 {
			i = len(list)
			list = append(list, group{name: name, workload: c.Workload})
		}
		list[i].cases = append(list[i].cases, c)
	}
	for _, g := range list {
		slices.SortStableFunc(g.cases, func(a, b *result.Case) int { return a.Clients - b.Clients })
	}
	return list
}

// overClients reports whether the group can be drawn over its clients.
func (g group) overClients() bool {
	for i, c := range g.cases {
		if c.Clients <= 0 || i > 0 && c.Clients == g.cases[i-1].Clients {
			return false
		}
	}
	return len(g.cases) > 1
}

func (v view) metricFigures(sec section, m result.Metric) []figure {
	all := groups(sec.cases)
	most := map[string]float64{} // plots of one workload share their scale
	for _, g := range all {
		for _, s := range v.series(g.cases, m.Name) {
			for _, value := range s.values {
				most[g.workload] = max(most[g.workload], value.High)
			}
		}
	}
	var list []figure
	for _, g := range all {
		if g.overClients() {
			if f, ok := v.clientsFigure(g, m, most[g.workload]); ok {
				list = append(list, f)
			}
			continue
		}
		for _, c := range g.cases {
			if f, ok := v.barFigure(c, m); ok {
				list = append(list, f)
			}
		}
	}
	return list
}

func (v view) clientsFigure(g group, m result.Metric, most float64) (figure, bool) {
	title := capital(m.Title)
	if g.name != "" {
		title += ": " + plain(g.name)
	}
	p := linePlot{what: title + ", over clients, " + direction(m), below: "clients", unit: m.Unit, most: most}
	first, last := float64(g.cases[0].Clients), float64(g.cases[len(g.cases)-1].Clients)
	for _, c := range g.cases {
		p.columns = append(p.columns, number(float64(c.Clients)))
		p.at = append(p.at, math.Log(float64(c.Clients)/first)/math.Log(last/first))
	}
	p.series = measured(v.series(g.cases, m.Name))
	return figure{Title: title, Note: note(m), Plot: p.draw()}, len(p.series) > 0
}

func (v view) barFigure(c *result.Case, m result.Metric) (figure, bool) {
	title := capital(m.Title)
	p := barPlot{what: title + ", " + plain(c.Name) + ", " + direction(m), unit: m.Unit}
	p.series = v.series([]*result.Case{c}, m.Name)
	for _, s := range p.series {
		x, text := v.cell(c, m, s.name), ""
		if x.ratio.N > 0 {
			text = "(" + ratio(x.ratio.Median) + " " + judged(x.verdict) + ")"
			if x.verdict == stats.Undecided {
				text = "(" + ratio(x.ratio.Median) + ")"
			}
		}
		p.notes = append(p.notes, text)
	}
	return figure{Title: title + ": " + plain(c.Name), Note: note(m), Plot: p.draw()}, len(measured(p.series)) > 0
}

func (v view) latencyFigures(sec section) []figure {
	var list []figure
	for _, c := range sec.cases {
		p := linePlot{below: "share of transactions answered within", unit: "ms", log: true}
		for i, q := range percentiles {
			p.columns = append(p.columns, q.name)
			p.at = append(p.at, float64(i)/float64(len(percentiles)-1))
		}
		for _, s := range v.series([]*result.Case{c}, percentiles[0].metric) {
			s.values = nil
			for _, q := range percentiles {
				s.values = append(s.values, stats.Summarize(c.Values(s.name, q.metric)))
			}
			p.series = append(p.series, s)
		}
		title := "Latency: " + plain(c.Name)
		if c.Rate > 0 {
			title += fmt.Sprintf(", %s tx/s", number(c.Rate))
		}
		p.what = title + ", percentiles, lower is better"
		if p.series = measured(p.series); len(p.series) > 0 {
			list = append(list, figure{Title: title, Note: "ms on a logarithmic scale, lower is better", Plot: p.draw()})
		}
	}
	return list
}

// series has one for each target, with a value for each case.
func (v view) series(cases []*result.Case, metric string) []series {
	style := styles(v.names())
	var list []series
	for _, name := range v.names() {
		s := series{name: name, style: style[name]}
		for _, c := range cases {
			s.values = append(s.values, stats.Summarize(c.Values(name, metric)))
		}
		list = append(list, s)
	}
	return list
}

// measured keeps the series that have anything to show.
func measured(list []series) []series {
	return slices.DeleteFunc(slices.Clone(list), func(s series) bool {
		return !slices.ContainsFunc(s.values, func(v stats.Summary) bool { return v.N > 0 })
	})
}

func note(m result.Metric) string {
	if m.Unit == "" || m.Unit == "×" {
		return direction(m)
	}
	return m.Unit + ", " + direction(m)
}

func capital(s string) string {
	r := []rune(plain(s))
	if len(r) == 0 || len(r) > 1 && string(r[1]) == strings.ToUpper(string(r[1])) && r[1] != ' ' && r[1] != ',' {
		return string(r) // COPY, CPU, p50
	}
	return strings.ToUpper(string(r[0])) + string(r[1:])
}
