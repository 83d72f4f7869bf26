package scenario

import (
	"context"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// Options say how much is measured. Zero values stand for each scenario's own
// choice.
type Options struct {
	Quick   bool
	Clients []int
	Seconds int // that one sample takes
}

// Env is what scenarios measure with.
type Env struct {
	Options
	PgBench *load.PgBench    // nil where it is not installed
	Admin   *client.Endpoint // the throwaway PostgreSQL, nil without one
	Files   uint64           // how many files a process may open

	// LoadCPU is the CPU time of the load generator over all samples so far.
	LoadCPU time.Duration
}

// Metrics are the figures of one sample, named in result.Metrics.
type Metrics = map[string]float64

// Case is one measurement that every target is put to.
type Case struct {
	result.Case
	// Sample is about how long one sample takes.
	Sample time.Duration
	// LeaveOut says why a target can't take part; empty if it can.
	LeaveOut func(*targets.Target) string
	// Calibrate, if set, is called once before the first round, with those
	// that take part. It may change the case's description.
	Calibrate func(context.Context, []*targets.Target) error
	// Take takes a sample. Beside an error there may be metrics.
	Take func(context.Context, *targets.Target) (Metrics, error)
}

// Scenario is a question and the cases that answer it.
type Scenario struct {
	Name    string
	Summary string
	// Tables says that it needs the tables of pgbench behind a target.
	Tables bool
	Plan   func(*Env) []*Case
}

// All lists the scenarios in the order in which they run.
var All = []Scenario{
	{"throughput", "transactions per second and their CPU, select-only and TPC-B, over protocols and clients", true, throughput},
	{"statements", "the ways in which drivers prepare: described each time, and anew by clients that reconnect", true, statements},
	{"connect", "full logins with one query each, beside the same query on an open connection", false, connect},
	{"latency", "open loop at a fixed rate, corrected for coordinated omission", true, latency},
	{"crowd", "CPU per transaction of 200 clients, alone and among thousands that are idle", true, crowd},
	{"idle", "resident memory for each idle TLS client", false, idle},
	{"kept", "the same after each client has moved 10 MB both ways", false, kept},
	{"bulk", "COPY out and in and a large result, in MB/s", false, bulk},
	{"storm", "many clients log in at the same moment", false, storm},
	{"reload", "certificates replaced every second under load", true, reload},
}

// Find looks a scenario up by its name.
func Find(name string) (Scenario, bool) {
	for _, s := range All {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// seconds is how long a sample takes: what the user said, else one of these.
func (e *Env) seconds(full, quick int) int {
	switch {
	case e.Seconds > 0:
		return e.Seconds
	case e.Quick:
		return quick
	}
	return full
}

// clients are the numbers of clients: what the user said, else one of these.
func (e *Env) clients(full, quick []int) []int {
	switch {
	case len(e.Clients) > 0:
		return e.Clients
	case e.Quick:
		return quick
	}
	return full
}

func length(seconds int) time.Duration { return time.Duration(seconds) * time.Second }

// Warm lets a target do some work that is not measured, so that its servers
// are connected and its pages are in memory.
func Warm(ctx context.Context, t *targets.Target) error {
	const clients, enough = 4, 200 * time.Millisecond
	crowd, err := load.Connect(ctx, t.Endpoint, clients)
	if err != nil {
		return err
	}
	defer crowd.Close()
	return load.Closed(ctx, crowd, enough, selectOne).Err
}
