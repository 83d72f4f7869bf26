package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// ceiling is the highest rate that every target reached in a closed loop. The
// cases of one run share it, so it is measured once.
type ceiling struct {
	env     *Env
	clients int
	rate    float64
}

// latency: how long do users wait at a rate that every target can serve?
func latency(e *Env) []*Case {
	percents := []int{25, 50, 75}
	if e.Quick {
		percents = []int{50}
	}
	var list []*Case
	for _, n := range e.clients([]int{16}, []int{16}) {
		top := &ceiling{env: e, clients: n}
		for _, percent := range percents {
			list = append(list, latencyCase(e, top, n, percent))
		}
	}
	return list
}

func latencyCase(e *Env, top *ceiling, clients, percent int) *Case {
	d := length(e.seconds(10, 1))
	c := &Case{
		Case: result.Case{
			Scenario: "latency", Workload: load.SelectOnly, Protocol: load.Simple, Clients: clients,
			Name: fmt.Sprintf("%d %% of the slowest maximum", percent),
		},
		Sample:   d + 100*time.Millisecond,
		LeaveOut: func(t *targets.Target) string { return tooMany(t, clients) },
	}
	if len(e.Clients) > 1 {
		c.Name += ", " + count(clients, "client")
	}
	c.Calibrate = func(ctx context.Context, all []*targets.Target) error {
		err := top.measure(ctx, all)
		c.Rate = top.rate * float64(percent) / 100
		return err
	}
	c.Take = func(ctx context.Context, t *targets.Target) (Metrics, error) {
		return e.openLoop(ctx, t, clients, c.Rate, d)
	}
	return c
}

// measure finds the slowest target's maximum, unless that is known.
func (top *ceiling) measure(ctx context.Context, all []*targets.Target) error {
	if top.rate > 0 {
		return nil
	}
	slowest := 0.0
	for _, t := range all {
		rate, err := top.maximum(ctx, t)
		if err != nil {
			continue // it will fail again in its turn, and be told there
		}
		if slowest == 0 || rate < slowest {
			slowest = rate
		}
	}
	if slowest == 0 {
		return fmt.Errorf("no target has a maximum to start from")
	}
	top.rate = slowest
	return nil
}

func (top *ceiling) maximum(ctx context.Context, t *targets.Target) (float64, error) {
	crowd, err := load.Connect(ctx, t.Endpoint, top.clients)
	if err != nil {
		return 0, err
	}
	defer crowd.Close()
	w := load.Workload{Name: load.SelectOnly, Protocol: load.Simple, Scale: t.Scale}
	m := top.env.begin(t)
	defer m.finish()
	o := load.Closed(ctx, crowd, length(top.env.seconds(3, 1)), w.Run)
	return o.PerSecond(), o.Err
}

func (e *Env) openLoop(ctx context.Context, t *targets.Target, clients int, rate float64, d time.Duration) (Metrics, error) {
	if rate <= 0 {
		return nil, fmt.Errorf("the rate to aim at is not known")
	}
	crowd, err := load.Connect(ctx, t.Endpoint, clients)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	w := load.Workload{Name: load.SelectOnly, Protocol: load.Simple, Scale: t.Scale}
	m := e.begin(t)
	o := load.OpenLoop{Rate: rate, Duration: d}.Run(ctx, crowd, w.Run)
	metrics := Metrics{"achieved_rate": o.PerSecond(), "failures": float64(o.Failures)}
	addPercentiles(metrics, o.Latency)
	if err := m.end(metrics, o.Transactions, o.All); err != nil {
		return nil, err
	}
	return metrics, failed(o.Failures, "transactions", o.Err)
}
