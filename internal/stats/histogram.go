package stats

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Times are sorted into buckets whose bounds grow by a factor of about 1.2:
// four to each power of two nanoseconds, from about a microsecond to about 18
// minutes. So a quantile is off by less than a quarter.
const (
	firstPower = 10 // all below 2^10 ns is one bucket
	lastPower  = 40 // and all from 2^40 ns on
	perPower   = 4
	buckets    = 1 + (lastPower-firstPower)*perPower + 1
)

// bucketOf returns the bucket of a time.
func bucketOf(d time.Duration) int {
	ns := uint64(max(d, 0))
	power := bits.Len64(ns) - 1
	switch {
	case power < firstPower:
		return 0
	case power >= lastPower:
		return buckets - 1
	}
	return 1 + (power-firstPower)*perPower + int(ns>>(power-2))&(perPower-1)
}

// lowest returns where a bucket begins. The one behind the last never ends.
func lowest(bucket int) time.Duration {
	if bucket == 0 {
		return 0
	}
	power, part := firstPower+(bucket-1)/perPower, (bucket-1)%perPower
	return time.Duration(perPower+part) << (power - 2)
}

// Histogram counts times. The zero value is ready for use, by any goroutine.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Add counts one time.
func (h *Histogram) Add(d time.Duration) { h.AddSome(d, 1) }

// AddSome counts n times that took d together.
func (h *Histogram) AddSome(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	h.counts[bucketOf(d/time.Duration(n))].Add(n)
	h.sum.Add(int64(d))
}

// Read returns what was counted until now.
func (h *Histogram) Read() Distribution {
	d := Distribution{Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		d.counts[i] = h.counts[i].Load()
	}
	return d
}

// Distribution is what a Histogram had counted at one moment, or within a span
// of time.
type Distribution struct {
	Sum    time.Duration
	counts [buckets]uint64
}

// Add adds what o has counted.
func (d *Distribution) Add(o *Distribution) {
	d.Sum += o.Sum
	for i := range d.counts {
		d.counts[i] += o.counts[i]
	}
}

// Sub takes away what o has counted, which is an earlier reading of the same.
func (d *Distribution) Sub(o *Distribution) {
	d.Sum -= o.Sum
	for i := range d.counts {
		d.counts[i] -= o.counts[i]
	}
}

// Count returns how many times were counted.
func (d *Distribution) Count() (n uint64) {
	for _, c := range d.counts {
		n += c
	}
	return n
}

// Quantile returns the time that the part q of all is not longer than: 0.5 asks
// for the median. It is zero where nothing was counted.
func (d *Distribution) Quantile(q float64) time.Duration {
	rank := q * float64(d.Count())
	seen := 0.0
	for i, c := range d.counts {
		if c == 0 {
			continue
		}
		if seen+float64(c) >= rank {
			low, high := lowest(i), lowest(min(i+1, buckets-1))
			return low + time.Duration(float64(high-low)*(rank-seen)/float64(c))
		}
		seen += float64(c)
	}
	return 0
}

// Bounds are upper bounds of few and wide buckets for Cumulative. They are
// powers of four nanoseconds, from 16 microseconds to 69 seconds, which are
// bounds of the narrow buckets too.
var Bounds = makeBounds()

func makeBounds() (list []time.Duration) {
	for power := 14; power <= 36; power += 2 {
		list = append(list, 1<<power)
	}
	return list
}

// Cumulative returns how many times were shorter than each of Bounds.
func (d *Distribution) Cumulative() []uint64 {
	list := make([]uint64, len(Bounds))
	bucket, n := 0, uint64(0)
	for i, bound := range Bounds {
		for ; lowest(bucket) < bound; bucket++ {
			n += d.counts[bucket]
		}
		list[i] = n
	}
	return list
}
