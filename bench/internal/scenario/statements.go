package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// prepares is how many statements a client prepares that connects anew.
const prepares = 50

// statements: what do the ways cost in which drivers prepare?
func statements(e *Env) []*Case {
	var list []*Case
	for _, n := range e.clients([]int{16, 200}, nil) {
		list = append(list, throughputCase(e, load.SelectOnly, load.Described, n))
	}
	for _, n := range e.clients([]int{200}, nil) {
		list = append(list, reconnectCase(e, n))
	}
	for _, c := range list {
		c.Scenario = "statements"
	}
	return list
}

// reconnectCase has clients log in, prepare and describe statements, run each,
// and leave, which is one transaction to the figures.
func reconnectCase(e *Env, clients int) *Case {
	seconds := e.seconds(5, 1)
	return &Case{
		Case:   result.Case{Name: fmt.Sprintf("%s that reconnect with %d statements", count(clients, "client"), prepares), Clients: clients},
		Sample: length(seconds) + 2*time.Second,
		LeaveOut: func(t *targets.Target) string {
			if t.NoPrepared != "" {
				return t.NoPrepared
			}
			return tooMany(t, clients)
		},
		Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
			if warm := load.Reconnect(ctx, t.Endpoint, clients, prepares, time.Second); warm.Err != nil {
				return nil, warm.Err
			}
			m := e.begin(t)
			return e.throughputMetrics(m, load.Reconnect(ctx, t.Endpoint, clients, prepares, length(seconds)))
		},
	}
}
