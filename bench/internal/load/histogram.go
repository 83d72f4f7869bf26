package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	maxLatency = 10 * time.Minute
	digits     = 3
)

// Histogram counts latencies in microseconds with three digits of precision.
// One goroutine uses it at a time.
type Histogram struct{ h *hdrhistogram.Histogram }

// NewHistogram returns an empty one.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(1, maxLatency.Microseconds(), digits)}
}

// Record counts one latency. What is longer than ten minutes counts as that.
func (h *Histogram) Record(d time.Duration) {
	d = min(max(d, time.Microsecond), maxLatency)
	h.h.RecordValue(d.Microseconds())
}

// Merge adds what another histogram counted.
func (h *Histogram) Merge(other *Histogram) { h.h.Merge(other.h) }

// Count is how many latencies were recorded.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Millis is a percentile (50 for the median) in milliseconds, 0 if nothing was
// recorded.
func (h *Histogram) Millis(percentile float64) float64 {
	return float64(h.h.ValueAtQuantile(percentile)) / 1000
}

// Max is the longest latency.
func (h *Histogram) Max() time.Duration {
	return time.Duration(h.h.Max()) * time.Microsecond
}

// Mean is the mean latency in milliseconds.
func (h *Histogram) Mean() float64 { return h.h.Mean() / 1000 }
