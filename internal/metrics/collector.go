package metrics

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgseal/pgseal/internal/stats"
)

// Sources is where the figures come from. All may be asked by any goroutine.
type Sources struct {
	Version string
	Pools   PoolSource
	Clients ClientSource
	Loops   func() []stats.Loop
	Files   func() []stats.Files // what is reloaded by itself
}

// PoolSource is what is known of databases, pools and servers.
type PoolSource interface {
	Snapshots() []stats.Pool
	Handshakes() stats.HandshakeTotals
	Panics() uint64
}

// ClientSource is what is known of clients.
type ClientSource interface {
	Clients() int // connections, those in their login included
	Listening() bool
	Logins() map[string]uint64
	Cancels() map[string]uint64
	Pins() []stats.Pin
	PinCounts() map[string]uint64
	ErrorCounts() map[stats.ErrorClass]uint64
	Statements() (count int, bytes int64)
	Handshakes() stats.HandshakeTotals
	HandshakesNow() (running, waiting int)
	Panics() uint64
}

// Handler returns the handler of /metrics.
func Handler(s Sources) http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(s), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// collector implements prometheus.Collector.
type collector struct {
	Sources

	mu     sync.Mutex // one scrape at a time
	folder *folder
}

func newCollector(s Sources) *collector { return &collector{Sources: s, folder: newFolder()} }

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, section := range all {
		for _, m := range section.metrics {
			ch <- m.desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := out{ch}
	for at, s := range c.folder.fold(c.Pools.Snapshots()) {
		o.pool(at, s)
	}
	c.clients(o)
	c.secured(o)
	c.files(o)
	c.process(o)
}

// out is where metrics go.
type out struct{ ch chan<- prometheus.Metric }

func (o out) value(m *metric, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if m.kind == counter {
		kind = prometheus.CounterValue
	}
	o.ch <- prometheus.MustNewConstMetric(m.desc, kind, v, labels...)
}

func (o out) times(m *metric, d *stats.Distribution, labels ...string) {
	within := make(map[float64]uint64, len(stats.Bounds))
	for i, n := range d.Cumulative() {
		within[stats.Bounds[i].Seconds()] = n
	}
	o.ch <- prometheus.MustNewConstHistogram(m.desc, d.Count(), d.Sum.Seconds(), within, labels...)
}

// moment shows a time, unless there is none.
func (o out) moment(m *metric, at time.Time, labels ...string) {
	if !at.IsZero() {
		o.value(m, float64(at.UnixMilli())/1000, labels...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *collector) clients(o out) {
	p := c.Clients
	o.value(clients.connections, float64(p.Clients()))
	o.counts(clients.logins, p.Logins())
	o.counts(clients.cancels, p.Cancels())
	o.counts(clients.pins, p.PinCounts())
	for class, n := range p.ErrorCounts() {
		o.value(clients.errors, float64(n), class.Source, class.Class)
	}
	o.value(clients.pinned, float64(len(p.Pins())))
	n, bytes := p.Statements()
	o.value(clients.statements, float64(n))
	o.value(clients.statementBytes, float64(bytes))
}

func (o out) counts(m *metric, counts map[string]uint64) {
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		o.value(m, float64(counts[key]), key)
	}
}

func (c *collector) secured(o out) {
	for leg, h := range map[string]stats.HandshakeTotals{"client": c.Clients.Handshakes(), "server": c.Pools.Handshakes()} {
		for how, n := range h.Counts {
			o.value(secured.handshakes, float64(n), leg, how.Outcome, how.Version, how.Cipher)
		}
		o.times(secured.duration, &h.Times, leg)
	}
	running, waiting := c.Clients.HandshakesNow()
	o.value(secured.running, float64(running))
	o.value(secured.queued, float64(waiting))
}

func (c *collector) files(o out) {
	for _, f := range c.Files() {
		name := label(f.Name)
		o.value(reloads.reloads, float64(f.Status.Reloads), name, "ok")
		o.value(reloads.reloads, float64(f.Status.Failures), name, "failed")
		o.moment(reloads.success, f.Status.LoadedAt, name)
		o.value(reloads.failing, truth(f.Status.LastError != nil), name)
		o.moment(secured.notAfter, f.Expiry.Certificate, name, "certificate")
		o.moment(secured.notAfter, f.Expiry.Authority, name, "authority")
		o.moment(secured.notAfter, f.Expiry.CRL, name, "crl")
	}
}

func (c *collector) process(o out) {
	o.value(process.build, 1, c.Version)
	o.value(process.draining, truth(!c.Clients.Listening()))
	panics := c.Clients.Panics() + c.Pools.Panics()
	for i, loop := range c.Loops() {
		panics += loop.Panics
		o.value(process.connections, float64(loop.Connections), strconv.Itoa(i))
		o.times(process.lag, &loop.Lag, strconv.Itoa(i))
	}
	o.value(process.panics, float64(panics))
}
