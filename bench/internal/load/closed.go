package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
)

// Outcome is what a loop saw.
type Outcome struct {
	Transactions int64
	// All counts those of the warm-up as well, where the loop had one.
	All int64
	// Warmed is the tick of pgbench at which its warm-up was over.
	Warmed   int
	Elapsed  time.Duration
	Latency  *Histogram
	Failures int64
	Err      error // the first failure
}

// PerSecond is the rate of transactions.
func (o Outcome) PerSecond() float64 {
	if o.Elapsed <= 0 {
		return 0
	}
	return float64(o.Transactions) / o.Elapsed.Seconds()
}

// collector merges what workers saw.
type collector struct {
	mu  sync.Mutex
	sum Outcome
}

func newCollector() *collector { return &collector{sum: Outcome{Latency: NewHistogram()}} }

func (c *collector) add(h *Histogram) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Transactions += h.Count()
	c.sum.All += h.Count()
	c.sum.Latency.Merge(h)
}

func (c *collector) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Failures++
	if c.sum.Err == nil {
		c.sum.Err = err
	}
}

// Transact does one transaction on a connection.
type Transact func(c *client.Conn, rng *rand.Rand) error

// Closed lets every connection of the crowd do transactions one after another
// for a time. A connection on which one fails leaves the loop. It ends early
// with ctx, which counts as a failure.
func Closed(ctx context.Context, crowd Crowd, d time.Duration, do Transact) Outcome {
	all := newCollector()
	stop := bound(ctx, crowd, d+answerGrace)
	defer stop()
	start := time.Now()
	end := start.Add(d)
	var wg sync.WaitGroup
	for i, c := range crowd {
		wg.Go(func() {
			h, rng := NewHistogram(), rand.New(rand.NewPCG(uint64(i), 1))
			for begin := time.Now(); begin.Before(end); {
				if err := do(c, rng); err != nil {
					all.fail(cause(ctx, err))
					break
				}
				now := time.Now()
				h.Record(now.Sub(begin))
				begin = now
			}
			all.add(h)
		})
	}
	wg.Wait()
	all.sum.Elapsed = time.Since(start)
	return all.sum
}

// answerGrace is how long the last answers of a loop may take.
const answerGrace = 10 * time.Second

// bound gives all connections a deadline, at once when ctx ends.
func bound(ctx context.Context, crowd Crowd, d time.Duration) (stop func()) {
	crowd.setDeadline(time.Now().Add(d))
	detach := context.AfterFunc(ctx, func() { crowd.setDeadline(time.Unix(1, 0)) })
	return func() {
		if detach() {
			crowd.setDeadline(time.Time{})
		}
	}
}

// cause prefers why ctx ended to the error that this brought about.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		return errors.New("no answer")
	}
	return err
}
