package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// busy is how many clients of a crowd work.
const busy = 200

// crowd: do clients that are only connected make the work of others dearer?
func crowd(e *Env) []*Case {
	var list []*Case
	for _, n := range e.clients([]int{busy, 10_000}, nil) {
		list = append(list, crowdCase(e, n))
	}
	return list
}

func crowdCase(e *Env, clients int) *Case {
	active := min(busy, clients)
	seconds := e.seconds(5, 1)
	return &Case{
		Case: result.Case{
			Scenario: "crowd", Name: fmt.Sprintf("select-only, simple, %d of %s at work", active, count(clients, "client")),
			Workload: load.SelectOnly, Protocol: load.Simple, Clients: clients,
		},
		Sample: length(seconds+1) + time.Duration(clients)*1500*time.Microsecond,
		LeaveOut: func(t *targets.Target) string {
			if need := uint64(clients + spareFiles); e.Files < need {
				return fmt.Sprintf("needs %d open files in one process, this one may have %d (ulimit -n)", need, e.Files)
			}
			return tooMany(t, clients)
		},
		Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
			w := load.Workload{Name: load.SelectOnly, Protocol: load.Simple, Scale: t.Scale}
			idle, err := load.Connect(ctx, t.Endpoint, clients-active)
			if err != nil {
				return nil, err
			}
			defer idle.Close()
			if e.PgBench != nil {
				return e.byPgBench(ctx, t, w, active, seconds)
			}
			return e.byOwnClients(ctx, t, w, active, seconds)
		},
	}
}
