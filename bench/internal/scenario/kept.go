package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

const (
	// moved is how many bytes each client moves in each direction.
	moved = 10_000_000

	// movers is how many clients move theirs at the same time.
	movers = 8

	// keptSettle is how long a target may take to give memory back.
	keptSettle = 15 * time.Second
)

// kept: what does a client cost that does nothing, but has moved much once?
func kept(e *Env) []*Case {
	var list []*Case
	for _, n := range e.clients([]int{500}, nil) {
		list = append(list, keptCase(e, n))
	}
	return list
}

func keptCase(e *Env, clients int) *Case {
	c := idleCase(e, clients)
	c.Case = result.Case{Scenario: "kept", Name: fmt.Sprintf("%d idle TLS clients that moved 10 MB both ways", clients), Clients: clients}
	c.Sample = keptSettle + time.Duration(clients)*150*time.Millisecond
	c.Take = func(ctx context.Context, t *targets.Target) (Metrics, error) {
		return e.takeMemory(ctx, t, clients, keptSettle, moveBothWays)
	}
	return c
}

// moveBothWays lets some clients at a time move much out and in.
func moveBothWays(ctx context.Context, crowd load.Crowd) error {
	next := make(chan *client.Conn)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for range movers {
		wg.Go(func() {
			for c := range next {
				c.SetDeadline(time.Now().Add(bulkTimeout))
				if err := move(c); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, c := range crowd {
		if ctx.Err() != nil {
			break
		}
		next <- c
	}
	close(next)
	wg.Wait()
	return errors.Join(context.Cause(ctx), errors.Join(errs...))
}

// move moves data that PostgreSQL makes up and throws away.
func move(c *client.Conn) error {
	const row = 1000
	out := fmt.Sprintf("COPY (SELECT repeat('x', %d) FROM generate_series(1, %d)) TO STDOUT", row-1, moved/row)
	if r, err := c.Query(out); err != nil || r.Bytes != moved {
		return errors.Join(fmt.Errorf("%d bytes came of %d", r.Bytes, moved), err)
	}
	if _, err := c.Query("BEGIN; CREATE TEMP TABLE pgseal_bench (t text) ON COMMIT DROP"); err != nil {
		return err
	}
	const rows = 50
	chunk := []byte(strings.Repeat(strings.Repeat("x", row-1)+"\n", rows))
	if _, err := c.CopyIn("COPY pgseal_bench FROM STDIN WHERE t IS NULL", chunk, moved/row/rows); err != nil {
		return err
	}
	_, err := c.Query("COMMIT")
	return err
}
