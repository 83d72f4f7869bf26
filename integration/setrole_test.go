package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// serviceRoles makes a service role that may become the roles amy and ben, with
// a table that each of the three alone may read.
func serviceRoles(t *testing.T, pg *postgres) {
	t.Helper()
	admin := pg.direct(t, "app")
	for _, sql := range []string{
		"CREATE ROLE service LOGIN PASSWORD '" + appPassword + "'", "CREATE ROLE amy", "CREATE ROLE ben", "CREATE ROLE eve",
		"GRANT amy, ben TO service",
		"CREATE TABLE of_amy (n int)", "CREATE TABLE of_ben (n int)", "CREATE TABLE of_service (n int)",
		"GRANT SELECT ON of_amy TO amy", "GRANT SELECT ON of_ben TO ben", "GRANT SELECT ON of_service TO service",
		"CREATE FUNCTION become(text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('role', $1, false) $$",
	} {
		execute(t, admin, sql)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, sql := range []string{"DROP TABLE of_amy, of_ben, of_service", "DROP FUNCTION become(text)", "DROP ROLE service, amy, ben, eve"} {
			if _, err := admin.Exec(ctx, sql); err != nil {
				t.Error(err)
			}
		}
	})
}

// asService returns the options by which clients work as their own role on
// servers of the service role.
func asService(servers int, more settings) options {
	base := settings{"user": "service", "password": appPassword, "set_role": "true", "pool_size": fmt.Sprint(servers)}
	return options{
		databases: map[string]settings{"app": base.with(more)},
		users:     map[string]string{"amy": appPassword, "ben": appPassword, "eve": appPassword, "nobody": appPassword, "none": appPassword, "service": appPassword},
	}
}

// as returns a client of a role.
func (p *pgseal) as(t *testing.T, role, more string) *pgx.Conn {
	t.Helper()
	return p.pgx(t, "app", "user="+role+" "+more)
}

// onService runs f with pools of one server and of three before each PostgreSQL.
func onService(t *testing.T, more settings, f func(t *testing.T, p *pgseal)) {
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		serviceRoles(t, pg)
		for _, servers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d servers", servers), func(t *testing.T) { f(t, start(t, pg, asService(servers, more))) })
		}
	})
}

const whoAmI = "SELECT current_user || ' by ' || session_user"

func TestClientsOfAServiceRoleWorkAsTheirOwn(t *testing.T) {
	onService(t, nil, func(t *testing.T, p *pgseal) {
		amy, ben, self := p.as(t, "amy", simpleMode), p.as(t, "ben", execMode), p.as(t, "service", simpleMode)
		for range 5 {
			for role, conn := range map[string]*pgx.Conn{"amy": amy, "ben": ben, "service": self} {
				if got := value(t, conn, whoAmI); got != role+" by service" {
					t.Fatalf("the client of %s is %s", role, got)
				}
				value(t, conn, "SELECT count(*) FROM of_"+role)
			}
		}
		_, err := amy.Exec(t.Context(), "SELECT * FROM of_ben")
		wantState(t, err, "42501")
		_, err = ben.Exec(t.Context(), "SELECT * FROM of_service")
		wantState(t, err, "42501")
	})
}

func TestARoleThatCanNotBeSetIsRefusedInPostgreSQLsWords(t *testing.T) {
	onService(t, nil, func(t *testing.T, p *pgseal) {
		for role, want := range map[string]string{
			"nobody": `role "nobody" does not exist`, "none": `role "none" does not exist`, "eve": `permission denied to set role "eve"`,
		} {
			r := p.psql(t, "app", []string{"PGUSER=" + role}, "-c", "SELECT 1")
			if r.status != 2 || !strings.Contains(r.stderr, want) {
				t.Errorf("psql of %s ended with status %d: %s", role, r.status, r.stderr)
			}
		}
		for _, o := range []string{"-c role=ben", "-c session_authorization=ben", "-c ROLE=none", "-c standard_conforming_strings=off"} {
			r := p.psql(t, "app", []string{"PGUSER=amy", "PGOPTIONS=" + o}, "-c", "SELECT 1")
			if r.status != 2 || !strings.Contains(r.stderr, "permission denied to set parameter") {
				t.Errorf("psql with %s ended with status %d: %s", o, r.status, r.stderr)
			}
		}
		if got := value(t, p.as(t, "amy", "options='-c role=amy' "+simpleMode), whoAmI); got != "amy by service" {
			t.Errorf("amy is %s", got)
		}
	})
}

// PostgreSQL cuts a name at 63 bytes, and what is left may be somebody else.
func TestANameThatPostgreSQLWouldCutGivesNobodyAnothersRole(t *testing.T) {
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		serviceRoles(t, pg)
		admin, long := pg.direct(t, "app"), strings.Repeat("a", 63)
		execute(t, admin, "CREATE ROLE "+long)
		execute(t, admin, "GRANT "+long+" TO service")
		defer execute(t, admin, "DROP ROLE "+long)
		o := asService(1, nil)
		o.users[long], o.users[long+"b"] = appPassword, appPassword
		p := start(t, pg, o)
		if got := value(t, p.as(t, long, simpleMode), whoAmI); got != long+" by service" {
			t.Errorf("the role with the longest name is %s", got)
		}
		r := p.psql(t, "app", []string{"PGUSER=" + long + "b"}, "-c", whoAmI)
		if r.status != 2 || !strings.Contains(r.stderr, `b" does not exist`) {
			t.Errorf("psql with a longer name ended with status %d: %s%s", r.status, r.stdout, r.stderr)
		}
	})
}

func bySimpleQuery(conn *pgx.Conn, sql string) error {
	return conn.PgConn().Exec(context.Background(), sql).Close()
}

func byExtendedQuery(conn *pgx.Conn, sql string) error {
	return conn.PgConn().ExecParams(context.Background(), sql, nil, nil, nil, nil).Read().Err
}

func TestNoStatementGivesAClientAnotherRole(t *testing.T) {
	onService(t, nil, func(t *testing.T, p *pgseal) {
		other := p.as(t, "ben", simpleMode)
		for _, run := range []func(*pgx.Conn, string) error{bySimpleQuery, byExtendedQuery} {
			amy := p.as(t, "amy", simpleMode)
			for _, sql := range []string{
				"SET ROLE ben", "SET ROLE NONE", "set role 'none'", "SET SESSION ROLE ben", "SET ROLE TO DEFAULT", "SET role = service",
				"SET LOCAL ROLE ben", "SET LOCAL ROLE NONE", "SET LOCAL role TO 'none'", `SET U&"r\006fle" TO ben`, `SET LOCAL U&"r\006fle" TO ben`,
				"SET SESSION AUTHORIZATION service", "SET SESSION AUTHORIZATION DEFAULT", "SET LOCAL SESSION AUTHORIZATION DEFAULT",
				"RESET SESSION AUTHORIZATION", "SELECT set_config('role', 'ben', false)", "SELECT set_config('role', 'none', true)",
				"SELECT set_config('ro' || 'le', 'ben', false)", `SELECT set_config(E'r\x6fle', 'ben', false)`,
				"UPDATE pg_settings SET setting = 'ben' WHERE name = 'role'", "PREPARE p AS UPDATE pg_settings SET setting = 'none' WHERE name = 'role'",
				"SET standard_conforming_strings = off", "SELECT set_config('standard_conforming_strings', 'off', true)",
			} {
				if told := wantState(t, run(amy, sql), "42501"); !strings.HasPrefix(told.Message, "permission denied to set parameter") {
					t.Errorf("%s: told %q", sql, told.Message)
				}
				stranger(t, other, whoAmI, "ben by service")
				if got := value(t, amy, whoAmI); got != "amy by service" {
					t.Fatalf("after %s amy is %s", sql, got)
				}
			}
			for _, sql := range []string{"RESET ROLE", `reset "Role"`, "RESET ALL", "DISCARD ALL", "SET statement_timeout = 0"} {
				if err := run(amy, sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
				if got := value(t, amy, whoAmI); got != "amy by service" {
					t.Errorf("after %s amy is %s", sql, got)
				}
				stranger(t, other, whoAmI, "ben by service")
			}
			execute(t, amy, "BEGIN")
			if err := run(amy, "RESET ROLE"); err != nil {
				t.Fatal(err)
			}
			if got := value(t, amy, whoAmI); got != "amy by service" {
				t.Errorf("in a transaction after RESET ROLE amy is %s", got)
			}
			execute(t, amy, "ROLLBACK")
		}
		// In one string, where nothing comes in between.
		amy := p.as(t, "amy", simpleMode)
		_, err := amy.Exec(t.Context(), "RESET ROLE; SELECT * FROM of_service")
		wantState(t, err, "42501")
		_, err = amy.Exec(t.Context(), "RESET ROLE; SET ROLE ben; SELECT * FROM of_ben")
		wantState(t, err, "42501")
	})
}

// What the scan of a text can't follow is not run, because the rest of the text
// would run as somebody else before anybody asks.
func TestNoTextThatReadsInTwoWaysRunsUnderAnotherRole(t *testing.T) {
	onService(t, nil, func(t *testing.T, p *pgseal) {
		tag := "$" + strings.Repeat("a", 50) + "$"
		pad := "/*" + strings.Repeat("x", 17<<10) + "*/"
		for _, sql := range []string{
			`SELECT U&"set\005fconfig"('role', 'ben', false); SELECT * FROM of_ben`,
			`SELECT U&"set\005fconfig"('role', 'ben', false); SELECT * FROM of_ben` + pad,
			"SELECT " + tag + " ' " + tag + "; SET ROLE ben; SELECT * FROM of_ben --'",
		} {
			wantState(t, bySimpleQuery(p.as(t, "amy", simpleMode), sql), "42501")
		}
		wantState(t, byExtendedQuery(p.as(t, "amy", simpleMode), `SELECT U&"set\005fconfig"('role', 'ben', true)`), "42501")

		half := "SELECT E'\x95\\'; SET ROLE ben; SELECT * FROM of_ben --'" // SJIS: the backslash is half a character
		r := p.psql(t, "app", []string{"PGUSER=amy", "PGCLIENTENCODING=SJIS"}, "-c", "SELECT 1")
		if r.status != 2 || !strings.Contains(r.stderr, `permission denied to set parameter "client_encoding"`) {
			t.Errorf("psql in SJIS ended with status %d: %s", r.status, r.stderr)
		}
		for _, begins := range [][]string{{"SET client_encoding = 'SJIS'"}, {"BEGIN", "SET LOCAL client_encoding = 'SJIS'"}, {"BEGIN", "SET LOCAL client_encoding = 'SJIS'" + pad}} {
			amy := p.as(t, "amy", simpleMode)
			front := amy.PgConn().Frontend()
			for _, sql := range append(slices.Clip(begins), half) { // without waiting for answers
				front.SendQuery(&pgproto3.Query{String: sql})
			}
			wantRefusal(t, front)
			amy.Close(t.Context())

			amy = p.as(t, "amy", simpleMode)
			front = amy.PgConn().Frontend()
			for _, sql := range append(slices.Clip(begins), "SELECT E'\x95\\', set_config($1, $2, true) --'") {
				front.SendParse(&pgproto3.Parse{Query: sql})
				front.SendBind(&pgproto3.Bind{})
				front.SendExecute(&pgproto3.Execute{})
			}
			front.SendSync(&pgproto3.Sync{})
			wantRefusal(t, front)
			amy.Close(t.Context())
		}
	})
}

// wantRefusal flushes and reads until something is refused for what the pooler
// imposes, before which no row may come.
func wantRefusal(t *testing.T, front *pgproto3.Frontend) {
	t.Helper()
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := front.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			if m.Code != "42501" && m.Code != "0A000" {
				t.Errorf("refused with %s: %s", m.Code, m.Message)
			}
			return
		case *pgproto3.DataRow:
			t.Fatal("the query ran")
		case *pgproto3.CommandComplete:
			if strings.HasPrefix(string(m.CommandTag), "SELECT") {
				t.Fatal("the query ran")
			}
		}
	}
}

func TestAPipelineGivesAClientNoOtherRole(t *testing.T) {
	onService(t, nil, func(t *testing.T, p *pgseal) {
		amy := p.as(t, "amy", execMode)
		batch := &pgx.Batch{}
		batch.Queue("RESET ROLE")
		batch.Queue("SELECT * FROM of_service")
		if err := amy.SendBatch(t.Context(), batch).Close(); sqlState(err) != "42501" {
			t.Errorf("the batch behind RESET ROLE ended in %v", err)
		}
		batch = &pgx.Batch{}
		batch.Queue("DISCARD ALL")
		batch.Queue("SELECT * FROM of_service")
		if err := amy.SendBatch(t.Context(), batch).Close(); sqlState(err) != "0A000" {
			t.Errorf("the batch behind DISCARD ALL ended in %v", err)
		}
		// A flush, whose answers come before Sync, makes no difference.
		front := p.as(t, "amy", execMode).PgConn().Frontend()
		front.SendParse(&pgproto3.Parse{Query: "DISCARD ALL"})
		front.SendBind(&pgproto3.Bind{})
		front.SendExecute(&pgproto3.Execute{})
		front.Send(&pgproto3.Flush{})
		if err := front.Flush(); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			m, err := front.Receive()
			if err != nil {
				t.Fatal(err)
			}
			_, done = m.(*pgproto3.CommandComplete)
		}
		front.SendQuery(&pgproto3.Query{String: "SELECT * FROM of_service"})
		if err := front.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := front.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := m.(*pgproto3.ErrorResponse); ok && e.Code == "0A000" {
				break
			}
			if _, ok := m.(*pgproto3.DataRow); ok {
				t.Fatal("the query ran")
			}
		}
	})
}

func TestARoleThatAFunctionSetsReachesNobodyElse(t *testing.T) {
	onService(t, nil, func(t *testing.T, p *pgseal) {
		other := p.as(t, "ben", simpleMode)
		stranger(t, other, whoAmI, "ben by service")
		for i, sql := range []string{
			"DO $$ BEGIN EXECUTE 'SET ROLE ben'; END $$", "DO $$ BEGIN EXECUTE 'RESET ROLE'; END $$",
			"DO $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION DEFAULT'; END $$",
			"DO $$ BEGIN EXECUTE 'SET ROLE ben'; END $$ --",
			"SELECT 1; DO $$ BEGIN EXECUTE 'SET ROLE ben'; END $$ --" + strings.Repeat(" ", 20_000),
		} {
			amy := p.as(t, "amy", simpleMode)
			if i%2 == 0 {
				bySimpleQuery(amy, sql)
			} else {
				byExtendedQuery(amy, sql)
			}
			_, err := amy.Exec(t.Context(), "SELECT 1")
			if sqlState(err) != "42501" && !amy.IsClosed() {
				t.Errorf("after %s the session goes on: %v", sql, err)
			}
		}
		eventually(t, patience, "the log tells of all five", func() bool {
			return p.log.count("client changed a parameter that is not its own, its session ends", `"parameter":"role"`) == 5
		})
		large := p.as(t, "amy", simpleMode)
		if err := byExtendedQuery(large, "DO $$ BEGIN EXECUTE 'SET ROLE ben'; END $$ --"+strings.Repeat(" ", 1<<20)); sqlState(err) != "0A000" {
			t.Errorf("a large DO by extended query ended in %v", err)
		}
		amy, twin := p.as(t, "amy", simpleMode), p.as(t, "amy", simpleMode)
		for range 6 { // a call that looks like any other
			execute(t, amy, "SELECT become('ben')")
			stranger(t, twin, whoAmI, "amy by service")
			execute(t, amy, "SELECT become('none')")
			stranger(t, other, whoAmI, "ben by service")
		}
	})
}

func TestAReplicationConnectionCanNotPassForAnotherRole(t *testing.T) {
	pg := sharedPostgres(t, "18")
	serviceRoles(t, pg)
	p := start(t, pg, asService(2, nil))
	r := p.psql(t, "app", []string{"PGUSER=amy"}, "-c", "SELECT 1")
	if r.status != 0 {
		t.Fatalf("psql ended with status %d: %s", r.status, r.stderr)
	}
	r = p.psql(t, "app", []string{"PGUSER=amy"}, "-d", "replication=database dbname=app", "-c", "SELECT 1")
	if r.status != 2 || !strings.Contains(r.stderr, "a replication connection can't have the client's role") {
		t.Errorf("psql ended with status %d: %s", r.status, r.stderr)
	}
}
