package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/load"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

const (
	megabyte = 1e6

	// A chunk of COPY data is about as large as libpq's users send.
	rowsInChunk = 512

	bulkTimeout = 5 * time.Minute
)

// bulk: how fast does much data pass?
func bulk(e *Env) []*Case {
	rows, name := 1_000_000, "COPY and a million rows"
	if e.Quick {
		rows, name = 100_000, "COPY and 100,000 rows"
	}
	return []*Case{{
		Case:     result.Case{Scenario: "bulk", Name: name, Clients: 1},
		Sample:   time.Duration(rows) * 5 * time.Microsecond,
		LeaveOut: func(*targets.Target) string { return "" },
		Take: func(ctx context.Context, t *targets.Target) (Metrics, error) {
			return e.takeBulk(ctx, t, rows)
		},
	}}
}

func (e *Env) takeBulk(ctx context.Context, t *targets.Target, rows int) (Metrics, error) {
	crowd, err := load.Connect(ctx, t.Endpoint, 1)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	c := crowd[0]
	c.SetDeadline(time.Now().Add(bulkTimeout))
	detach := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer detach()
	metrics := Metrics{}
	m := e.begin(t)
	total := int64(0)
	for _, part := range []struct {
		metric string
		run    func(*client.Conn, int) (int64, error)
	}{{"copy_out_mb_s", copyOut}, {"rows_mb_s", selectRows}, {"copy_in_mb_s", copyIn}} {
		begin := time.Now()
		n, err := part.run(c, rows)
		if err != nil {
			m.finish()
			return nil, errors.Join(err, ctx.Err())
		}
		metrics[part.metric] = float64(n) / megabyte / time.Since(begin).Seconds()
		total += n
	}
	cpu, has, err := m.spent()
	m.finish()
	if err != nil {
		return nil, err
	}
	if has {
		metrics["cpu_ms_per_mb"] = cpu.Total().Seconds() * 1000 / (float64(total) / megabyte)
	}
	return metrics, m.memory(metrics)
}

// source is that many rows, out of tables that may have fewer.
func source(rows int) string {
	return fmt.Sprintf("SELECT i AS aid, 1 AS bid, 0 AS abalance, repeat(' ', 84)::char(84) AS filler FROM generate_series(1, %d) i", rows)
}

func copyOut(c *client.Conn, rows int) (int64, error) {
	r, err := c.Query("COPY (" + source(rows) + ") TO STDOUT")
	return r.Bytes, err
}

func selectRows(c *client.Conn, rows int) (int64, error) {
	r, err := c.Query(source(rows))
	if err == nil && r.Rows != rows {
		err = fmt.Errorf("%d rows came of %d", r.Rows, rows)
	}
	return r.Bytes, err
}

// copyIn fills a table that the end of the transaction drops again.
func copyIn(c *client.Conn, rows int) (int64, error) {
	if _, err := c.Query("BEGIN; CREATE TEMP TABLE pgseal_bench (aid int, bid int, abalance int, filler char(84)) ON COMMIT DROP"); err != nil {
		return 0, err
	}
	chunk := []byte(strings.Repeat("123456\t1\t0\t"+strings.Repeat(" ", 84)+"\n", rowsInChunk))
	n, err := c.CopyIn("COPY pgseal_bench FROM STDIN", chunk, (rows+rowsInChunk-1)/rowsInChunk)
	if err != nil {
		return n, err
	}
	_, err = c.Query("COMMIT")
	return n, err
}
