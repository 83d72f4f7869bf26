package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// throughput: how many transactions, and what does each cost?
func throughput(e *Env) []*Case {
	var list []*Case
	add := func(workload, protocol string, clients []int) {
		for _, n := range clients {
			list = append(list, throughputCase(e, workload, protocol, n))
		}
	}
	if e.Quick {
		add(load.SelectOnly, load.Simple, e.clients(nil, []int{16, 200}))
		add(load.SelectOnly, load.Extended, e.clients(nil, []int{16}))
		return list
	}
	for _, workload := range []string{load.SelectOnly, load.TPCB} {
		for _, protocol := range []string{load.Simple, load.Extended, load.Prepared} {
			add(workload, protocol, e.clients([]int{1, 16, 200, 1000}, nil))
		}
	}
	return list
}

func throughputCase(e *Env, workload, protocol string, clients int) *Case {
	seconds := e.seconds(5, 1)
	logins := time.Duration(clients) * 3 * time.Millisecond
	return &Case{
		Case: result.Case{
			Scenario: "throughput", Name: fmt.Sprintf("%s, %s, %s", workload, protocol, count(clients, "client")),
			Workload: workload, Protocol: protocol, Clients: clients,
		},
		Sample: length(seconds+1) + logins,
		LeaveOut: func(t *targets.Target) string {
			if protocol == load.Prepared && t.NoPrepared != "" {
				return t.NoPrepared
			}
			return tooMany(t, clients)
		},
		Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
			w := load.Workload{Name: workload, Protocol: protocol, Scale: t.Scale}
			// pgbench prepares with a call that blocks its thread, and with it the
			// other clients of the thread, also those that hold the servers which
			// that call waits for.
			stuck := workload == load.TPCB && protocol == load.Prepared
			if e.PgBench != nil && !stuck && protocol != load.Described { // which pgbench can't
				return e.byPgBench(ctx, t, w, clients, seconds)
			}
			return e.byOwnClients(ctx, t, w, clients, seconds)
		},
	}
}

func (e *Env) byPgBench(ctx context.Context, t *targets.Target, w load.Workload, clients, seconds int) (Metrics, error) {
	m := e.begin(t)
	o, err := e.PgBench.Run(ctx, load.PgBenchRun{
		Endpoint: t.Endpoint, Workload: w, Clients: clients, Seconds: seconds, Tick: m.tick,
	})
	if err != nil {
		m.finish()
		return nil, err
	}
	m.startAt(o.Warmed)
	return e.throughputMetrics(m, o)
}

func (e *Env) byOwnClients(ctx context.Context, t *targets.Target, w load.Workload, clients, seconds int) (Metrics, error) {
	crowd, err := load.Connect(ctx, t.Endpoint, clients)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	for _, c := range crowd {
		if err := w.Prepare(c); err != nil {
			return nil, err
		}
	}
	if warm := load.Closed(ctx, crowd, time.Second, w.Run); warm.Err != nil {
		return nil, warm.Err
	}
	m := e.begin(t)
	return e.throughputMetrics(m, load.Closed(ctx, crowd, length(seconds), w.Run))
}

func (e *Env) throughputMetrics(m *meter, o load.Outcome) (Metrics, error) {
	metrics := Metrics{"tps": o.PerSecond()}
	addPercentiles(metrics, o.Latency)
	if err := m.end(metrics, o.Transactions, o.All); err != nil {
		return nil, err
	}
	return metrics, failed(o.Failures, "transactions", o.Err)
}

func addPercentiles(into Metrics, h *load.Histogram) {
	if h.Count() == 0 {
		return
	}
	into["p50_ms"] = h.Millis(50)
	into["p90_ms"] = h.Millis(90)
	into["p99_ms"] = h.Millis(99)
	into["p999_ms"] = h.Millis(99.9)
}

// count is a number with its noun, in the plural where it has to be.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
