package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/pgseal/pgseal/integration/drivers/steps"
)

var (
	ctx  = context.Background()
	a, b *sql.DB
)

func main() {
	steps.Version("github.com/lib/pq")
	steps.Run("connect", func() { a, b = connect(), connect() })
	both := func(step func(c *sql.DB, name string)) func() {
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
	steps.Missing("pipeline", "lib/pq has none")
	steps.Run("copy", both(copies))
	steps.Run("cancel", cancel)
	steps.Run("listen", listen)
	steps.Run("settings", settings)
	steps.Run("errors", both(failures))
	steps.Run("reconnect", reconnect)
}

// connect makes a pool of one connection.
func connect() *sql.DB {
	db, err := sql.Open("postgres", "")
	steps.Check(err)
	db.SetMaxOpenConns(1)
	steps.Check(db.Ping())
	return db
}

func exec(c *sql.DB, query string, args ...any) {
	_, err := c.Exec(query, args...)
	steps.Check(err)
}

func get[T any](c *sql.DB, query string, args ...any) (v T) {
	steps.Check(c.QueryRow(query, args...).Scan(&v))
	return v
}

func types(c *sql.DB, _ string) {
	when := time.Date(2026, 3, 29, 1, 30, 0, 123456000, time.UTC)
	data := []byte{0, 1, '\\', '\'', 0xff}
	var n int64
	var word string
	var null sql.NullString
	var back []byte
	var at time.Time
	var list []string
	steps.Check(c.QueryRow("SELECT $1::bigint, $2::text, $3::text, $4::bytea, $5::timestamptz, $6::text[]",
		int64(1)<<40, steps.Unicode, nil, data, when, pq.Array([]string{"x", steps.Unicode})).
		Scan(&n, &word, &null, &back, &at, pq.Array(&list)))
	steps.Equal(n, 1<<40)
	steps.Equal(word, steps.Unicode)
	steps.Equal(null.Valid, false)
	steps.Equal(string(back), string(data))
	steps.Equal(at.UTC(), when)
	steps.Equal(reflect.DeepEqual(list, []string{"x", steps.Unicode}), true)
}

func prepared() {
	one, err := a.Prepare("SELECT $1::int + 1")
	steps.Check(err)
	two, err := b.Prepare("SELECT $1::int + 2")
	steps.Check(err)
	for i := range 12 {
		var n, m int
		steps.Check(one.QueryRow(i).Scan(&n))
		steps.Check(two.QueryRow(i).Scan(&m))
		steps.Equal(n, i+1)
		steps.Equal(m, i+2)
		steps.Equal(get[string](a, "SELECT 'a' || $1::int::text", i)[:1], "a")
		steps.Equal(get[string](b, "SELECT 'b' || $1::int::text", i)[:1], "b")
	}
	steps.Check(one.Close())
	steps.Check(two.Close())
}

func transactions(c *sql.DB, name string) {
	table := steps.Tag + name
	exec(c, "DROP TABLE IF EXISTS "+table)
	exec(c, "CREATE TABLE "+table+" (n int)")
	for i, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx, err := c.Begin()
		steps.Check(err)
		_, err = tx.Exec("INSERT INTO "+table+" VALUES ($1)", i)
		steps.Check(err)
		steps.Check(end(tx))
	}
	steps.Equal(get[string](c, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM "+table), "0 2")
	exec(c, "DROP TABLE "+table)
}

func copies(c *sql.DB, name string) {
	table := steps.Tag + name
	tx, err := c.Begin()
	steps.Check(err)
	_, err = tx.Exec("CREATE TABLE " + table + " (n int, word text)")
	steps.Check(err)
	in, err := tx.Prepare("COPY " + table + " (n, word) FROM STDIN")
	steps.Check(err)
	for i := range 5000 {
		_, err := in.Exec(i, steps.Unicode)
		steps.Check(err)
	}
	_, err = in.Exec()
	steps.Check(err)
	steps.Check(in.Close())
	steps.Check(tx.Commit())
	steps.Equal(get[int](c, "SELECT count(*) FROM "+table+" WHERE word = $1", steps.Unicode), 5000)
	exec(c, "DROP TABLE "+table)
}

func cancel() {
	for range 3 {
		soon, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := a.ExecContext(soon, "SELECT pg_sleep(30)")
		stop()
		if !errors.Is(err, context.DeadlineExceeded) && state(err) != "57014" {
			steps.Fail("got %v, want a canceled query", err)
		}
		steps.Equal(get[int](b, "SELECT $1::int", 5), 5)
		steps.Equal(get[int](a, "SELECT $1::int", 6), 6)
	}
}

func listen() {
	aside, err := sql.Open("postgres", "dbname="+os.Getenv("PGSEAL_TEST_ASIDE"))
	steps.Check(err)
	defer aside.Close()
	l := pq.NewListener("", time.Second, time.Second, nil)
	defer l.Close()
	steps.Check(l.Listen(steps.Tag))
	exec(aside, "SELECT pg_notify($1, $2)", steps.Tag, steps.Unicode)
	select {
	case n := <-l.Notify:
		steps.Equal(n.Channel+n.Extra, steps.Tag+steps.Unicode)
	case <-time.After(10 * time.Second):
		steps.Fail("no notification")
	}
	steps.Check(l.UnlistenAll())
	steps.Equal(get[int](a, "SELECT count(*) FROM pg_listening_channels()"), 0)
}

func settings() {
	zones := map[*sql.DB]string{a: "Asia/Tokyo", b: "America/New_York"}
	for c, zone := range zones {
		exec(c, "SET search_path TO "+strings.ToLower(zone[:4])+", public")
		exec(c, "SET TIME ZONE '"+zone+"'")
		exec(c, "SELECT set_config('application_name', $1, false)", zone)
		exec(c, "SET statement_timeout TO '1h'")
	}
	for range 5 {
		for _, c := range []*sql.DB{a, b} {
			zone := zones[c]
			steps.Equal(get[string](c, "SHOW search_path"), strings.ToLower(zone[:4])+", public")
			steps.Equal(get[string](c, "SHOW TimeZone"), zone)
			steps.Equal(get[string](c, "SHOW application_name"), zone)
			steps.Equal(get[string](c, "SHOW statement_timeout"), "1h")
		}
	}
	exec(a, "RESET ALL")
	steps.Equal(get[string](b, "SHOW statement_timeout"), "1h")
	steps.Equal(get[string](a, "SHOW statement_timeout"), "0")
	exec(b, "RESET ALL")
}

func failures(c *sql.DB, _ string) {
	for query, want := range map[string]string{"SELECT 1/0": "22012", "SELEKT": "42601", "SELECT * FROM nowhere": "42P01"} {
		_, err := c.Exec(query)
		steps.Equal(state(err), want)
		steps.Equal(get[int](c, "SELECT $1::int", 7), 7)
	}
	tx, err := c.Begin()
	steps.Check(err)
	_, err = tx.Exec("SELECT 1/$1::int", 0)
	steps.Equal(state(err), "22012")
	_, err = tx.Exec("SELECT 1")
	steps.Equal(state(err), "25P02")
	steps.Check(tx.Rollback())
	steps.Equal(get[int](c, "SELECT $1::int", 8), 8)
}

func reconnect() {
	_, err := a.Exec("SELECT 1/0")
	steps.Equal(state(err), "22012")
	steps.Check(a.Close())
	a = connect()
	steps.Equal(get[int](a, "SELECT $1::int", 9), 9)
	steps.Equal(get[int](b, "SELECT $1::int", 9), 9)
	steps.Check(a.Close())
	steps.Check(b.Close())
}

func state(err error) string {
	var e *pq.Error
	switch {
	case errors.As(err, &e):
		return string(e.Code)
	case err == nil:
		return "no error"
	}
	return err.Error()
}
