package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pgxModes are the ways of pgx to run a query.
var pgxModes = []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"}

func TestPgxWorksInEveryQueryMode(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		for _, database := range []string{"transaction", "session"} {
			for _, mode := range pgxModes {
				t.Run(mode+" in "+database+" mode", func(t *testing.T) {
					// More clients than servers, so that clients change servers.
					var clients sync.WaitGroup
					for i := range 4 {
						clients.Go(func() {
							table := fmt.Sprintf("pgx_%s_%s_%d", database, mode, i)
							if err := exercisePgx(soon(t), p, database, "default_query_exec_mode="+mode, table); err != nil {
								t.Errorf("client %d: %v", i, err)
							}
						})
					}
					clients.Wait()
				})
			}
		}
	})
}

// exercisePgx does with a connection what applications do.
func exercisePgx(ctx context.Context, p *pgseal, database, mode, table string) error {
	conn, err := p.tryPgx(ctx, database, mode)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE UNLOGGED TABLE "+table+" (n int PRIMARY KEY, word text)"); err != nil {
		return err
	}
	steps := []struct {
		name string
		do   func(context.Context, *pgx.Conn, string) error
	}{
		{"values", pgxValues}, {"errors", pgxErrors}, {"transactions", pgxTransactions},
		{"batch", pgxBatch}, {"pipeline", pgxPipeline}, {"COPY", pgxCopy},
	}
	for _, step := range steps {
		if err := step.do(ctx, conn, table); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	_, err = conn.Exec(ctx, "DROP TABLE "+table)
	return err
}

// pgxValues sends and gets values of several kinds and sizes.
func pgxValues(ctx context.Context, conn *pgx.Conn, _ string) error {
	for round := range 20 {
		long := strings.Repeat("ö", 1<<round)
		var n int64
		var back string
		var null *string
		err := conn.QueryRow(ctx, "SELECT $1::bigint + 1, $2::text, $3::text", int64(1)<<40, long, nil).Scan(&n, &back, &null)
		if err != nil {
			return err
		}
		if n != 1<<40+1 || back != long || null != nil {
			return fmt.Errorf("values of round %d came back changed", round)
		}
	}
	rows, err := conn.Query(ctx, "SELECT n FROM generate_series(1, $1::int) n", 5000)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(list) != 5000 || list[4999] != 5000 {
		return fmt.Errorf("%d rows, %v", len(list), err)
	}
	return nil
}

// pgxErrors sees that an error ends a query and not the session.
func pgxErrors(ctx context.Context, conn *pgx.Conn, table string) error {
	for sql, state := range map[string]string{
		"SELECT 1/0":               "22012",
		"SELECT nonsense":          "42703",
		"SELEKT":                   "42601",
		"SELECT * FROM no" + table: "42P01",
	} {
		if _, err := conn.Exec(ctx, sql); sqlState(err) != state {
			return fmt.Errorf("got %v, want SQLSTATE %s", err, state)
		}
	}
	var one int
	return conn.QueryRow(ctx, "SELECT 1").Scan(&one)
}

// pgxTransactions commits one transaction, rolls one back and fails one.
func pgxTransactions(ctx context.Context, conn *pgx.Conn, table string) error {
	insert := func(n int) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			var before, after int
			err := tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&before)
			if err == nil {
				_, err = tx.Exec(ctx, "INSERT INTO "+table+" VALUES ($1, 'transaction')", n)
			}
			if err == nil {
				err = tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&after)
			}
			if err == nil && before != after {
				err = errors.New("the server changed within a transaction")
			}
			return err
		}
	}
	if err := pgx.BeginFunc(ctx, conn, insert(-1)); err != nil {
		return err
	}
	giveUp := errors.New("given up")
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		return errors.Join(insert(-2)(tx), giveUp)
	})
	if !errors.Is(err, giveUp) {
		return err
	}
	if err := pgx.BeginFunc(ctx, conn, insert(-1)); sqlState(err) != "23505" {
		return fmt.Errorf("got %v, want a unique violation", err)
	}
	var n int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != 1 {
		return fmt.Errorf("%d rows, %v, want the one that was committed", n, err)
	}
	return nil
}

// pgxBatch sends many statements at once, and then a batch in which one fails.
func pgxBatch(ctx context.Context, conn *pgx.Conn, table string) error {
	batch := &pgx.Batch{}
	for i := range 100 {
		batch.Queue("INSERT INTO "+table+" VALUES ($1, $2)", i, "batch")
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	bad := &pgx.Batch{}
	bad.Queue("SELECT 1")
	bad.Queue("INSERT INTO "+table+" VALUES ($1, $2)", 5, "again")
	bad.Queue("SELECT 2")
	if err := conn.SendBatch(ctx, bad).Close(); sqlState(err) != "23505" {
		return fmt.Errorf("got %v, want a unique violation", err)
	}
	var n int
	err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE word = 'batch'").Scan(&n)
	if err != nil || n != 100 {
		return fmt.Errorf("%d rows, %v, want 100", n, err)
	}
	return nil
}

// pgxPipeline keeps several Syncs under way, with an error between them.
func pgxPipeline(ctx context.Context, conn *pgx.Conn, _ string) error {
	const syncs = 30
	pipeline := conn.PgConn().StartPipeline(ctx)
	for i := range syncs {
		sql := "SELECT $1::int + 1"
		if i == 7 {
			sql = "SELECT $1::int / 0"
		}
		pipeline.SendQueryParams(sql, [][]byte{fmt.Append(nil, i)}, nil, nil, nil)
		if err := pipeline.Sync(); err != nil {
			return err
		}
	}
	answers, failures := 0, 0
	for seen := 0; seen < syncs; {
		result, err := pipeline.GetResults()
		if err != nil {
			if sqlState(err) != "22012" {
				return err
			}
			failures++
			continue
		}
		switch r := result.(type) {
		case *pgconn.ResultReader:
			rows := r.Read()
			if rows.Err != nil {
				if sqlState(rows.Err) != "22012" {
					return rows.Err
				}
				failures++
			} else if got := string(rows.Rows[0][0]); got != fmt.Sprint(seen+1) {
				return fmt.Errorf("answer %d is %s", seen, got)
			} else {
				answers++
			}
		case *pgconn.PipelineSync:
			seen++
		}
	}
	if answers != syncs-1 || failures != 1 {
		return fmt.Errorf("%d answers and %d errors", answers, failures)
	}
	return pipeline.Close()
}

// pgxCopy copies rows in, and out again.
func pgxCopy(ctx context.Context, conn *pgx.Conn, table string) error {
	const rows = 20_000
	n, err := conn.CopyFrom(ctx, pgx.Identifier{table}, []string{"n", "word"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) {
		return []any{1000 + i, strings.Repeat("x", i%50)}, nil
	}))
	if err != nil || n != rows {
		return fmt.Errorf("copied %d rows in, %v", n, err)
	}
	var out bytes.Buffer
	tag, err := conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM "+table+" WHERE n >= 1000 ORDER BY n) TO STDOUT")
	if err != nil || tag.RowsAffected() != rows || bytes.Count(out.Bytes(), []byte("\n")) != rows {
		return fmt.Errorf("copied %d rows out, %v", tag.RowsAffected(), err)
	}
	if !bytes.HasPrefix(out.Bytes(), []byte("1000\t\n1001\tx\n1002\txx\n")) {
		return errors.New("rows came back changed")
	}
	failing := io.MultiReader(strings.NewReader("1\tone\n"), errorReader{})
	if _, err := conn.PgConn().CopyFrom(ctx, failing, "COPY "+table+" FROM STDIN"); sqlState(err) != "57014" {
		return fmt.Errorf("a COPY that the client gave up: %v", err)
	}
	if _, err := conn.PgConn().CopyFrom(ctx, strings.NewReader("no number\tone\n"), "COPY "+table+" FROM STDIN"); sqlState(err) != "22P02" {
		return fmt.Errorf("a COPY of bad data: %v", err)
	}
	var one int
	return conn.QueryRow(ctx, "SELECT 1").Scan(&one)
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("given up") }

func TestPgxGivesUpAQueryWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		observer := pg.direct(t, "app")
		for _, mode := range []string{"transaction", "session"} {
			conn := p.pgx(t, mode, execMode)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_, err := conn.Exec(ctx, "SELECT pg_sleep(300)")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s mode: got %v, want the context's error", mode, err)
			}
			eventually(t, patience, "no query is left behind", func() bool {
				return backends(t, observer, "state = 'active'") == 0
			})
		}
	})
}

func TestAListenerGetsItsNotificationsInSessionMode(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		waiting, other := p.pgx(t, "session", ""), p.pgx(t, "transaction", execMode)
		execute(t, waiting, "LISTEN news")
		for i := range 10 {
			execute(t, other, "SELECT pg_notify('news', $1)", fmt.Sprint(i))
			got, err := waiting.WaitForNotification(soon(t))
			if err != nil || got.Channel != "news" || got.Payload != fmt.Sprint(i) {
				t.Fatalf("notification %d: %v, %v", i, got, err)
			}
		}
		execute(t, waiting, "UNLISTEN *")
	})
}
