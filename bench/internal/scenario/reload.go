package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

const (
	// reloadRate is low enough for every machine: the question is what a
	// reload adds, not how much passes.
	reloadRate = 500

	// loginEvery is how often a new client looks which certificate it gets.
	loginEvery = 100 * time.Millisecond
)

// reload: does anybody notice when certificates change?
func reload(e *Env) []*Case {
	var list []*Case
	for _, n := range e.clients([]int{16}, []int{16}) {
		list = append(list, reloadCase(e, n))
	}
	return list
}

func reloadCase(e *Env, clients int) *Case {
	seconds := max(e.seconds(10, 2), 2)
	quiet := max(seconds/2, 1)
	c := &Case{
		Case: result.Case{
			Scenario: "reload", Name: "a certificate every second", Workload: load.SelectOnly,
			Protocol: load.Simple, Clients: clients, Rate: reloadRate,
		},
		Sample: length(quiet+seconds) + 200*time.Millisecond,
		LeaveOut: func(t *targets.Target) string {
			if !t.CanReplaceCertificate() {
				return "its certificate cannot be replaced by the benchmark"
			}
			return tooMany(t, clients)
		},
		Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
			return e.takeReload(ctx, t, clients, quiet, seconds)
		},
	}
	if len(e.Clients) > 1 {
		c.Name += ", " + count(clients, "client")
	}
	return c
}

// takeReload runs quiet seconds, then seconds that each begin with a new
// certificate, without a break of the load between.
func (e *Env) takeReload(ctx context.Context, t *targets.Target, clients, quiet, seconds int) (Metrics, error) {
	crowd, err := load.Connect(ctx, t.Endpoint, clients)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	per := newPerSecond(quiet + seconds)
	w := load.Workload{Name: load.SelectOnly, Protocol: load.Simple, Scale: t.Scale}
	m := e.begin(t)
	aside, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var replaceErr error
	wg.Go(func() { replaceErr = replaceEverySecond(aside, t, quiet, seconds) })
	watch := &watcher{endpoint: t.Endpoint}
	wg.Go(func() { watch.run(aside) })
	o := load.OpenLoop{Rate: reloadRate, Duration: length(quiet + seconds), Observe: per.observe}.Run(ctx, crowd, w.Run)
	stop()
	wg.Wait()
	m.finish()
	if replaceErr != nil {
		return nil, fmt.Errorf("replace the certificate: %w", replaceErr)
	}
	failures := o.Failures + watch.failures
	metrics := Metrics{
		"failures": float64(failures), "reloads": float64(max(len(watch.serials)-1, 0)),
		"quiet_p99_ms": per.median(0, quiet), "quiet_worst_p99_ms": per.worst(0, quiet), "worst_p99_ms": per.worst(quiet, quiet+seconds),
	}
	if err := m.memory(metrics); err != nil {
		return nil, err
	}
	if failures == 0 && len(watch.serials) < 2 {
		return metrics, errors.New("no new connection got a new certificate")
	}
	return metrics, failed(failures, "transactions or logins", errors.Join(o.Err, watch.err))
}

// replaceEverySecond ends early, without an error, when the load does.
func replaceEverySecond(ctx context.Context, t *targets.Target, quiet, seconds int) error {
	if pause(ctx, length(quiet)) != nil {
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range seconds {
		if err := t.ReplaceCertificate(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// watcher logs in again and again, as new clients do, and notes whose
// certificate they were shown.
type watcher struct {
	endpoint *client.Endpoint
	serials  []string
	failures int64
	err      error
}

func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(loginEvery)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) look(ctx context.Context) {
	c, err := client.Dial(ctx, w.endpoint)
	if err != nil {
		if ctx.Err() == nil {
			w.failures++
			w.err = err
		}
		return
	}
	defer c.Close()
	state, ok := c.TLS()
	if !ok || len(state.PeerCertificates) == 0 {
		return
	}
	if serial := state.PeerCertificates[0].SerialNumber.String(); !slices.Contains(w.serials, serial) {
		w.serials = append(w.serials, serial)
	}
}

// perSecond is a histogram for each second of the load. Any worker observes.
type perSecond struct {
	mu   sync.Mutex
	list []*load.Histogram
}

func newPerSecond(n int) *perSecond {
	p := &perSecond{}
	for range n {
		p.list = append(p.list, load.NewHistogram())
	}
	return p
}

func (p *perSecond) observe(due, latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := int(due / time.Second); i < len(p.list) {
		p.list[i].Record(latency)
	}
}

// p99s are the seconds' percentiles from first up to, not including, end,
// sorted.
func (p *perSecond) p99s(first, end int) []float64 {
	var list []float64
	for _, h := range p.list[first:end] {
		list = append(list, h.Millis(99))
	}
	slices.Sort(list)
	return list
}

func (p *perSecond) median(first, end int) float64 {
	list := p.p99s(first, end)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

func (p *perSecond) worst(first, end int) float64 {
	list := p.p99s(first, end)
	return list[len(list)-1]
}
