package compare

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/resulttest"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

var usual = Options{Threshold: stats.Threshold}

func worse(c Comparison) []string {
	var list []string
	for _, change := range c.Changes {
		if change.Verdict == stats.Worse {
			list = append(list, change.Target+" "+change.Metric.Name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestARunAgainstItselfShowsNothing(t *testing.T) {
	c := Runs(resulttest.Run(1, 5), resulttest.Run(1, 5), usual)
	if n := c.Count(stats.Within); n != len(c.Changes) || n < 50 {
		t.Errorf("%d of %d within the noise", n, len(c.Changes))
	}
}

func TestNoiseOfAnotherRunIsNoChange(t *testing.T) {
	for seed := range uint64(10) {
		c := Runs(resulttest.Run(100+seed, 5), resulttest.Run(200+seed, 5), usual)
		if n := c.Count(stats.Worse) + c.Count(stats.Improved); n > 0 {
			t.Errorf("seed %d: %d changes found in noise", seed, n)
		}
	}
}

func TestAMachineThatIsTwiceAsSlowChangesNothing(t *testing.T) {
	slow := resulttest.Run(2, 5)
	for _, target := range resulttest.Targets {
		resulttest.Scale(slow, target, "cpu_us_per_tx", 2)
		resulttest.Scale(slow, target, "tps", 0.5)
	}
	if got := worse(Runs(resulttest.Run(1, 5), slow, usual)); len(got) > 0 {
		t.Errorf("got worse: %v", got)
	}
}

func TestATargetThatCostsMoreIsFoundAndNothingElse(t *testing.T) {
	dear := resulttest.Run(2, 5)
	resulttest.Scale(dear, "pgseal", "cpu_us_per_tx", 1.25)
	c := Runs(resulttest.Run(1, 5), dear, usual)
	if got := worse(c); !slices.Equal(got, []string{"pgseal cpu_us_per_tx"}) {
		t.Errorf("got %v", got)
	}
	if n := c.Count(stats.Worse); n != 24 {
		t.Errorf("found in %d of 24 cases", n)
	}
	for _, change := range c.Changes {
		if change.Verdict == stats.Worse && change.Peer != "pgbouncer" {
			t.Errorf("%s was held against %q", change.Metric.Name, change.Peer)
		}
	}
}

func TestTheSameChangeTheOtherWayRoundIsAnImprovement(t *testing.T) {
	dear := resulttest.Run(2, 5)
	resulttest.Scale(dear, "pgseal", "cpu_us_per_tx", 1.25)
	c := Runs(dear, resulttest.Run(1, 5), usual)
	if c.Count(stats.Improved) != 24 || c.Count(stats.Worse) != 0 {
		t.Errorf("%d improved, %d worse", c.Count(stats.Improved), c.Count(stats.Worse))
	}
}

func TestALargerThresholdForgivesASmallerChange(t *testing.T) {
	dear := resulttest.Run(2, 5)
	resulttest.Scale(dear, "pgseal", "cpu_us_per_tx", 1.25)
	if n := Runs(resulttest.Run(1, 5), dear, Options{Threshold: 0.5}).Count(stats.Worse); n != 0 {
		t.Errorf("%d worse", n)
	}
}

func TestOnlyTheMetricsAskedForAreCompared(t *testing.T) {
	c := Runs(resulttest.Run(1, 5), resulttest.Run(2, 5), Options{Metrics: []string{"user_us_per_tx"}, Threshold: 0.05})
	for _, change := range c.Changes {
		if change.Metric.Name != "user_us_per_tx" {
			t.Fatalf("compared %s", change.Metric.Name)
		}
	}
	if len(c.Changes) != 24 {
		t.Errorf("got %d comparisons, want 24", len(c.Changes))
	}
}

func TestFiguresThatDescribeTheMeasurementAreNotJudged(t *testing.T) {
	for _, change := range Runs(resulttest.Run(1, 5), resulttest.Run(2, 5), usual).Changes {
		switch change.Metric.Name {
		case "reloads", "server_conns", "load_cpu_us_per_tx", "user_us_per_tx", "system_us_per_tx":
			t.Fatalf("%s was judged", change.Metric.Name)
		}
	}
}

// without removes a target from a run.
func without(run *result.Run, target string) *result.Run {
	run.Targets = slices.DeleteFunc(run.Targets, func(x result.Target) bool { return x.Name == target })
	for _, c := range run.Cases {
		for i := range c.Rounds {
			c.Rounds[i].Samples = slices.DeleteFunc(c.Rounds[i].Samples, func(s result.Sample) bool { return s.Target == target })
		}
	}
	return run
}

func TestTheNextPeerServesWhereTheFirstIsMissing(t *testing.T) {
	old, now := resulttest.Run(1, 5), without(resulttest.Run(2, 5), "pgbouncer")
	found := map[string]bool{}
	for _, change := range Runs(old, now, usual).Changes {
		if change.Metric.Name == "cpu_us_per_tx" {
			found[change.Peer] = true
		}
	}
	if len(found) != 1 || !found["haproxy"] {
		t.Errorf("held against %v", found)
	}
}

func TestWithoutAnyPeerTheFiguresThemselvesAreComparedAndItIsSaid(t *testing.T) {
	alone := func(seed uint64) *result.Run {
		return without(without(without(resulttest.Run(seed, 5), "pgbouncer"), "haproxy"), "direct")
	}
	now := alone(2)
	resulttest.Scale(now, "pgseal", "tps", 0.5)
	c := Runs(alone(1), now, usual)
	if got := worse(c); !slices.Equal(got, []string{"pgseal tps"}) {
		t.Errorf("got %v", got)
	}
	if text := printed(t, c); !strings.Contains(text, "held against: no peer (") {
		t.Errorf("not said:\n%s", text)
	}
}

func TestPeersAreComparedWhereNothingElseIsInBoth(t *testing.T) {
	now := without(resulttest.Run(2, 5), "pgseal")
	resulttest.Scale(now, "haproxy", "cpu_us_per_tx", 3)
	c := Runs(resulttest.Run(1, 5), now, usual)
	if got := worse(c); !slices.Contains(got, "haproxy cpu_us_per_tx") {
		t.Errorf("got %v", got)
	}
	if text := printed(t, c); !strings.Contains(text, "target pgseal is in the old run only") {
		t.Errorf("a target went missing without a word:\n%s", text)
	}
}

func TestTooFewRoundsDecideNothingHoweverLargeTheChange(t *testing.T) {
	for _, rounds := range []int{1, 2} {
		now := resulttest.Run(2, rounds)
		resulttest.Scale(now, "pgseal", "cpu_us_per_tx", 10)
		c := Runs(resulttest.Run(1, 5), now, usual)
		if c.Count(stats.Worse) != 0 || c.Count(stats.Undecided) == 0 {
			t.Errorf("%d rounds: %d worse, %d undecided", rounds, c.Count(stats.Worse), c.Count(stats.Undecided))
		}
	}
}

func TestATargetThatNowFailsIsWorseWhateverItsFigures(t *testing.T) {
	now := resulttest.Run(1, 5)
	now.Cases[0].Rounds[2].Samples[1].Error = "connection refused"
	c := Runs(resulttest.Run(1, 5), now, usual)
	if got := worse(c); !slices.Equal(got, []string{"pgseal error"}) {
		t.Errorf("got %v", got)
	}
	text := printed(t, c)
	for _, want := range []string{"rounds with an error 1 of 5, before 0 of 5", "note: error in the new run: throughput"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing from:\n%s", want, text)
		}
	}
}

func TestTheFirstFailureIsWorseAndTheLastOneGoneIsAnImprovement(t *testing.T) {
	bad := resulttest.Run(1, 5)
	for _, c := range bad.Cases {
		if c.Scenario == "storm" {
			c.Rounds[4].Samples[1].Metrics["failures"] = 3
		}
	}
	good := resulttest.Run(1, 5)
	if got := worse(Runs(good, bad, usual)); !slices.Equal(got, []string{"pgseal failures"}) {
		t.Errorf("got %v", got)
	}
	if n := Runs(bad, good, usual).Count(stats.Improved); n != 1 {
		t.Errorf("%d improved", n)
	}
	if n := Runs(bad, bad, usual).Count(stats.Within); n != len(Runs(bad, bad, usual).Changes) {
		t.Errorf("as many failures as before are a change")
	}
}

func TestAFigureThatIsGoneIsUndecidedAndNotForgotten(t *testing.T) {
	now := resulttest.Run(1, 5)
	for _, round := range now.Cases[0].Rounds {
		delete(round.Samples[1].Metrics, "tps")
	}
	c := Runs(resulttest.Run(1, 5), now, usual)
	if c.Count(stats.Undecided) != 1 {
		t.Errorf("%d undecided", c.Count(stats.Undecided))
	}
}

func TestCasesOfOneRunOnlyAndAnotherMachineAreNamed(t *testing.T) {
	old, now := resulttest.Run(1, 3), resulttest.Run(1, 3)
	old.Cases = old.Cases[1:]
	now.Cases = now.Cases[:len(now.Cases)-1]
	now.Meta.CPU = "Another CPU"
	text := printed(t, Runs(old, now, usual))
	for _, want := range []string{
		"throughput, select-only, simple, 1 clients: in the new run only",
		"reload, a certificate every second: in the old run only",
		"CPU differs: Example CPU 3000, then Another CPU",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing from:\n%s", want, text)
		}
	}
}

func TestAChangeIsToldInOneLineWithItsPeer(t *testing.T) {
	c := Change{
		Scenario: "idle", Case: "1000 clients", Target: "mine\x1b[2J\n", Metric: result.Metric{Title: "memory", Unit: "KiB"}, Peer: "pgbouncer",
		Before: stats.Summarize([]float64{0.5}), After: stats.Summarize([]float64{0.75}), Verdict: stats.Worse,
	}
	text := printed(t, Comparison{Changes: []Change{c}})
	want := "worse     mine [2J , idle, 1000 clients: memory 0.750× of pgbouncer, before 0.500× (+50.0 %)\n"
	if !strings.HasPrefix(text, want) {
		t.Errorf("got  %q\nwant %q", text, want)
	}
	if strings.Contains(text, "\x1b") {
		t.Error("a control character reached the terminal")
	}
}

func TestAChangeFromZeroHasNoPercentage(t *testing.T) {
	c := Change{Metric: result.Metric{Title: "memory"}, Before: stats.Summarize([]float64{0}), After: stats.Summarize([]float64{2})}
	if got := c.String(); !strings.HasSuffix(got, "(from zero)") {
		t.Errorf("got %q", got)
	}
}

// broken is a pipe whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAComparisonThatCannotBePrintedSaysSo(t *testing.T) {
	if err := (Comparison{}).Print(brokenPipe{}, 0.05); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func printed(t *testing.T, c Comparison) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b, stats.Threshold); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
