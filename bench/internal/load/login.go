package load

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
)

// probeSQL is the cheapest query that needs a server.
const probeSQL = "SELECT 1"

// Logins is what a loop of logins saw.
type Logins struct {
	Outcome              // latency from connect to ready for a query
	WithQuery *Histogram // latency from connect to the answer of one query
}

// LogIn lets a number of clients log in, run one query and close, over and
// over, for a time. After ten failures in a row a client gives up.
func LogIn(ctx context.Context, e *client.Endpoint, clients int, d time.Duration) Logins {
	login, whole := newCollector(), newCollector()
	start := time.Now()
	end := start.Add(d)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			h, w := NewHistogram(), NewHistogram()
			failed := 0
			for failed < 10 && ctx.Err() == nil && time.Now().Before(end) {
				ready, answered, err := loginOnce(ctx, e)
				if err != nil {
					login.fail(cause(ctx, err))
					failed++
					continue
				}
				failed = 0
				h.Record(ready)
				w.Record(answered)
			}
			login.add(h)
			whole.add(w)
		})
	}
	wg.Wait()
	login.sum.Elapsed = time.Since(start)
	return Logins{Outcome: login.sum, WithQuery: whole.sum.Latency}
}

func loginOnce(ctx context.Context, e *client.Endpoint) (ready, answered time.Duration, err error) {
	begin := time.Now()
	c, err := client.Dial(ctx, e)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	ready = time.Since(begin)
	c.SetDeadline(time.Now().Add(answerGrace))
	_, err = c.Query(probeSQL)
	return ready, time.Since(begin), err
}

// Reconnect lets a number of clients log in, prepare and describe so many
// statements, run each once and close, over and over, for a time. Latency is
// that of the whole. After ten failures in a row a client gives up.
func Reconnect(ctx context.Context, e *client.Endpoint, clients, statements int, d time.Duration) Outcome {
	all := newCollector()
	start := time.Now()
	end := start.Add(d)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			h := NewHistogram()
			failed := 0
			for failed < 10 && ctx.Err() == nil && time.Now().Before(end) {
				begin := time.Now()
				if err := prepareOnce(ctx, e, statements); err != nil {
					all.fail(cause(ctx, err))
					failed++
					continue
				}
				failed = 0
				h.Record(time.Since(begin))
			}
			all.add(h)
		})
	}
	wg.Wait()
	all.sum.Elapsed = time.Since(start)
	return all.sum
}

func prepareOnce(ctx context.Context, e *client.Endpoint, statements int) error {
	c, err := client.Dial(ctx, e)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerGrace))
	for i := range statements {
		if err := c.Describe(strconv.Itoa(i), fmt.Sprintf("SELECT abalance + %d FROM pgbench_accounts WHERE aid = $1", i)); err != nil {
			return err
		}
	}
	for i := range statements {
		if _, err := c.Prepared(strconv.Itoa(i), "1"); err != nil {
			return err
		}
	}
	return nil
}

// Storm is what a burst of logins saw.
type Storm struct {
	All      time.Duration // until the last client had its answer
	Slowest  time.Duration
	Failures int64
	Err      error // the first failure
	Crowd    Crowd // those that are in, still connected
}

// StormIn lets n clients log in at the same moment and run one query each. They
// stay connected: the caller closes the crowd.
func StormIn(ctx context.Context, e *client.Endpoint, n int) Storm {
	all := newCollector()
	crowd := make(Crowd, n)
	ready, gate := sync.WaitGroup{}, make(chan struct{})
	var wg sync.WaitGroup
	var start time.Time
	for i := range n {
		ready.Add(1)
		wg.Go(func() {
			h := NewHistogram()
			ready.Done()
			<-gate
			c, err := client.Dial(ctx, e)
			if err == nil {
				crowd[i] = c
				c.SetDeadline(time.Now().Add(3 * answerGrace))
				_, err = c.Query(probeSQL)
			}
			h.Record(time.Since(start))
			if err != nil {
				all.fail(cause(ctx, err))
				return
			}
			all.add(h)
		})
	}
	ready.Wait()
	start = time.Now()
	close(gate)
	wg.Wait()
	return Storm{
		All: time.Since(start), Slowest: all.sum.Latency.Max(),
		Failures: all.sum.Failures, Err: all.sum.Err, Crowd: crowd,
	}
}
