package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// connect: what does a login cost, and how much of it does a pool of
// connections save?
func connect(e *Env) []*Case {
	var list []*Case
	for _, n := range e.clients([]int{16}, []int{16}) {
		list = append(list, connectCase(e, n))
	}
	return list
}

func connectCase(e *Env, clients int) *Case {
	logins := length(e.seconds(5, 1))
	open := max(logins/4, 500*time.Millisecond)
	return &Case{
		Case:     result.Case{Scenario: "connect", Name: count(clients, "client"), Clients: clients},
		Sample:   logins + open + 100*time.Millisecond,
		LeaveOut: func(t *targets.Target) string { return tooMany(t, clients) },
		Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
			m := e.begin(t)
			o := load.LogIn(ctx, t.Endpoint, clients, logins)
			cpu, has, err := m.spent()
			m.finish()
			if err != nil {
				return nil, err
			}
			if o.Transactions == 0 {
				return nil, errors.Join(failed(o.Failures, "logins", o.Err), ctx.Err())
			}
			metrics := Metrics{
				"logins_per_s": o.PerSecond(), "failures": float64(o.Failures),
				"login_p50_ms": o.Latency.Millis(50), "login_p99_ms": o.Latency.Millis(99),
			}
			if has {
				metrics["cpu_us_per_login"] = perUnit(cpu.Total().Seconds(), o.Transactions)
			}
			if err := m.memory(metrics); err != nil {
				return nil, err
			}
			if err := openQuery(ctx, t, clients, open, o.WithQuery.Mean(), metrics); err != nil {
				return nil, err
			}
			return metrics, failed(o.Failures, "logins", o.Err)
		},
	}
}

// openQuery measures the same query on as many connections that are open
// already.
func openQuery(ctx context.Context, t *targets.Target, clients int, d time.Duration, reconnected float64, into Metrics) error {
	crowd, err := load.Connect(ctx, t.Endpoint, clients)
	if err != nil {
		return err
	}
	defer crowd.Close()
	o := load.Closed(ctx, crowd, d, selectOne)
	if o.Err != nil {
		return o.Err
	}
	into["query_open_p50_ms"] = o.Latency.Millis(50)
	// Of means: on a busy machine the median of so short a query is that of
	// those that never had to wait for a core.
	into["reconnect_overhead"] = reconnected / o.Latency.Mean()
	return nil
}
