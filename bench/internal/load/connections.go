package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
)

// loginsAtOnce is how many clients of a crowd log in at the same time.
const loginsAtOnce = 32

// Crowd is a number of connections to one endpoint.
type Crowd []*client.Conn

// Connect logs in n clients, some at a time. If one can't, none stays.
func Connect(ctx context.Context, e *client.Endpoint, n int) (Crowd, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	crowd := make(Crowd, n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, loginsAtOnce) {
		wg.Go(func() {
			for i := range next {
				c, err := client.Dial(ctx, e)
				if err != nil {
					cancel(fmt.Errorf("client %d of %d: %w", i+1, n, err))
					continue
				}
				crowd[i] = c
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		crowd.Close()
		return nil, context.Cause(ctx)
	}
	return crowd, nil
}

func (c Crowd) setDeadline(t time.Time) {
	for _, conn := range c {
		if conn != nil {
			conn.SetDeadline(t)
		}
	}
}

// Close closes all of them.
func (c Crowd) Close() {
	for _, conn := range c {
		if conn != nil {
			conn.Close()
		}
	}
}
