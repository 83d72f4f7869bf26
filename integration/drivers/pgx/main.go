package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgseal/pgseal/integration/drivers/steps"
)

var (
	ctx  = context.Background()
	a, b *pgx.Conn
)

func main() {
	steps.Version("github.com/jackc/pgx/v5")
	steps.Run("connect", func() { a, b = connect(""), connect("") })
	both := func(step func(c *pgx.Conn, name string)) func() {
		return func() {
			for range 3 {
				step(a, "a")
				step(b, "b")
			}
		}
	}
	steps.Run("types", both(types))
	steps.Run("prepared", prepared)
	steps.Run("transactions", both(transactions))
	steps.Run("pipeline", both(pipeline))
	steps.Run("copy", both(copies))
	steps.Run("cancel", cancel)
	steps.Run("listen", listen)
	steps.Run("settings", settings)
	steps.Run("errors", both(failures))
	steps.Run("reconnect", reconnect)
}

func connect(dsn string) *pgx.Conn {
	c, err := pgx.Connect(ctx, dsn)
	steps.Check(err)
	return c
}

func exec(c *pgx.Conn, sql string, args ...any) {
	_, err := c.Exec(ctx, sql, args...)
	steps.Check(err)
}

func get[T any](c *pgx.Conn, sql string, args ...any) (v T) {
	steps.Check(c.QueryRow(ctx, sql, args...).Scan(&v))
	return v
}

func types(c *pgx.Conn, _ string) {
	when := time.Date(2026, 3, 29, 1, 30, 0, 123456000, time.UTC)
	data := []byte{0, 1, '\\', '\'', 0xff}
	var n int64
	var word string
	var null *string
	var back []byte
	var at time.Time
	var list []string
	steps.Check(c.QueryRow(ctx, "SELECT $1::bigint, $2::text, $3::text, $4::bytea, $5::timestamptz, $6::text[]",
		int64(1)<<40, steps.Unicode, nil, data, when, []string{"x", steps.Unicode}).Scan(&n, &word, &null, &back, &at, &list))
	steps.Equal(n, 1<<40)
	steps.Equal(word, steps.Unicode)
	steps.Equal(null, nil)
	steps.Equal(string(back), string(data))
	steps.Equal(at.UTC(), when)
	steps.Equal(reflect.DeepEqual(list, []string{"x", steps.Unicode}), true)
}

// prepared runs statements kept by the driver and statements with names,
// equal names for different texts.
func prepared() {
	_, err := a.Prepare(ctx, "mine", "SELECT $1::int + 1")
	steps.Check(err)
	_, err = b.Prepare(ctx, "mine", "SELECT $1::int + 2")
	steps.Check(err)
	for i := range 12 {
		steps.Equal(get[int](a, "mine", i), i+1)
		steps.Equal(get[int](b, "mine", i), i+2)
		steps.Equal(get[string](a, "SELECT 'a' || $1::int::text", i)[:1], "a")
		steps.Equal(get[string](b, "SELECT 'b' || $1::int::text", i)[:1], "b")
	}
	steps.Check(a.Deallocate(ctx, "mine"))
	steps.Equal(get[int](b, "mine", 1), 3)
	_, err = a.Prepare(ctx, "mine", "SELECT $1::text || '!'")
	steps.Check(err)
	steps.Equal(get[string](a, "mine", "new"), "new!")
	steps.Check(b.DeallocateAll(ctx))
	steps.Equal(get[int](b, "SELECT $1::int", 3), 3)
	steps.Equal(get[string](a, "mine", "old"), "old!")
}

func transactions(c *pgx.Conn, name string) {
	table := steps.Tag + name
	exec(c, "DROP TABLE IF EXISTS "+table)
	exec(c, "CREATE TABLE "+table+" (n int)")
	give := errors.New("given up")
	for i, end := range []error{nil, give, nil} {
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES ($1)", i)
			return errors.Join(err, end)
		})
		steps.Equal(errors.Is(err, give), end != nil)
		if end == nil {
			steps.Check(err)
		}
	}
	steps.Equal(get[string](c, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM "+table), "0 2")
	exec(c, "DROP TABLE "+table)
}

func pipeline(c *pgx.Conn, _ string) {
	batch := &pgx.Batch{}
	for i := range 50 {
		batch.Queue("SELECT $1::int * 2", i)
		batch.Queue("SELECT $1::text", steps.Unicode)
	}
	r := c.SendBatch(ctx, batch)
	for i := range 50 {
		var n int
		var word string
		steps.Check(r.QueryRow().Scan(&n))
		steps.Check(r.QueryRow().Scan(&word))
		steps.Equal(n, 2*i)
		steps.Equal(word, steps.Unicode)
	}
	steps.Check(r.Close())

	batch = &pgx.Batch{}
	batch.Queue("SELECT 1")
	batch.Queue("SELECT 1/$1::int", 0)
	batch.Queue("SELECT 2")
	steps.Equal(state(c.SendBatch(ctx, batch).Close()), "22012")
	steps.Equal(get[int](c, "SELECT $1::int", 4), 4)
}

func copies(c *pgx.Conn, name string) {
	table := steps.Tag + name
	exec(c, "CREATE TABLE "+table+" (n int, word text)")
	rows := pgx.CopyFromSlice(5000, func(i int) ([]any, error) { return []any{i, steps.Unicode}, nil })
	n, err := c.CopyFrom(ctx, pgx.Identifier{table}, []string{"n", "word"}, rows)
	steps.Check(err)
	steps.Equal(n, 5000)
	var out bytes.Buffer
	_, err = c.PgConn().CopyTo(ctx, &out, "COPY "+table+" TO STDOUT")
	steps.Check(err)
	steps.Equal(strings.Count(out.String(), steps.Unicode), 5000)
	bad := pgx.CopyFromSlice(5, func(i int) ([]any, error) {
		if i == 3 {
			return nil, errors.New("no more")
		}
		return []any{i, "bad"}, nil
	})
	if _, err = c.CopyFrom(ctx, pgx.Identifier{table}, []string{"n", "word"}, bad); err == nil {
		steps.Fail("a COPY that the client gives up succeeds")
	}
	steps.Equal(get[int](c, "SELECT count(*) FROM "+table), 5000)
	exec(c, "DROP TABLE "+table)
}

func cancel() {
	for _, c := range []*pgx.Conn{a, b, a} {
		other := map[*pgx.Conn]*pgx.Conn{a: b, b: a}[c]
		time.AfterFunc(500*time.Millisecond, func() { c.PgConn().CancelRequest(ctx) })
		_, err := c.Exec(ctx, "SELECT pg_sleep(30)")
		steps.Equal(state(err), "57014")
		steps.Equal(get[int](other, "SELECT $1::int", 5), 5)
		steps.Equal(get[int](c, "SELECT $1::int", 6), 6)
	}
}

func listen() {
	aside := connect("dbname=" + os.Getenv("PGSEAL_TEST_ASIDE"))
	defer aside.Close(ctx)
	exec(a, "LISTEN "+steps.Tag)
	exec(aside, "SELECT pg_notify($1, $2)", steps.Tag, steps.Unicode)
	soon, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	n, err := a.WaitForNotification(soon)
	steps.Check(err)
	steps.Equal(n.Channel+n.Payload, steps.Tag+steps.Unicode)
	exec(a, "UNLISTEN *")
	steps.Equal(get[int](b, "SELECT count(*) FROM pg_listening_channels()"), 0)
}

func settings() {
	zones := map[*pgx.Conn]string{a: "Asia/Tokyo", b: "America/New_York"}
	for c, zone := range zones {
		exec(c, "SET search_path TO "+strings.ToLower(zone[:4])+", public")
		exec(c, "SET TIME ZONE '"+zone+"'")
		exec(c, "SELECT set_config('application_name', $1, false)", zone)
		exec(c, "SET statement_timeout TO '1h'")
	}
	for range 5 {
		for _, c := range []*pgx.Conn{a, b} {
			zone := zones[c]
			steps.Equal(get[string](c, "SHOW search_path"), strings.ToLower(zone[:4])+", public")
			steps.Equal(get[string](c, "SHOW TimeZone"), zone)
			steps.Equal(get[string](c, "SHOW application_name"), zone)
			steps.Equal(get[string](c, "SHOW statement_timeout"), "1h")
			steps.Equal(c.PgConn().ParameterStatus("TimeZone"), zone)
			steps.Equal(c.PgConn().ParameterStatus("application_name"), zone)
		}
	}
	exec(a, "RESET ALL")
	steps.Equal(get[string](b, "SHOW statement_timeout"), "1h")
	steps.Equal(get[string](a, "SHOW statement_timeout"), "0")
	exec(b, "RESET ALL")
}

func failures(c *pgx.Conn, _ string) {
	for sql, want := range map[string]string{"SELECT 1/0": "22012", "SELEKT": "42601", "SELECT * FROM nowhere": "42P01"} {
		_, err := c.Exec(ctx, sql)
		steps.Equal(state(err), want)
		steps.Equal(get[int](c, "SELECT $1::int", 7), 7)
	}
	tx, err := c.Begin(ctx)
	steps.Check(err)
	_, err = tx.Exec(ctx, "SELECT 1/$1::int", 0)
	steps.Equal(state(err), "22012")
	_, err = tx.Exec(ctx, "SELECT 1")
	steps.Equal(state(err), "25P02")
	steps.Check(tx.Rollback(ctx))
	steps.Equal(get[int](c, "SELECT $1::int", 8), 8)
}

func reconnect() {
	_, err := a.Exec(ctx, "SELECT 1/0")
	steps.Equal(state(err), "22012")
	steps.Check(a.Close(ctx))
	a = connect("")
	steps.Equal(get[int](a, "SELECT $1::int", 9), 9)
	steps.Equal(get[int](b, "SELECT $1::int", 9), 9)
	steps.Check(a.Close(ctx))
	steps.Check(b.Close(ctx))
}

func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return "none: " + errorText(err)
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
