package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

const (
	// settle is how long a target is left alone before its memory is read.
	settle = 2 * time.Second

	// spareFiles is what a process opens beside its clients.
	spareFiles = 200
)

// idle: what does a client cost that does nothing?
func idle(e *Env) []*Case {
	var list []*Case
	for _, n := range e.clients([]int{1000, 10000}, []int{1000}) {
		list = append(list, idleCase(e, n))
	}
	return list
}

func idleCase(e *Env, clients int) *Case {
	return &Case{
		Case:   result.Case{Scenario: "idle", Name: fmt.Sprintf("%d idle TLS clients", clients), Clients: clients},
		Sample: 2*settle + time.Duration(clients)*1500*time.Microsecond,
		LeaveOut: func(t *targets.Target) string {
			if t.Group().Empty() {
				return "no process of its own to measure"
			}
			if need := uint64(clients + spareFiles); e.Files < need {
				return fmt.Sprintf("needs %d open files in one process, this one may have %d (ulimit -n)", need, e.Files)
			}
			return tooMany(t, clients)
		},
		Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
			return e.takeMemory(ctx, t, clients, settle, workOnce)
		},
	}
}

// workOnce lets each client do a query: an idle client is one that has worked.
func workOnce(_ context.Context, crowd load.Crowd) error {
	for _, c := range crowd {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if err := selectOne(c, nil); err != nil {
			return err
		}
	}
	return nil
}

// takeMemory reads what clients cost that do nothing after they have worked.
func (e *Env) takeMemory(ctx context.Context, t *targets.Target, clients int, rest time.Duration,
	work func(context.Context, load.Crowd) error) (Metrics, error) {
	// What earlier clients left in memory would hide what these take.
	if t.Restartable() {
		if err := t.Restart(ctx); err != nil {
			return nil, err
		}
	}
	if err := Warm(ctx, t); err != nil {
		return nil, err
	}
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	m := e.begin(t)
	defer m.finish()
	before, err := m.group.Memory()
	if err != nil {
		return nil, err
	}
	crowd, err := load.Connect(ctx, t.Endpoint, clients)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	if err := work(ctx, crowd); err != nil {
		return nil, err
	}
	if err := pause(ctx, rest); err != nil {
		return nil, err
	}
	after, err := m.group.Memory()
	if err != nil {
		return nil, err
	}
	metrics := Metrics{"rss_kib_per_client": float64(after.RSS-before.RSS) / float64(clients)}
	return metrics, m.memory(metrics)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
