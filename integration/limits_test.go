package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// withPools runs a test on each version, in a database of its own, with a pool
// of one server and with one of three.
func withPools(t *testing.T, name string, f func(t *testing.T, pg *postgres, size string)) {
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		pg.database(t, name)
		for _, size := range []string{"1", "3"} {
			t.Run("pool of "+size, func(t *testing.T) { f(t, pg, size) })
		}
	})
}

// ends waits for the error that a connection hears next.
func ends(t *testing.T, conn *pgx.Conn, state, name string) {
	t.Helper()
	_, err := conn.PgConn().ReceiveMessage(soon(t))
	if err == nil {
		t.Fatal("a message came, want an error")
	}
	e := wantState(t, err, state)
	if !strings.Contains(e.Message, name) {
		t.Errorf("the message %q does not name %s", e.Message, name)
	}
}

func TestEachTimeoutEndsItsClientAndLeavesTheServerCleanForTheNext(t *testing.T) {
	withPools(t, "limits", func(t *testing.T, pg *postgres, size string) {
		for name, c := range map[string]struct{ first, then, state string }{
			"query_timeout":            {"", "SELECT pg_sleep(60)", "57014"},
			"transaction_timeout":      {"BEGIN", "SELECT pg_sleep(60)", "25P04"},
			"idle_transaction_timeout": {"BEGIN", "", "25P03"},
			"client_idle_timeout":      {"SELECT 1", "", "57P05"},
		} {
			t.Run(name, func(t *testing.T) {
				p := start(t, pg, options{
					databases: map[string]settings{"limits": {"dbname": "limits", "pool_size": size}},
					limits:    map[string]settings{"app": {name: "300ms"}},
				})
				observer := pg.direct(t, "limits")
				conn := p.pgx(t, "limits", simpleMode)
				if c.first != "" {
					execute(t, conn, c.first)
				}
				if c.then != "" {
					_, err := conn.Exec(soon(t), c.then)
					if e := wantState(t, err, c.state); !strings.Contains(e.Message, name) {
						t.Errorf("the message %q does not name %s", e.Message, name)
					}
				} else {
					ends(t, conn, c.state, name)
				}
				eventually(t, patience, "the server is idle outside a transaction", func() bool {
					return backends(t, observer, "state = 'idle'") == backends(t, observer, "true")
				})
				if name != "client_idle_timeout" {
					execute(t, p.pgx(t, "limits", simpleMode), "SELECT 1")
				}
			})
		}
	})
}

func TestMinPoolSizeHoldsBeforeTheFirstClientHasCome(t *testing.T) {
	t.Parallel()
	withPools(t, "limits", func(t *testing.T, pg *postgres, size string) {
		observer := pg.direct(t, "limits")
		start(t, pg, options{databases: map[string]settings{"limits": {
			"dbname": "limits", "pool_size": size, "min_pool_size": "3", "user": "app", "password": appPassword,
		}}})
		eventually(t, patience, "the servers are open", func() bool { return fmt.Sprint(backends(t, observer, "true")) == size })
	})
}

func TestMaxDBConnectionsHoldsOverRolesAndIdleServersMakeRoom(t *testing.T) {
	withPools(t, "limits", func(t *testing.T, pg *postgres, size string) {
		observer := pg.direct(t, "limits")
		p := start(t, pg, options{
			databases: map[string]settings{"limits": {"dbname": "limits", "max_db_connections": size}},
			users:     map[string]string{"postgres": superPassword},
		})
		var answers []<-chan error
		for range 4 {
			answers = append(answers, inBackground(p.pgx(t, "limits", execMode), soon(t), "SELECT pg_sleep(0.2)"))
		}
		for _, answer := range answers {
			if err := receive(t, answer, "the query ends"); err != nil {
				t.Error(err)
			}
		}
		if n := fmt.Sprint(backends(t, observer, "true")); n != size {
			t.Errorf("%s servers are open, want all %s", n, size)
		}
		execute(t, p.pgx(t, "limits", execMode+" user=postgres password="+superPassword), "SELECT 1")
		var n int
		if err := observer.QueryRow(soon(t), "SELECT count(*) FROM pg_stat_activity WHERE datname = 'limits' AND pid <> pg_backend_pid()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(n) != size {
			t.Errorf("%d servers are open, want %s", n, size)
		}
	})
}

func TestTheReserveIsForClientsThatWaitLong(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{
			databases: map[string]settings{"app": {"pool_size": "1", "reserve_pool_size": "1"}},
			pool:      settings{"reserve_pool_timeout": "300ms"},
		})
		holder := p.pgx(t, "app", simpleMode)
		execute(t, holder, "BEGIN")
		began := time.Now()
		execute(t, p.pgx(t, "app", simpleMode), "SELECT 1")
		if took := time.Since(began); took < 250*time.Millisecond {
			t.Errorf("the reserve was used after %v", took)
		}
		execute(t, holder, "COMMIT")
	})
}

func TestAdmissionLimitsSayWhichTheyAreAndChangeOnReload(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		for name, set := range map[string]func(o *options, value string){
			"max_db_client_connections": func(o *options, v string) { o.databases = map[string]settings{"app": {"max_db_client_connections": v}} },
			"max_user_client_connections": func(o *options, v string) {
				o.limits = map[string]settings{"app": {"max_user_client_connections": v}}
			},
		} {
			t.Run(name, func(t *testing.T) {
				o := options{}
				set(&o, "1")
				p := start(t, pg, o)
				execute(t, p.pgx(t, "app", execMode), "SELECT 1")
				if e := refused(t, p, "app", "", "53300"); !strings.Contains(e.Message, name) {
					t.Errorf("the message %q does not name %s", e.Message, name)
				}
				set(&p.options, "2")
				p.writeConfig()
				p.reload()
				execute(t, p.pgx(t, "app", execMode), "SELECT 1")
				refused(t, p, "app", "", "53300")
			})
		}
	})
}

func TestAClientThatWaitsIsToldByANotice(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{
		databases: map[string]settings{"app": {"pool_size": "1"}},
		pool:      settings{"query_wait_notify": "200ms"},
	})
	holder := p.pgx(t, "app", simpleMode)
	execute(t, holder, "BEGIN")
	config, err := pgx.ParseConfig(p.dsn("app", simpleMode))
	if err != nil {
		t.Fatal(err)
	}
	notices := make(chan *pgconn.Notice, 10)
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices <- n }
	conn, err := pgx.ConnectConfig(soon(t), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(soon(t))
	answer := inBackground(conn, soon(t), "SELECT 1")
	if n := receive(t, notices, "the notice"); n.Severity != "NOTICE" || !strings.Contains(n.Hint, "query_wait_notify") {
		t.Errorf("got %+v", n)
	}
	execute(t, holder, "COMMIT")
	if err := receive(t, answer, "the query ends"); err != nil {
		t.Error(err)
	}
}

func TestStatementModeRefusesTransactionBlocks(t *testing.T) {
	t.Parallel()
	withPools(t, "limits", func(t *testing.T, pg *postgres, size string) {
		p := start(t, pg, options{databases: map[string]settings{"limits": {"dbname": "limits", "pool_size": size, "pool_mode": "statement"}}})
		conn := p.pgx(t, "limits", simpleMode)
		for range 3 {
			execute(t, conn, "SELECT 1")
		}
		execute(t, conn, "BEGIN; SELECT 1; COMMIT") // one message, one statement
		_, err := conn.Exec(soon(t), "BEGIN")
		if e := wantState(t, err, "0A000"); e.Severity != "FATAL" || !strings.Contains(e.Message, "statement pooling mode") {
			t.Errorf("got %+v", e)
		}
		execute(t, p.pgx(t, "limits", simpleMode), "SELECT 1")
	})
}

func TestConnectQueryIsRunOnEachServer(t *testing.T) {
	t.Parallel()
	withPools(t, "limits", func(t *testing.T, pg *postgres, size string) {
		p := start(t, pg, options{databases: map[string]settings{"limits": {
			"dbname": "limits", "pool_size": size, "connect_query": `"SET work_mem = '7MB'"`,
		}}})
		if got := p.ask(t, "limits", "SHOW work_mem"); got != "7MB" {
			t.Errorf("work_mem is %q", got)
		}
	})
}
