package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// storm: what happens when everybody comes back at once?
func storm(e *Env) []*Case {
	var list []*Case
	for _, n := range e.clients([]int{500}, []int{200}) {
		list = append(list, &Case{
			Case:     result.Case{Scenario: "storm", Name: fmt.Sprintf("%d logins at once", n), Clients: n},
			Sample:   time.Second + time.Duration(n)*2*time.Millisecond,
			LeaveOut: func(t *targets.Target) string { return tooMany(t, n) },
			Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
				return e.takeStorm(ctx, t, n)
			},
		})
	}
	return list
}

func (e *Env) takeStorm(ctx context.Context, t *targets.Target, clients int) (Metrics, error) {
	// With a fresh process the storm finds no server connected.
	if t.Restartable() {
		if err := t.Restart(ctx); err != nil {
			return nil, err
		}
	}
	look, err := e.lookAtServers(ctx)
	if err != nil {
		return nil, err
	}
	defer look.close()
	m := e.begin(t)
	s := load.StormIn(ctx, t.Endpoint, clients)
	defer s.Crowd.Close()
	m.finish()
	metrics := Metrics{
		"storm_all_s": s.All.Seconds(), "storm_slowest_ms": float64(s.Slowest.Microseconds()) / 1000,
		"failures": float64(s.Failures),
	}
	if err := errors.Join(look.count(metrics), m.memory(metrics)); err != nil {
		return nil, err
	}
	return metrics, failed(s.Failures, fmt.Sprintf("of %d logins", clients), s.Err)
}

// serverLook counts the connections that PostgreSQL got since it was made.
type serverLook struct {
	conn  *client.Conn
	since string
}

// lookAtServers begins to count; without a throwaway PostgreSQL it does
// nothing.
func (e *Env) lookAtServers(ctx context.Context) (*serverLook, error) {
	if e.Admin == nil {
		return &serverLook{}, nil
	}
	conn, err := client.Dial(ctx, e.Admin)
	if err != nil {
		return nil, err
	}
	r, err := conn.Query("SELECT clock_timestamp()")
	if err == nil && len(r.First) != 1 {
		err = errors.New("PostgreSQL does not tell the time")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &serverLook{conn: conn, since: r.First[0]}, nil
}

func (l *serverLook) count(into Metrics) error {
	if l.conn == nil {
		return nil
	}
	r, err := l.conn.Query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND backend_start > '" + l.since + "'")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.First[0])
	into["server_conns"] = float64(n)
	return err
}

func (l *serverLook) close() {
	if l.conn != nil {
		l.conn.Close()
	}
}
