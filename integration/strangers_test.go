package integration

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// exchange sends messages as they are and returns what is answered until the
// server is ready as often as was asked for, in short.
func exchange(t *testing.T, conn *pgx.Conn, readies int, messages ...pgproto3.FrontendMessage) (said []string) {
	t.Helper()
	front := conn.PgConn().Frontend()
	for _, m := range messages {
		front.Send(m)
	}
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for readies > 0 {
		m, err := conn.PgConn().ReceiveMessage(ctx)
		if err != nil {
			t.Fatalf("after %q: %v", said, err)
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			readies--
			said = append(said, "ready "+string(m.TxStatus))
		case *pgproto3.ErrorResponse:
			said = append(said, "error "+m.Code)
		case *pgproto3.DataRow:
			said = append(said, fmt.Sprintf("row %s", m.Values))
		case *pgproto3.CommandComplete:
			said = append(said, string(m.CommandTag))
		case *pgproto3.ParameterStatus, *pgproto3.NoticeResponse:
		default:
			said = append(said, fmt.Sprintf("%T", m)[len("*pgproto3."):])
		}
	}
	return said
}

func saidIs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func ask(sql string) []pgproto3.FrontendMessage { // unnamed
	return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}
}

func TestAFunctionCallThatSetsAParameterReachesNobodyElse(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		other := p.simple(t, "")
		for _, name := range []string{"search_path", "app.tenant"} {
			conn := p.simple(t, "")
			exchange(t, conn, 1, &pgproto3.FunctionCall{Function: 2078, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte(name), []byte("evil"), []byte("f")}})
			for range 2 * servers {
				stranger(t, other, "SELECT coalesce(current_setting('"+name+"', true), '') = 'evil'", "f")
			}
		}
	})
}

func TestClientsWithRolesGetTheirTurn(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		super := p.pg.direct(t, "app")
		role := fmt.Sprintf("busy_%s_%d", p.pg.version, servers)
		execute(t, super, "CREATE ROLE "+role)
		execute(t, super, "GRANT "+role+" TO app")
		stop := make(chan struct{})
		var busy sync.WaitGroup
		for range 8 {
			other := p.simple(t, "")
			busy.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := other.Exec(t.Context(), "SELECT pg_sleep(0.005)"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		conn := p.simple(t, "")
		execute(t, conn, "SET ROLE "+role)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			begin := time.Now()
			if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
			cancel()
		}
		close(stop)
		busy.Wait()
		conn.Close(t.Context())
		execute(t, super, "DROP ROLE "+role)
	})
}

func TestAResetOfTheRoleComesFirst(t *testing.T) {
	t.Parallel()
	onPoolsSince(t, 15, nil, func(t *testing.T, p *pgseal, servers int) {
		super := p.pg.direct(t, "app")
		role := fmt.Sprintf("weak_%s_%d", p.pg.version, servers)
		execute(t, super, "CREATE ROLE "+role)
		execute(t, super, "GRANT "+role+" TO app")
		execute(t, super, "GRANT SET ON PARAMETER log_min_duration_statement TO app")
		conn, other := p.simple(t, ""), p.simple(t, "")
		execute(t, conn, "SET log_min_duration_statement = 1234")
		execute(t, conn, "SET ROLE "+role)
		value(t, conn, "SELECT 1")
		for range 2 * servers {
			stranger(t, other, "SELECT current_user", "app")
		}
		conn.Close(t.Context())
		other.Close(t.Context())
	})
}

func TestLastvalByAStatementPreparedElsewhere(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		setup, conn := p.simple(t, ""), p.simple(t, "")
		sequence := fmt.Sprintf("bound_%d", servers)
		execute(t, setup, "DROP SEQUENCE IF EXISTS "+sequence)
		execute(t, setup, "CREATE SEQUENCE "+sequence)
		exchange(t, conn, 1, &pgproto3.Parse{Name: "q", Query: "SELECT lastval()"}, &pgproto3.Sync{})
		for range servers + 2 {
			value(t, setup, "SELECT nextval('"+sequence+"')")
		}
		saidIs(t, exchange(t, conn, 1, &pgproto3.Bind{PreparedStatement: "q"}, &pgproto3.Execute{}, &pgproto3.Sync{}), "BindComplete", "error 55000", "ready I")
	})
}

func TestTheUnnamedStatementOutlivesOurQuestions(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		conn := p.simple(t, "")
		want := []string{"BindComplete", "row [5s]", "SELECT 1", "ready I"}
		exchange(t, conn, 1, &pgproto3.Parse{Query: "SELECT set_config('statement_timeout', '5s', false)"}, &pgproto3.Sync{})
		for range 3 {
			saidIs(t, exchange(t, conn, 1, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}), want...)
			p.probed(t)
		}
	})
}

// probed waits until PostgreSQL has answered a question of pgseal's.
func (p *pgseal) probed(t *testing.T) {
	t.Helper()
	observer := p.pg.direct(t, "app")
	eventually(t, patience, "pgseal has asked what the session left", func() bool {
		return value(t, observer, "SELECT (count(*) > 0)::text FROM pg_stat_activity WHERE usename = 'app' AND state = 'idle' AND query LIKE '%encode(%'") == "true"
	})
}

func TestALargeUnnamedStatementIsWatchedToo(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		conn, other := p.simple(t, ""), p.simple(t, "")
		exchange(t, conn, 1, &pgproto3.Parse{Query: fmt.Sprintf("SELECT pg_advisory_lock(99) /* %20000d */", 1)}, &pgproto3.Sync{})
		exchange(t, conn, 1, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		value(t, conn, "SELECT 1")
		conn.Close(t.Context())
		for range 2 * servers {
			stranger(t, other, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 99", "0")
		}
	})
}

// A function may drop statements too, which can't be seen.
func TestAServerWhoseStatementsWereDroppedUnseenRecovers(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		conn, other := p.simple(t, ""), p.simple(t, "")
		run := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{}}
		exchange(t, conn, 1, &pgproto3.Parse{Name: "a", Query: "SELECT 1"}, &pgproto3.Sync{})
		for range servers {
			exchange(t, conn, 1, run...)
		}
		for range servers {
			execute(t, other, "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
		}
		for range servers {
			exchange(t, conn, 1, run...)
		}
		saidIs(t, exchange(t, conn, 1, run...), "BindComplete", "row [1]", "SELECT 1", "ready I")
	})
}

func TestASearchPathThatMakesTemporaryObjectsKeepsItsServer(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		for _, way := range []string{"SET search_path = pg_temp", "SET search_path = 'pg_temp', public", ""} {
			more := ""
			if way == "" {
				more = "options='-c search_path=pg_temp'"
			}
			conn, other := p.simple(t, more), p.simple(t, "")
			if way != "" {
				execute(t, conn, way)
			}
			execute(t, conn, "CREATE TABLE shadow (n int)")
			if servers == 1 {
				conn.Close(t.Context())
			}
			for range 2 * servers {
				stranger(t, other, "SELECT to_regclass('shadow') IS NULL", "t")
			}
			conn.Close(t.Context())
		}
	})
}

func TestNamesDefinedBehindADeallocateAllInABatchStay(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		conn := p.simple(t, "")
		exchange(t, conn, 1, &pgproto3.Parse{Name: "z", Query: "SELECT 1"}, &pgproto3.Sync{})
		batch := append(ask("DEALLOCATE ALL")[:3], &pgproto3.Parse{Name: "a", Query: "SELECT 1"}, &pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{})
		saidIs(t, exchange(t, conn, 1, batch...), "ParseComplete", "BindComplete", "DEALLOCATE ALL", "ParseComplete", "BindComplete", "row [1]", "SELECT 1", "ready I")
		saidIs(t, exchange(t, conn, 1, &pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{}), "BindComplete", "row [1]", "SELECT 1", "ready I")
	})
}

func TestAStatementReadsItsLiteralsAsItsOwnClientDoes(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		german, american := p.simple(t, "options='-c DateStyle=German'"), p.simple(t, "options='-c DateStyle=ISO,MDY'")
		const sql = "SELECT extract(month FROM '01.02.2020'::date)::int"
		exchange(t, american, 1, &pgproto3.Parse{Name: "month", Query: sql}, &pgproto3.Sync{})
		exchange(t, german, 1, &pgproto3.Parse{Name: "month", Query: sql}, &pgproto3.Sync{})
		for range 4 {
			for want, conn := range map[string]*pgx.Conn{"row [2]": german, "row [1]": american} {
				saidIs(t, exchange(t, conn, 1, &pgproto3.Bind{PreparedStatement: "month"}, &pgproto3.Execute{}, &pgproto3.Sync{}),
					"BindComplete", want, "SELECT 1", "ready I")
			}
		}
	})
}
