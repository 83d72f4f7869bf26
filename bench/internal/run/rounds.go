package run

import (
	"context"
	"errors"
	"time"

	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/scenario"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

var errInterrupted = errors.New("interrupted")

// measure runs all cases of all scenarios.
func (b *benchmark) measure(ctx context.Context) {
	plans := make([][]*scenario.Case, len(b.Scenarios))
	var planned time.Duration
	for i, s := range b.Scenarios {
		plans[i] = s.Plan(&b.env)
		for _, c := range plans[i] {
			planned += b.cost(c)
		}
	}
	p := newProgress(b.w, planned)
	for _, plan := range plans {
		b.warm(ctx)
		for _, c := range plan {
			if ctx.Err() != nil {
				b.fail("%v: not everything was measured", errInterrupted)
				return
			}
			b.measureCase(ctx, c, p)
		}
	}
	if ctx.Err() != nil {
		b.fail("%v: not everything was measured", errInterrupted)
	}
}

// cost is about how long a case takes.
func (b *benchmark) cost(c *scenario.Case) time.Duration {
	n := 0
	for _, t := range b.list {
		if c.LeaveOut(t) == "" {
			n++
		}
	}
	return time.Duration(n*b.Rounds) * c.Sample
}

// warm lets every target work before a scenario. What fails here fails again
// in a sample, and is told there.
func (b *benchmark) warm(ctx context.Context) {
	for _, t := range b.list {
		if t.Alive() == nil && ctx.Err() == nil {
			scenario.Warm(ctx, t)
		}
	}
}

// measureCase lets the targets take turns, round by round.
func (b *benchmark) measureCase(ctx context.Context, c *scenario.Case, p *progress) {
	var takesPart []*targets.Target
	for _, t := range b.list {
		if why := c.LeaveOut(t); why != "" {
			b.leaveOut(t.Name, c.Scenario+", "+c.Name+": "+why)
			continue
		}
		takesPart = append(takesPart, t)
	}
	if len(takesPart) == 0 {
		return
	}
	if c.Calibrate != nil {
		if err := c.Calibrate(ctx, takesPart); err != nil && ctx.Err() == nil {
			b.fail("%s, %s: %v", c.Scenario, c.Name, err)
			return
		}
	}
	measured := c.Case
	for n := range b.Rounds {
		if ctx.Err() != nil {
			break
		}
		var round result.Round
		for _, t := range takesPart {
			p.now(c, n+1, b.Rounds)
			if s, ok := b.sample(ctx, c, t, n+1); ok {
				round.Samples = append(round.Samples, s)
			}
			p.done(c.Sample)
		}
		measured.Rounds = append(measured.Rounds, round)
	}
	b.run.Cases = append(b.run.Cases, measured)
}

// sample takes one sample. It is not ok if it was cut short by Ctrl-C: that is
// no fault of the target.
func (b *benchmark) sample(ctx context.Context, c *scenario.Case, t *targets.Target, round int) (result.Sample, bool) {
	if ctx.Err() != nil {
		return result.Sample{}, false
	}
	s := result.Sample{Target: t.Name}
	err := t.Alive()
	if err == nil {
		s.Metrics, err = c.Take(ctx, t)
	} else {
		s.Error = oneLine(err.Error())
		b.fail("%s", s.Error) // once, not for every sample that is left
		return s, true
	}
	switch {
	case ctx.Err() != nil:
		return s, false
	case err != nil:
		s.Error = oneLine(err.Error())
		b.fail("%s, %s, round %d, %s: %s", c.Scenario, c.Name, round, t.Name, s.Error)
	}
	return s, true
}
