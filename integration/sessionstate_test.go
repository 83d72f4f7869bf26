package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// onPools runs f before pools of one server, where clients that mix up show at
// once, and of three, where each query may go elsewhere.
func onPools(t *testing.T, pool settings, f func(t *testing.T, p *pgseal, servers int)) {
	onPoolsSince(t, 0, pool, f)
}

// onPoolsSince is onPools for what PostgreSQL has had since a version.
func onPoolsSince(t *testing.T, first int, pool settings, f func(t *testing.T, p *pgseal, servers int)) {
	onEachSince(t, first, func(t *testing.T, pg *postgres) {
		for _, servers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d servers", servers), func(t *testing.T) {
				f(t, start(t, pg, options{pool: pool, databases: map[string]settings{"app": {"pool_size": fmt.Sprint(servers)}}}), servers)
			})
		}
	})
}

// clientPinned is what the log says of a client that keeps its server. The
// tests that want it and those that want none share it: else the latter would
// hold whatever the message became.
const clientPinned = "client pinned to server"

// simple returns a client that sends its queries by the simple protocol.
func (p *pgseal) simple(t *testing.T, more string) *pgx.Conn {
	t.Helper()
	return p.pgx(t, "app", simpleMode+" "+more)
}

// stranger returns what another client, which never set anything, sees.
func stranger(t *testing.T, conn *pgx.Conn, sql, want string) {
	t.Helper()
	if got := value(t, conn, sql); got != want {
		t.Errorf("another client sees %q for %s, want %q", got, sql, want)
	}
}

func TestWhatAClientSetsFollowsItAndReachesNobodyElse(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		other := p.simple(t, "")
		for _, c := range []struct{ set, name, want, before string }{
			{"SET statement_timeout = '7s'", "statement_timeout", "7s", "0"},
			{"set LOCAL statement_timeout = '8s'", "statement_timeout", "0", "0"},
			{"SET SESSION search_path TO \"a b\", public", "search_path", `"a b", public`, `"$user", public`},
			{"SELECT set_config('app.tenant', 'ünsal', false)", "app.tenant", "ünsal", ""},
			{"SELECT set_config('app.tenant', 'x', true)", "app.tenant", "", ""},
			{"SET TIME ZONE 'Asia/Tokyo'", "TimeZone", "Asia/Tokyo", "UTC"},
			{"SET DateStyle = 'German'", "DateStyle", "German, DMY", "ISO, MDY"},
			{"SET work_mem = '123kB'", "work_mem", "123kB", "4MB"},
			{"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "default_transaction_isolation", "serializable", "read committed"},
			{"SET extra_float_digits = 0", "extra_float_digits", "0", "1"},
			{"BEGIN; SET statement_timeout = '9s'; ROLLBACK", "statement_timeout", "0", "0"},
			{"BEGIN; SET statement_timeout = '9s'; COMMIT", "statement_timeout", "9s", "0"},
			{"SET application_name = 'orders'", "application_name", "orders", ""},
			{"SET NAMES 'UTF8'", "client_encoding", "UTF8", "UTF8"},
			{"DO $$ BEGIN PERFORM set_config('app.done', 'yes', false); END $$", "app.done", "yes", ""},
			{"SET statement_timeout = '7s'; RESET statement_timeout", "statement_timeout", "0", "0"},
			{"SET statement_timeout = '7s'; RESET ALL", "statement_timeout", "0", "0"},
			{"SET statement_timeout TO DEFAULT", "statement_timeout", "0", "0"},
		} {
			conn := p.simple(t, "")
			execute(t, conn, c.set)
			for range 6 {
				stranger(t, other, fmt.Sprintf("SELECT coalesce(current_setting('%s', true), '')", c.name), c.before)
				if got := value(t, conn, fmt.Sprintf("SELECT coalesce(current_setting('%s', true), '')", c.name)); got != c.want {
					t.Errorf("after %s %s is %q, want %q", c.set, c.name, got, c.want)
				}
			}
			conn.Close(t.Context())
		}
	})
}

func TestResetBringsBackWhatTheClientCameWith(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		other := p.simple(t, "")
		for _, reset := range []string{"RESET statement_timeout; RESET DateStyle", "RESET ALL", "DISCARD ALL", "SET statement_timeout TO DEFAULT; SET DateStyle TO DEFAULT"} {
			conn := p.simple(t, "options='-c statement_timeout=5s --datestyle=German'")
			execute(t, conn, "SET statement_timeout = 0; SET DateStyle = 'ISO, MDY'")
			execute(t, conn, reset)
			for range 4 {
				stranger(t, other, "SELECT current_setting('statement_timeout') || current_setting('DateStyle')", "0ISO, MDY")
				if got := value(t, conn, "SELECT current_setting('statement_timeout') || ' ' || current_setting('DateStyle')"); got != "5s German, DMY" {
					t.Errorf("after %s the client has %q", reset, got)
				}
			}
			if got := conn.PgConn().ParameterStatus("DateStyle"); got != "German, DMY" {
				t.Errorf("after %s the client was told %q", reset, got)
			}
			conn.Close(t.Context())
		}
	})
}

func TestARoleFollowsItsClientAndReachesNobodyElse(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		super := p.pg.direct(t, "app")
		role := fmt.Sprintf("clerk_%s_%d", p.pg.version, servers)
		execute(t, super, "CREATE ROLE "+role)
		execute(t, super, "GRANT "+role+" TO app")
		other, conn := p.simple(t, ""), p.simple(t, "")
		execute(t, conn, "SET ROLE "+role)
		for range 6 {
			stranger(t, other, "SELECT current_user", "app")
			if got := value(t, conn, "SELECT current_user"); got != role {
				t.Errorf("the client is %q, want %q", got, role)
			}
		}
		execute(t, conn, "RESET ROLE")
		for range 3 {
			stranger(t, other, "SELECT current_user", "app")
			stranger(t, conn, "SELECT current_user", "app")
		}
		execute(t, super, "DROP ROLE "+role)
	})
}

// lefts are statements that leave something in the session that can't be moved,
// how it shows, and how it goes.
var lefts = []struct{ reason, leave, shows, undo string }{
	{"temporary object", "CREATE TEMP TABLE t (n int); INSERT INTO t VALUES (1)", "SELECT count(*) FROM t", "DROP TABLE t"},
	{"temporary object", "SELECT 1 AS n INTO TEMPORARY t", "SELECT count(*) FROM t", "DROP TABLE t"},
	{"temporary object", "create /* a */ local temp view v as select 1", "SELECT count(*) FROM v", "DROP VIEW v"},
	{"temporary object", "CREATE TABLE pg_temp.t (n int)", "SELECT 1 + count(*) FROM t", "DISCARD TEMP"},
	{"temporary object", "DO $$ BEGIN CREATE TEMP TABLE t (n int); END $$", "SELECT 1 + count(*) FROM t", "DROP TABLE t"},
	{"advisory lock", "SELECT pg_advisory_lock(4711)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "SELECT pg_advisory_unlock(4711)"},
	{"advisory lock", "SELECT \"pg_try_advisory_lock_shared\"(4711)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "SELECT pg_advisory_unlock_all()"},
	{"LISTEN", "LISTEN news", "SELECT count(*) FROM pg_listening_channels()", "UNLISTEN *"},
	{"cursor WITH HOLD", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors", "CLOSE c"},
	{"PREPARE", "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p"},
}

func TestWhatCanNotFollowAClientKeepsItOnItsServer(t *testing.T) {
	t.Parallel()
	onPools(t, settings{"query_wait_timeout": "20s"}, func(t *testing.T, p *pgseal, servers int) {
		for _, c := range lefts {
			conn, other := p.simple(t, ""), p.simple(t, "")
			execute(t, conn, c.leave)
			pid := value(t, conn, "SELECT pg_backend_pid()")
			for range 4 {
				if got := value(t, conn, "SELECT pg_backend_pid()"); got != pid {
					t.Fatalf("after %s the client changed its server", c.leave)
				}
				if servers > 1 && value(t, other, "SELECT pg_backend_pid()") == pid {
					t.Fatalf("after %s another client has the server", c.leave)
				}
				if got := value(t, conn, c.shows); got != "1" {
					t.Errorf("after %s: %s gives %s", c.leave, c.shows, got)
				}
			}
			if !p.log.tells(clientPinned, c.reason) {
				t.Errorf("after %s the log does not say that the client keeps its server for %q", c.leave, c.reason)
			}
			eventually(t, patience, "the statistics count the client", func() bool {
				return p.log.count("statistics", `"pinned":1`, c.reason) > 0
			})
			execute(t, conn, c.undo)
			for range servers { // with one server it could not be had otherwise
				value(t, other, "SELECT pg_backend_pid()")
			}
			conn.Close(t.Context())
			other.Close(t.Context())
		}
	})
}

func TestWhatIsRolledBackKeepsNobody(t *testing.T) {
	t.Parallel()
	onPools(t, settings{"query_wait_timeout": "20s"}, func(t *testing.T, p *pgseal, servers int) {
		for _, sql := range []string{
			"BEGIN; CREATE TEMP TABLE t (n int); ROLLBACK",
			"BEGIN; CREATE TEMP TABLE t (n int) ON COMMIT DROP; COMMIT",
			"BEGIN; LISTEN x; ROLLBACK",
			"BEGIN; SELECT pg_advisory_xact_lock(1); COMMIT",
			"SELECT 'LISTEN x; CREATE TEMP TABLE t()' -- pg_advisory_lock(1)",
			"BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT",
		} {
			conn, other := p.simple(t, ""), p.simple(t, "")
			execute(t, conn, sql)
			value(t, other, "SELECT 1")
			value(t, conn, "SELECT 1")
			conn.Close(t.Context())
			other.Close(t.Context())
		}
		if n := p.log.count(clientPinned); n != 0 {
			t.Errorf("%d clients kept their servers", n)
		}
	})
}

func TestWhatAClientLeavesIsGoneBeforeAnotherComes(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		traces := "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()) + " +
			"(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) + " +
			"(SELECT count(*) FROM pg_listening_channels()) + (SELECT count(*) FROM pg_cursors WHERE is_holdable) + " +
			"(SELECT count(*) FROM pg_prepared_statements WHERE from_sql) + " +
			"(SELECT count(*) FROM pg_settings WHERE name = 'statement_timeout' AND source = 'session')"
		other := p.simple(t, "")
		for _, c := range lefts {
			conn := p.simple(t, "")
			execute(t, conn, "SET statement_timeout = '8s'")
			execute(t, conn, c.leave)
			conn.Close(t.Context())
			for range 2 * servers {
				stranger(t, other, traces, "0")
			}
		}
		for _, lasting := range []string{"SELECT setseed(0.5)", "SET seed = 0.5"} {
			conn := p.simple(t, "")
			execute(t, conn, lasting)
			pid := value(t, conn, "SELECT pg_backend_pid()")
			conn.Close(t.Context())
			for range 2 * servers {
				if value(t, other, "SELECT pg_backend_pid()") == pid {
					t.Errorf("after %s the server was lent to another client", lasting)
				}
			}
		}
	})
}

func TestSessionStateRejectRefusesWhatCanNotFollow(t *testing.T) {
	t.Parallel()
	onPools(t, settings{"session_state": "reject"}, func(t *testing.T, p *pgseal, servers int) {
		conn := p.simple(t, "")
		extended := p.pgx(t, "app", "default_query_exec_mode=exec")
		for _, c := range lefts {
			if strings.HasPrefix(c.leave, "DO") {
				continue // what it does can't be seen
			}
			_, err := conn.Exec(t.Context(), c.leave)
			if told := wantState(t, err, "0A000"); !strings.Contains(told.Message, c.reason) || told.Hint == "" {
				t.Errorf("%s: told %q with hint %q", c.leave, told.Message, told.Hint)
			}
			if strings.Contains(c.leave, ";") {
				continue
			}
			_, err = extended.Exec(t.Context(), c.leave)
			wantState(t, err, "0A000")
		}
		execute(t, conn, "SET statement_timeout = '5s'") // what can follow may be set
		execute(t, conn, "BEGIN")
		_, err := conn.Exec(t.Context(), "LISTEN x")
		wantState(t, err, "0A000")
		_, err = conn.Exec(t.Context(), "SELECT 1")
		wantState(t, err, "25P02") // as after any error
		execute(t, conn, "ROLLBACK")
		if got := value(t, conn, "SELECT current_setting('statement_timeout')"); got != "5s" {
			t.Errorf("statement_timeout is %s", got)
		}
	})
}

func TestALargeObjectsDescriptorEndsWithItsTransactionAnyway(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{})
		for _, conn := range []*pgx.Conn{pg.direct(t, "app"), p.simple(t, "")} {
			oid := value(t, conn, "SELECT lo_create(0)")
			value(t, conn, "SELECT lo_open("+oid+", x'20000'::int)")
			_, err := conn.Exec(t.Context(), "SELECT lo_tell(0)")
			wantState(t, err, "42704") // so it needs no server of its own
			value(t, conn, "SELECT lo_unlink("+oid+")")
		}
		if n := p.log.count(clientPinned); n != 0 {
			t.Errorf("%d clients kept their servers", n)
		}
	})
}

func TestSequenceValuesOfAnotherClientAreNeverSeen(t *testing.T) {
	t.Parallel()
	onPools(t, settings{"query_wait_timeout": "20s"}, func(t *testing.T, p *pgseal, servers int) {
		setup, conn, other := p.simple(t, ""), p.simple(t, ""), p.simple(t, "")
		sequence := fmt.Sprintf("numbers_%d", servers)
		execute(t, setup, "DROP SEQUENCE IF EXISTS "+sequence)
		execute(t, setup, "CREATE SEQUENCE "+sequence)
		for range servers + 1 {
			value(t, other, "SELECT nextval('"+sequence+"')")
		}
		_, err := conn.Exec(t.Context(), "SELECT currval('"+sequence+"')")
		wantState(t, err, "55000")
		_, err = conn.Exec(t.Context(), "SELECT lastval()")
		wantState(t, err, "55000")
		other.Close(t.Context())
		setup.Close(t.Context())
		want := value(t, conn, "SELECT nextval('"+sequence+"')")
		if got := value(t, conn, "SELECT lastval()"); got != want { // it keeps its server by now
			t.Errorf("lastval is %s, want %s", got, want)
		}
	})
}

func TestADeallocatedStatementOfTheProtocolsIsGone(t *testing.T) {
	t.Parallel()
	onPools(t, nil, func(t *testing.T, p *pgseal, servers int) {
		conn := p.simple(t, "")
		pg := conn.PgConn()
		for _, deallocate := range []string{"DEALLOCATE mine", `deallocate prepare "mine"`, "DEALLOCATE ALL", "DISCARD ALL"} {
			if _, err := pg.Prepare(t.Context(), "mine", "SELECT 1", nil); err != nil {
				t.Fatal(err)
			}
			if r := pg.ExecPrepared(t.Context(), "mine", nil, nil, nil).Read(); r.Err != nil {
				t.Fatal(r.Err)
			}
			execute(t, conn, deallocate)
			for range servers {
				wantState(t, pg.ExecPrepared(t.Context(), "mine", nil, nil, nil).Read().Err, "26000")
			}
		}
	})
}
