package run

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/scenario"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// fake is a case whose samples cost nothing.
func fake(take func(ctx context.Context, target string, round int) (scenario.Metrics, error)) *scenario.Case {
	turns := map[string]int{}
	return &scenario.Case{
		Case:     result.Case{Scenario: "fake", Name: "case"},
		Sample:   time.Second,
		LeaveOut: func(*targets.Target) string { return "" },
		Take: func(ctx context.Context, x *targets.Target) (scenario.Metrics, error) {
			turns[x.Name]++
			return take(ctx, x.Name, turns[x.Name])
		},
	}
}

func take(t *testing.T, ctx context.Context, c *scenario.Case, rounds int, names ...string) *benchmark {
	t.Helper()
	b := &benchmark{Options: Options{Rounds: rounds}, w: io.Discard}
	for _, name := range names {
		b.list = append(b.list, &targets.Target{Name: name})
	}
	b.measureCase(ctx, c, newProgress(io.Discard, time.Minute))
	return b
}

func TestTargetsTakeTurns(t *testing.T) {
	var order []string
	b := take(t, t.Context(), fake(func(_ context.Context, name string, _ int) (scenario.Metrics, error) {
		order = append(order, name)
		return scenario.Metrics{"tps": 1}, nil
	}), 3, "A", "B", "C")
	if got := strings.Join(order, " "); got != "A B C A B C A B C" {
		t.Errorf("order was %s", got)
	}
	if c := b.run.Cases[0]; len(c.Rounds) != 3 || len(c.Rounds[0].Samples) != 3 || len(b.run.Errors) != 0 {
		t.Errorf("%+v, %v", c, b.run.Errors)
	}
}

func TestAnErrorInOneSampleIsRecordedAndTheRunGoesOn(t *testing.T) {
	b := take(t, t.Context(), fake(func(_ context.Context, name string, round int) (scenario.Metrics, error) {
		if name == "B" && round == 2 {
			return scenario.Metrics{"failures": 7}, errors.New("connection\nlost")
		}
		return scenario.Metrics{"tps": float64(round)}, nil
	}), 3, "A", "B")
	if want := []string{"fake, case, round 2, B: connection lost"}; !slices.Equal(b.run.Errors, want) {
		t.Errorf("errors are %q, want %q", b.run.Errors, want)
	}
	c := b.run.Cases[0]
	if got := c.Values("A", "tps"); got[0] != 1 || got[1] != 2 || got[2] != 3 {
		t.Errorf("A has %v", got)
	}
	if got := c.Values("B", "tps"); got[0] != 1 || got[1] == got[1] || got[2] != 3 {
		t.Errorf("B has %v", got)
	}
	if got := c.Values("B", "failures"); got[1] != 7 {
		t.Errorf("failures of B: %v", got)
	}
	if problems := b.run.Problems(); len(problems) != 1 {
		t.Errorf("problems are told twice: %q", problems)
	}
}

func TestWhoIsLeftOutIsNamedOnceAndTheOthersAreMeasured(t *testing.T) {
	c := fake(func(context.Context, string, int) (scenario.Metrics, error) { return nil, nil })
	c.LeaveOut = func(x *targets.Target) string {
		if x.Name == "B" {
			return "too old"
		}
		return ""
	}
	b := take(t, t.Context(), c, 2, "A", "B")
	if want := []result.LeftOut{{Name: "B", Why: "fake, case: too old"}}; !slices.Equal(b.run.Meta.LeftOut, want) {
		t.Errorf("left out: %+v", b.run.Meta.LeftOut)
	}
	if len(b.run.Errors) != 0 || len(b.run.Cases[0].Rounds[1].Samples) != 1 {
		t.Errorf("%+v", b.run)
	}
}

func TestACaseThatNobodyTakesPartInIsNone(t *testing.T) {
	c := fake(func(context.Context, string, int) (scenario.Metrics, error) { return nil, nil })
	c.LeaveOut = func(*targets.Target) string { return "not today" }
	if b := take(t, t.Context(), c, 2, "A"); len(b.run.Cases) != 0 || len(b.run.Meta.LeftOut) != 1 {
		t.Errorf("%+v", b.run)
	}
}

func TestWhatWasMeasuredBeforeCtrlCIsKept(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := take(t, ctx, fake(func(_ context.Context, name string, round int) (scenario.Metrics, error) {
		if name == "B" && round == 2 {
			cancel()
			return nil, errors.New("cut short")
		}
		return scenario.Metrics{"tps": 1}, nil
	}), 5, "A", "B")
	if len(b.run.Errors) != 0 {
		t.Errorf("it was blamed on the target: %q", b.run.Errors)
	}
	if c := b.run.Cases[0]; len(c.Rounds) != 2 || len(c.Rounds[0].Samples) != 2 || len(c.Rounds[1].Samples) != 1 {
		t.Errorf("%+v", c.Rounds)
	}
	b.Scenarios = []scenario.Scenario{{Name: "more", Plan: func(*scenario.Env) []*scenario.Case { return nil }}}
	b.measure(ctx)
	if len(b.run.Errors) != 1 || !strings.Contains(b.run.Errors[0], "interrupted") {
		t.Errorf("errors are %q", b.run.Errors)
	}
}

func TestACalibrationThatFailsIsAnErrorAndNoCase(t *testing.T) {
	c := fake(func(context.Context, string, int) (scenario.Metrics, error) { return nil, nil })
	c.Calibrate = func(context.Context, []*targets.Target) error { return errors.New("no maximum") }
	if b := take(t, t.Context(), c, 2, "A"); len(b.run.Cases) != 0 || len(b.run.Errors) != 1 {
		t.Errorf("%+v", b.run)
	}
}

func TestTheTimeLeftIsCorrectedByTheTimeTaken(t *testing.T) {
	now := time.Unix(0, 0)
	p := newProgress(io.Discard, 100*time.Second)
	p.begun, p.clock = now, func() time.Time { return now }
	if got := p.left(); got != 100*time.Second {
		t.Errorf("at first %v", got)
	}
	p.done(50 * time.Second)
	now = now.Add(100 * time.Second) // twice as slow as planned
	if got := p.left(); got != 100*time.Second {
		t.Errorf("half way: %v, want 1m40s", got)
	}
	p.done(50 * time.Second)
	if got := p.left(); got != 0 {
		t.Errorf("at the end %v", got)
	}
}

func TestProgressTellsEachRoundOnce(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out, time.Minute)
	c := fake(nil)
	p.now(c, 1, 2)
	p.now(c, 1, 2)
	p.now(c, 2, 2)
	if got := strings.Count(out.String(), "\n"); got != 2 || !strings.Contains(out.String(), "fake, case: round 2 of 2") {
		t.Errorf("said\n%s", out.String())
	}
}
