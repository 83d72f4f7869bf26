package stats

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestEachTimeLiesWithinItsBucket(t *testing.T) {
	for i := range 200_000 {
		d := time.Duration(rand.Uint64N(1 << (1 + i%45)))
		b := bucketOf(d)
		if d < lowest(b) || b+1 < buckets && d >= lowest(b+1) {
			t.Fatalf("%v is in bucket %d, from %v to %v", d, b, lowest(b), lowest(b+1))
		}
	}
	if bucketOf(-time.Second) != 0 || bucketOf(1<<62) != buckets-1 {
		t.Error("what is out of range has no bucket")
	}
}

func TestAQuantileIsOffByLessThanAQuarter(t *testing.T) {
	var h Histogram
	var times []time.Duration
	for range 10_000 {
		d := time.Duration(rand.ExpFloat64() * float64(5*time.Millisecond))
		times = append(times, d)
		h.Add(d)
	}
	slices.Sort(times)
	read := h.Read()
	for _, q := range []float64{0.1, 0.5, 0.9, 0.99} {
		got, want := read.Quantile(q), times[int(q*float64(len(times)))]
		if ratio := float64(got) / float64(want); ratio < 0.75 || ratio > 1.25 {
			t.Errorf("quantile %v is %v, not %v", q, got, want)
		}
	}
}

func TestADistributionOfASpanIsTheDifferenceOfTwoReadings(t *testing.T) {
	var h Histogram
	h.Add(time.Second)
	before := h.Read()
	h.AddSome(8*time.Millisecond, 4)
	span := h.Read()
	span.Sub(&before)
	if span.Count() != 4 || span.Sum != 8*time.Millisecond || span.Mean() != 2*time.Millisecond {
		t.Errorf("the span has %d times of %v", span.Count(), span.Sum)
	}
	if p := span.Quantile(0.99); p < 1500*time.Microsecond || p > 2500*time.Microsecond {
		t.Errorf("its p99 is %v", p)
	}
	span.Add(&before)
	if span.Count() != 5 {
		t.Errorf("together they have %d times", span.Count())
	}
}

func TestAnEmptyDistributionHasNoTimes(t *testing.T) {
	var d Distribution
	if d.Count() != 0 || d.Mean() != 0 || d.Quantile(0.5) != 0 {
		t.Error("there are times in it")
	}
}

func TestTheWideBucketsCountAllThatIsShorter(t *testing.T) {
	var h Histogram
	for _, bound := range Bounds {
		h.Add(bound - 1)
		h.Add(bound)
	}
	read := h.Read()
	for i, n := range read.Cumulative() {
		if want := uint64(2*i + 1); n != want {
			t.Errorf("%d times are said to be shorter than %v, not %d", n, Bounds[i], want)
		}
	}
}

func TestCountingFromManyGoroutinesLosesNothing(t *testing.T) {
	var h Histogram
	var c Counts[string]
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				h.Add(time.Millisecond)
				c.Inc("x")
			}
		})
	}
	all.Wait()
	if read := h.Read(); read.Count() != 8000 || c.Read()["x"] != 8000 {
		t.Errorf("%d times and %d events were counted", read.Count(), c.Read()["x"])
	}
	if h.Read().Sum != 8*time.Second {
		t.Errorf("the sum is %v", h.Read().Sum)
	}
}

func BenchmarkAHistogramCounts(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Add(123 * time.Microsecond)
	}
}

// Mean returns the average time, or zero where there is none.
func (d *Distribution) Mean() time.Duration {
	if n := d.Count(); n > 0 {
		return d.Sum / time.Duration(n)
	}
	return 0
}
