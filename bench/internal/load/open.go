package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// OpenLoop is transactions at a fixed rate, whatever the answers do.
type OpenLoop struct {
	Rate     float64 // transactions per second
	Duration time.Duration
	// SleepUntil waits for a moment, more exactly than the runtime's timers
	// do. nil stands for the system's best.
	SleepUntil func(time.Time)
	// Observe, if set, is told of each transaction: when it was due, counted
	// from the start, and how long it took from then. Any worker calls it.
	Observe func(due, latency time.Duration)
}

// Run sends transactions when they are due, each on whichever connection of the
// crowd is free, and waits for all that were due. Latency counts from the due
// time. What is not answered ten seconds after the end counts as failed, and what
// no connection was left for with the latency that it has at the end.
func (l OpenLoop) Run(ctx context.Context, crowd Crowd, do Transact) Outcome {
	all := newCollector()
	stop := bound(ctx, crowd, l.Duration+answerGrace)
	defer stop()
	total := int(l.Rate * l.Duration.Seconds())
	interval := time.Duration(float64(time.Second) / l.Rate)
	// Room for all, so that the pacer never waits for a worker.
	due := make(chan time.Duration, total)
	start := time.Now()
	go l.pace(ctx, start, interval, total, due)
	var wg sync.WaitGroup
	for i, c := range crowd {
		wg.Go(func() {
			h, rng := NewHistogram(), rand.New(rand.NewPCG(uint64(i), 2))
			for at := range due {
				err := do(c, rng)
				latency := time.Since(start) - at
				if err != nil {
					all.fail(cause(ctx, err))
					break
				}
				h.Record(latency)
				if l.Observe != nil {
					l.Observe(at, latency)
				}
			}
			all.add(h)
		})
	}
	wg.Wait()
	var unserved []time.Duration
	for at := range due { // all connections failed before it was their turn
		unserved = append(unserved, at)
	}
	all.sum.Elapsed = max(time.Since(start), l.Duration)
	for _, at := range unserved {
		all.sum.Latency.Record(time.Since(start) - at)
		all.fail(cause(ctx, nil))
	}
	return all.sum
}

func (l OpenLoop) pace(ctx context.Context, start time.Time, interval time.Duration, total int, due chan<- time.Duration) {
	defer close(due)
	sleep := l.SleepUntil
	if sleep == nil {
		var release func()
		sleep, release = preciseSleep()
		defer release()
	}
	for i := range total {
		if ctx.Err() != nil {
			return
		}
		at := time.Duration(i) * interval
		sleep(start.Add(at))
		due <- at
	}
}
