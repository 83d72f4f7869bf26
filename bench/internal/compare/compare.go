package compare

import (
	"fmt"
	"slices"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

// peers are what others are held against, the best yardstick first.
var peers = []string{"pgbouncer", "haproxy", "direct"}

// parts are figures that another figure contains. They are compared on request
// only: to judge the same thing three times makes three times the false alarms.
var parts = []string{"user_us_per_tx", "system_us_per_tx"}

// Options are what a user may choose.
type Options struct {
	Metrics   []string // compared; empty for all that speak for or against a target
	Threshold float64  // least gap between intervals that counts, as a fraction
}

// Comparison is what Runs found.
type Comparison struct {
	Changes []Change // in the order of the new run
	Notes   []string // what could not be compared, and what differs around it
}

// Change is one metric of one target in one case, whether it changed or not.
type Change struct {
	Scenario, Case, Target string
	Metric                 result.Metric
	Peer                   string // of the ratios; empty where figures are compared themselves
	Before, After          stats.Summary
	Verdict                stats.Verdict
	Why                    string // for a verdict that no figures give, such as an error
}

// Runs compares new with old: every target in both that is not a peer, or the
// peers themselves where nothing else is in both.
func Runs(old, new *result.Run, opt Options) Comparison {
	var out Comparison
	out.Notes = circumstances(old.Meta, new.Meta)
	for _, p := range new.Problems() {
		out.Notes = append(out.Notes, "error in the new run: "+p)
	}
	targets := judged(old, new)
	for _, t := range old.Targets {
		if !new.Has(t.Name) {
			out.Notes = append(out.Notes, fmt.Sprintf("target %s is in the old run only", t.Name))
		}
	}
	for i := range new.Cases {
		after := &new.Cases[i]
		before := find(old, after)
		if before == nil {
			out.Notes = append(out.Notes, fmt.Sprintf("%s, %s: in the new run only", after.Scenario, after.Name))
			continue
		}
		for _, target := range targets {
			out.Changes = append(out.Changes, changes(before, after, target, opt)...)
		}
	}
	for i := range old.Cases {
		if find(new, &old.Cases[i]) == nil {
			out.Notes = append(out.Notes, fmt.Sprintf("%s, %s: in the old run only", old.Cases[i].Scenario, old.Cases[i].Name))
		}
	}
	return out
}

// Count says how many changes got that verdict.
func (c Comparison) Count(v stats.Verdict) int {
	n := 0
	for _, change := range c.Changes {
		if change.Verdict == v {
			n++
		}
	}
	return n
}

func circumstances(old, new result.Meta) []string {
	var list []string
	for _, f := range []struct{ name, old, new string }{
		{"CPU", old.CPU, new.CPU},
		{"cores", fmt.Sprint(old.Cores), fmt.Sprint(new.Cores)},
		{"kernel", old.Kernel, new.Kernel},
		{"PostgreSQL", old.PostgreSQL, new.PostgreSQL},
		{"load", old.Load, new.Load},
	} {
		if f.old != f.new {
			list = append(list, fmt.Sprintf("%s differs: %s, then %s", f.name, f.old, f.new))
		}
	}
	return list
}

func judged(old, new *result.Run) []string {
	var ours, all []string
	for _, t := range new.Targets {
		if !old.Has(t.Name) {
			continue
		}
		all = append(all, t.Name)
		if !slices.Contains(peers, t.Name) {
			ours = append(ours, t.Name)
		}
	}
	if len(ours) > 0 {
		return ours
	}
	return all
}

func find(run *result.Run, c *result.Case) *result.Case {
	for i := range run.Cases {
		if run.Cases[i].Scenario == c.Scenario && run.Cases[i].Name == c.Name {
			return &run.Cases[i]
		}
	}
	return nil
}

func changes(before, after *result.Case, target string, opt Options) []Change {
	var list []Change
	if c, ok := broken(before, after, target); ok {
		list = append(list, c)
	}
	for _, m := range before.MetricsOf() {
		if !wanted(m, opt) {
			continue
		}
		if c, ok := change(before, after, target, m, opt.Threshold); ok {
			list = append(list, c)
		}
	}
	return list
}

func wanted(m result.Metric, opt Options) bool {
	if len(opt.Metrics) > 0 {
		return slices.Contains(opt.Metrics, m.Name)
	}
	_, known := result.Lookup(m.Name)
	return known && m.Judged() && !slices.Contains(parts, m.Name)
}

// broken finds a target that ends in errors more often than before: no figure
// of the rounds that went well makes up for it.
func broken(before, after *result.Case, target string) (Change, bool) {
	was, is := errorsOf(before, target), errorsOf(after, target)
	if is <= was {
		return Change{}, false
	}
	return Change{
		Scenario: after.Scenario, Case: after.Name, Target: target, Verdict: stats.Worse,
		Metric: result.Metric{Name: "error", Title: "rounds with an error"},
		Why:    fmt.Sprintf("%d of %d, before %d of %d", is, len(after.Rounds), was, len(before.Rounds)),
	}, true
}

func errorsOf(c *result.Case, target string) int {
	n := 0
	for _, round := range c.Rounds {
		for _, s := range round.Samples {
			if s.Target == target && s.Error != "" {
				n++
			}
		}
	}
	return n
}

func change(before, after *result.Case, target string, m result.Metric, threshold float64) (Change, bool) {
	c := Change{Scenario: after.Scenario, Case: after.Name, Target: target, Metric: m}
	was, is := before.Values(target, m.Name), after.Values(target, m.Name)
	if m.Name == result.Failures {
		return failures(c, was, is)
	}
	c.Before, c.After = stats.Summarize(was), stats.Summarize(is)
	if c.Before.N == 0 && c.After.N == 0 {
		return c, false
	}
	if c.After.N == 0 || c.Before.N == 0 {
		c.Verdict, c.Why = stats.Undecided, "measured in one of the runs only"
		return c, true
	}
	for _, peer := range peers {
		a := stats.Summarize(stats.Ratios(was, before.Values(peer, m.Name)))
		b := stats.Summarize(stats.Ratios(is, after.Values(peer, m.Name)))
		if peer != target && min(a.N, b.N) >= min(c.Before.N, c.After.N, stats.MinRounds) {
			c.Peer, c.Before, c.After = peer, a, b
			break
		}
	}
	c.Verdict = stats.Judge(c.Before, c.After, m.Higher, threshold)
	return c, true
}

// failures are not held against a peer's and need no interval: the first one
// where there was none is worse, in whichever round it happened.
func failures(c Change, was, is []float64) (Change, bool) {
	c.Before, c.After = stats.Summarize(was), stats.Summarize(is)
	switch {
	case c.Before.N == 0 || c.After.N == 0:
		return c, false
	case c.Before.Max == 0 && c.After.Max > 0:
		c.Verdict, c.Why = stats.Worse, fmt.Sprintf("up to %.0f in a round, before none", c.After.Max)
	case c.Before.Max > 0 && c.After.Max == 0:
		c.Verdict, c.Why = stats.Improved, fmt.Sprintf("none, before up to %.0f in a round", c.Before.Max)
	default:
		c.Verdict = stats.Judge(c.Before, c.After, false, stats.Threshold)
	}
	return c, true
}
