package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lib/pq"
)

// pqSetups are lib/pq's ways to run a query, in each pool mode. By default it
// prepares a statement in one round trip and runs it in the next.
var pqSetups = []struct{ database, more string }{
	{"transaction", ""}, {"transaction", "binary_parameters=yes"}, {"session", ""},
}

func TestPqWorksInBothPoolModes(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		for i, setup := range pqSetups {
			t.Run(setup.database+" mode "+setup.more, func(t *testing.T) {
				db := p.pq(t, setup.database, setup.more)
				var n int
				var word string
				if err := db.QueryRowContext(soon(t), "SELECT $1::int + 1, $2::text", 41, "näher").Scan(&n, &word); err != nil || n != 42 || word != "näher" {
					t.Fatalf("got %d, %q, %v", n, word, err)
				}
				var e *pq.Error
				if _, err := db.ExecContext(soon(t), "SELECT 1/0"); !errors.As(err, &e) || e.Code != "22012" {
					t.Fatalf("got %v, want division by zero", err)
				}
				pqTransaction(t, db, fmt.Sprintf("pq_%d_%s", i, pg.version))
			})
		}
	})
}

// pqTransaction copies rows into a new table in a transaction, with a prepared
// statement in it.
func pqTransaction(t *testing.T, db *sql.DB, table string) {
	t.Helper()
	const rows = 5000
	tx, err := db.BeginTx(soon(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("CREATE TABLE " + table + " (n int, word text)"); err != nil {
		t.Fatal(err)
	}
	in, err := tx.Prepare("COPY " + table + " (n, word) FROM STDIN")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if _, err := in.Exec(i, "word"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Exec(); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	query, err := tx.Prepare("SELECT count(*) FROM " + table + " WHERE n >= $1")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{0, 1000} {
		var n int
		if err := query.QueryRow(from).Scan(&n); err != nil || n != rows-from {
			t.Fatalf("%d rows from %d, %v", n, from, err)
		}
	}
}

func TestPqGetsTheStartupParametersItAsksFor(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		for _, setup := range pqSetups {
			db := p.pq(t, setup.database, setup.more+" application_name=orders client_encoding=UTF8 DateStyle='ISO, DMY' extra_float_digits=1 TimeZone=Asia/Tokyo")
			for name, want := range map[string]string{
				"application_name": "orders", "client_encoding": "UTF8", "DateStyle": "ISO, DMY",
				"extra_float_digits": "1", "TimeZone": "Asia/Tokyo",
			} {
				var got string
				if err := db.QueryRowContext(soon(t), "SHOW "+name).Scan(&got); err != nil || got != want {
					t.Errorf("%s mode: %s is %q, %v, want %q", setup.database, name, got, err, want)
				}
			}
		}
	})
}

func TestPqCancelsAQueryWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: bothModes()})
		observer := pg.direct(t, "app")
		for _, setup := range pqSetups {
			db := p.pq(t, setup.database, setup.more)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_, err := db.ExecContext(ctx, "SELECT pg_sleep(300)")
			cancel()
			var e *pq.Error
			if !errors.Is(err, context.DeadlineExceeded) && (!errors.As(err, &e) || e.Code != "57014") {
				t.Errorf("%s mode: got %v, want a canceled query", setup.database, err)
			}
			eventually(t, patience, "no query is left behind", func() bool {
				return backends(t, observer, "state = 'active'") == 0
			})
			var one int
			if err := db.QueryRowContext(soon(t), "SELECT 1").Scan(&one); err != nil {
				t.Errorf("%s mode: the query after it: %v", setup.database, err)
			}
		}
	})
}
