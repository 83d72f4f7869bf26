package result

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Failures is the metric that counts what went wrong. It is the only one that
// is read from samples that ended in an error as well.
const Failures = "failures"

// Lookup finds a metric in the catalogue.
func Lookup(name string) (Metric, bool) {
	i := slices.IndexFunc(Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return Metrics[i], true
}

// bookkeeping names the metrics that describe the measurement rather than the
// target, so that neither direction of them is good or bad.
var bookkeeping = []string{"load_cpu_us_per_tx", "server_conns", "reloads"}

// Judged reports whether a larger or smaller figure of this metric speaks for
// or against a target. It is false for what merely describes the measurement.
func (m Metric) Judged() bool { return !slices.Contains(bookkeeping, m.Name) }

// Has reports whether the run has a target of that name.
func (r *Run) Has(target string) bool {
	return slices.ContainsFunc(r.Targets, func(t Target) bool { return t.Name == target })
}

// Baseline is the target that the others are put in a ratio to: PgBouncer
// where it took part, else the first target; empty if there is none.
func (r *Run) Baseline() string {
	switch {
	case r.Has("pgbouncer"):
		return "pgbouncer"
	case len(r.Targets) > 0:
		return r.Targets[0].Name
	}
	return ""
}

// Problems lists every error of the run: its own, then those of samples that
// its own do not already quote, with the place where each happened.
func (r *Run) Problems() []string {
	list := slices.Clone(r.Errors)
	for i := range r.Cases {
		c := &r.Cases[i]
		for n, round := range c.Rounds {
			for _, s := range round.Samples {
				if s.Error == "" || slices.ContainsFunc(r.Errors, func(e string) bool { return strings.Contains(e, s.Error) }) {
					continue
				}
				list = append(list, fmt.Sprintf("%s, %s, round %d, %s: %s", c.Scenario, c.Name, n+1, s.Target, s.Error))
			}
		}
	}
	return list
}

// Values gives a target's figures of one metric, one for each round, NaN where
// a round has none. A sample that ended in an error has none, whatever it
// carries: to fail fast is not to be fast. Failures alone are counted there too.
func (c *Case) Values(target, metric string) []float64 {
	values := make([]float64, len(c.Rounds))
	for i, round := range c.Rounds {
		values[i] = math.NaN()
		for _, s := range round.Samples {
			if s.Target != target || s.Error != "" && metric != Failures {
				continue
			}
			if v, ok := s.Metrics[metric]; ok {
				values[i] = v
				break
			}
		}
	}
	return values
}

// MetricsOf lists the metrics that any sample of the case carries: those of
// the catalogue in its order, then the unknown ones by name, bare.
func (c *Case) MetricsOf() []Metric {
	seen := map[string]bool{}
	for _, round := range c.Rounds {
		for _, s := range round.Samples {
			for name := range s.Metrics {
				seen[name] = true
			}
		}
	}
	var list []Metric
	for _, m := range Metrics {
		if seen[m.Name] {
			list = append(list, m)
			delete(seen, m.Name)
		}
	}
	known := len(list)
	for name := range seen {
		list = append(list, Metric{Name: name, Title: name})
	}
	slices.SortFunc(list[known:], func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return list
}
