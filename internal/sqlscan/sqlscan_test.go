package sqlscan

import (
	"slices"
	"testing"
)

type example struct {
	text string
	want Effects
}

// older are the effects that these tables are about; those of the second group
// have tables of their own.
const older Effects = 1<<32 - 1

func check(t *testing.T, examples []example) {
	t.Helper()
	for _, x := range examples {
		if got := Scan([]byte(x.text)) & older; got != x.want {
			t.Errorf("%s\n\tgot  %v\n\twant %v", x.text, got, x.want)
		}
	}
}

// quiet checks texts that must not raise an alarm.
func quiet(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if got := Scan([]byte(text)) & older; got != 0 {
			t.Errorf("%s\n\tgot %v, want none", text, got)
		}
	}
}

func TestEverydayStatementsRaiseNoAlarm(t *testing.T) {
	quiet(t,
		"",
		";",
		" ; ; ",
		"SELECT abalance FROM pgbench_accounts WHERE aid = 123456;",
		"select 1",
		"(select 1) union (select 2)",
		"SELECT set, reset, listen, load, discard FROM t",
		"SELECT * FROM t WHERE role = 'x' FOR UPDATE",
		"SELECT a.temp, temp FROM temp",
		"SELECT name FROM pg_settings",
		"SELECT temp.pgbench, pg_tables FROM pg_tables",
		"SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(1, 2)",
		"SELECT nextval('s')",
		"UPDATE t SET role = 1, seed = 2 WHERE id = $1 RETURNING session",
		"INSERT INTO t VALUES (1, $2) ON CONFLICT (id) DO UPDATE SET x = excluded.x",
		"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
		"INSERT INTO temp (a) VALUES (1)",
		"INSERT INTO temporary SELECT 1",
		"MERGE INTO temp USING s ON true WHEN MATCHED THEN DO NOTHING",
		"DELETE FROM t USING temp",
		"WITH a AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM a",
		"COMMIT", "ROLLBACK", "END", "ABORT", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s", "COMMIT AND CHAIN",
		"COPY t FROM STDIN WITH (FORMAT csv)",
		"VALUES (1)", "TABLE t", "SHOW ALL", "FETCH ALL FROM c", "MOVE c", "NOTIFY a, 'b'", "LOCK TABLE t",
		"EXPLAIN ANALYZE SELECT 1", "VACUUM t", "ANALYZE", "TRUNCATE t", "CHECKPOINT",
		"DECLARE c CURSOR FOR SELECT 1", "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
		"PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'",
		"GRANT EXECUTE ON FUNCTION f() TO r",
		"CREATE TABLE t (temp int, local text)",
		"CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()",
		"CREATE TABLE t AS SELECT 1",
		"SELECT 1 AS e, 'it''s', $1::text, 1e5, a||'b' FROM t WHERE a->>'x' = 'y' AND b @> '{}'",
	)
}

func TestTransactionBeginsAreTold(t *testing.T) {
	check(t, []example{
		{"BEGIN", Begins},
		{"begin isolation level serializable; select 1", Begins},
		{"START TRANSACTION READ ONLY", Begins},
		{"SELECT start, begin FROM t", 0},
	})
	if Begins&Leaves != 0 {
		t.Error("BEGIN by itself counts as leaving something")
	}
}

func TestSetThatEndsWithTheTransactionLeavesNothing(t *testing.T) {
	check(t, []example{
		{"SET LOCAL x = 1", Local},
		{"set local role joe", Local | LocalRole},
		{`SET LOCAL "Role" = joe`, Local | LocalRole},
		{"SET LOCAL role TO DEFAULT; SELECT 1", Local | LocalRole},
		{"SET LOCAL session authorization joe", Local | LocalRole},
		{"SET LOCAL session_authorization = joe", Local | LocalRole},
		{"SET LOCAL TIME ZONE 'UTC'", Local},
		{"SET LOCAL x = role", Local},
		{"SET LOCAL x = 1; SELECT role", Local},
		{"SET LOCAL local.x = 1", Local},
		{"SET /* session */ LOCAL x = 1", Local},
	})
	if (Local|LocalRole)&Leaves != 0 {
		t.Error("SET LOCAL counts as leaving something")
	}
	quiet(t,
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
		"SET TRANSACTION SNAPSHOT 'x'",
		"SET CONSTRAINTS ALL DEFERRED",
	)
}

func TestSetOfTheSessionIsSeen(t *testing.T) {
	check(t, []example{
		{"SET x = 1", Settings},
		{"SET x TO DEFAULT", Settings},
		{"SET SESSION x = 1", Settings},
		{"SET session.x = 1", Settings},
		{"SET a.b = 1", Settings},
		{"SET local.x = 1", Settings | Local},
		{"SET local /* c */ . x = 1", Settings | Local},
		{"SET transaction.x = 1", Settings},
		{"SET constraints.x = 1", Settings},
		{`SET "local".x = 1`, Settings},
		{`SET "search_path" = 'x'`, Settings},
		{"SET set_x = 1", Settings},
		{"SET search_path = role", Settings},
		{"SET TIME ZONE LOCAL", Settings},
		{"SET NAMES 'utf8'", Settings},
		{"SET SCHEMA 'x'", Settings},
		{"SET XML OPTION DOCUMENT", Settings},
		{"SET transaction_isolation = 'serializable'", Settings},
		{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Settings},
		{"SET ROLE joe", Settings | Role},
		{"SET SESSION ROLE joe", Settings | Role},
		{"SET role = joe", Settings | Role},
		{`SET "ROLE" = joe`, Settings | Role},
		{"SET SESSION AUTHORIZATION joe", Settings | Role | SessionAuth},
		{"SET SESSION SESSION AUTHORIZATION DEFAULT", Settings | Role | SessionAuth},
		{"SET session_authorization = joe", Settings | Role | SessionAuth},
		{"SET SEED TO 0.5", Settings | Seed},
		{"SET SESSION seed = 1", Settings | Seed},
		{"RESET x", Settings | Releases},
		{"RESET ALL", Settings | Releases},
		{"RESET TIME ZONE", Settings | Releases},
		{"RESET ROLE", Settings | Role | Releases},
		{`RESET "Role"`, Settings | Role | Releases},
		{"RESET SESSION AUTHORIZATION", Settings | Role | SessionAuth | Releases},
		{"RESET session_authorization", Settings | Role | SessionAuth | Releases},
	})
}

func TestSetWithinOtherStatementsIsNoSet(t *testing.T) {
	quiet(t,
		"ALTER ROLE joe SET search_path = x",
		"ALTER DATABASE d SET role = x",
		"ALTER SYSTEM SET work_mem = '1MB'",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = x AS 'select 1'",
		"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN; SET x = 1; PERFORM set_config('a', 'b', false); END $$",
		"CREATE PROCEDURE f() LANGUAGE sql AS $_a1$ ; SET x = 1; $a$; $$ ; listen x $_a1 ; $_a1$",
		"ALTER TABLE t ALTER c SET NOT NULL",
	)
}

func TestSetConfigTellsTheParameterByItsLiteral(t *testing.T) {
	check(t, []example{
		{"SELECT set_config('search_path', 'x', false)", Settings},
		{"SELECT pg_catalog.set_config ( /* c */ 'jit' -- d\n , 'off', false)", Settings},
		{`SELECT "set_config"('a', 'b', false)`, Settings},
		{`SELECT Set_Config('a', 'b', $1)`, Settings},
		{"SELECT set_config('role', 'x', false)", Settings | Role},
		{"SELECT set_config('ROLE', 'x', false)", Settings | Role},
		{"SELECT set_config('Session_Authorization', 'x', false)", Settings | Role | SessionAuth},
		{"SELECT set_config('seed', '1', false)", Settings | Seed},
		{"SELECT set_config('', '1', false)", Settings},
		{"SELECT set_config('a', 'b', false), set_config('role', 'c', false)", Settings | Role},
		{"SELECT set_config($1, $2, $3)", anySetting},
		{"SELECT set_config('ro' || 'le', $2, $3)", anySetting},
		{"SELECT set_config('ro'\n'le', $2, $3)", anySetting},
		{"SELECT set_config('ro''le', $2, $3)", anySetting},
		{`SELECT set_config(E'r\157le', $2, $3)`, anySetting},
		{`SELECT set_config(U&'r\006fle', $2, $3)`, anySetting},
		{`SELECT set_config($$role$$, $2, $3)`, anySetting},
		{`SELECT set_config('role'::text, $2, $3)`, anySetting},
		{`SELECT set_config(('role'), $2, $3)`, anySetting},
		{`SELECT set_config("name", $2, $3) FROM t`, anySetting},
		{`SELECT set_config(value => 'x', setting_name => 'role', is_local => false)`, anySetting},
		{`SELECT set_config(name, $2, $3) FROM t`, anySetting},
		{`SELECT set_config(set_config('a','b',false), 'x', false)`, anySetting},
		{"CREATE AGGREGATE a(text, bool) (sfunc = set_config, stype = text)", anySetting},
		{"SELECT set_config", anySetting},
		{"UPDATE pg_settings SET setting = 'x' WHERE name = 'role'", anySetting},
		{"WITH a AS (UPDATE ONLY pg_catalog.pg_settings SET setting = 'x') SELECT 1", anySetting},
		{`SELECT "Set_Config"('a', 'b', true), set_configs, a_set_config`, 0},
	})
}

func TestTemporaryObjectsAreSeen(t *testing.T) {
	for _, text := range []string{
		"CREATE TEMP TABLE t (a int)",
		"create temporary table t (a int)",
		"CREATE /* */ TEMP -- \n TABLE t (a int)",
		"CREATE LOCAL TEMP TABLE t (a int)",
		"CREATE GLOBAL TEMPORARY TABLE t (a int)",
		"CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
		"CREATE TEMP RECURSIVE VIEW v (a) AS SELECT 1",
		"CREATE TEMP SEQUENCE s",
		"CREATE TABLE pg_temp.t (a int)",
		`CREATE TABLE "pg_temp".t (a int)`,
		"CREATE TABLE pg_temp_3.t (a int)",
		"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'select 1'",
		"CREATE SCHEMA s CREATE TEMP TABLE t (a int)",
		"SELECT 1 AS a INTO TEMP t",
		"SELECT 1 AS a INTO LOCAL TEMPORARY TABLE t",
		"SELECT insert INTO TEMP t FROM x",
		"SELECT 1INTO TEMP t",
		"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1",
		"SELECT pg_temp.f()",
	} {
		check(t, []example{{text, TempObjects}})
	}
}

func TestWhatElseASessionHoldsIsSeen(t *testing.T) {
	check(t, []example{
		{"SELECT pg_advisory_lock(1)", AdvisoryLock},
		{"SELECT PG_CATALOG . PG_TRY_ADVISORY_LOCK (1)", AdvisoryLock},
		{"SELECT pg_advisory_lock_shared(1, 2), pg_try_advisory_lock_shared(1)", AdvisoryLock},
		{"SELECT pg_advisory_unlock(1), pg_advisory_unlock_shared(1)", Releases},
		{"SELECT pg_advisory_unlock_all()", Releases},
		{"LISTEN a", Listen},
		{"UNLISTEN *", Releases},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", HoldCursor},
		{"DECLARE c BINARY INSENSITIVE SCROLL CURSOR with /**/ hold FOR SELECT 1", HoldCursor},
		{"CLOSE c", Releases},
		{"PREPARE p AS SELECT 1", Prepare},
		{"PREPARE p (int) AS SELECT set_config('a', 'b', false)", Prepare | Settings},
		{"PREPARE transaction AS SELECT 1", Prepare},
		{"EXECUTE p(1)", Execute},
		{"EXPLAIN (ANALYZE) EXECUTE p", Execute},
		{"CREATE TABLE t AS EXECUTE p", Execute},
		{"LOAD 'auto_explain'", Load},
		{"SELECT setseed(0.5)", Seed},
		{"SELECT currval('s')", Sequence},
		{"SELECT lastval()", Sequence},
		{"DO $$ BEGIN END $$", Opaque},
		{"do language plpgsql 'begin end'", Opaque},
		{"CALL p()", Opaque},
		{"CREATE EXTENSION x", Opaque},
		{"ALTER EXTENSION x UPDATE", Opaque},
		{"SELECT query_to_xml('select set_config(''a'', ''b'', false)', true, true, '')", Opaque},
		{"SELECT * FROM ts_stat('select 1')", Opaque},
		{"SELECT dblink_connect('x')", Other},
		{"SELECT pg_backup_start('x')", Other},
		{"SELECT pg_replication_origin_session_setup('x')", Other},
		{"SELECT pg_create_physical_replication_slot('x', false, true)", Other},
		{"SELECT set_limit(0.5)", Settings},
		{"DROP TABLE t", Releases},
		{"DISCARD PLANS", Releases},
		{"DISCARD TEMP", Releases},
		{"discard all", Releases | DiscardAll | DeallocateAll | Settings | Role | SessionAuth},
		{"DEALLOCATE p", Releases | Deallocate},
		{`DEALLOCATE "p"`, Releases | Deallocate},
		{`DEALLOCATE "all"`, Releases | Deallocate},
		{"DEALLOCATE PREPARE p", Releases | Deallocate},
		{"DEALLOCATE ALL", Releases | DeallocateAll},
		{"DEALLOCATE PREPARE ALL", Releases | Deallocate | DeallocateAll},
	})
}

func TestEveryStatementOfAStringCounts(t *testing.T) {
	check(t, []example{
		{"SELECT 1; SET x = 1", Settings},
		{"SELECT 1;SET x = 1;LISTEN a;", Settings | Listen},
		{";;\n;DO ''", Opaque},
		{"BEGIN; SET LOCAL x = 1; SET y = 1; COMMIT", Begins | Settings | Local},
		{"INSERT INTO temp VALUES (1); SELECT 1 INTO TEMP t", TempObjects},
		{"SET LOCAL x = 1; SELECT a.b", Local},
		{"SELECT ';SET x = 1'; SELECT $$;SET x = 1$$", 0},
	})
}

func TestCommentsAndStringsNeitherHideNorShowWords(t *testing.T) {
	check(t, []example{
		{"-- ;SET x = 1", 0},
		{"-- c\nSET x = 1", Settings},
		{"-- c\rSET x = 1", Settings},
		{"/* ; */ SET x = 1", Settings},
		{"/* /* */ ; SET x = 1 */ SELECT 1", 0},
		{"/* /* */ */ SET x = 1", Settings},
		{"/*/ ; SET x = 1 */", 0},
		{"/**/SET x = 1", Settings},
		{"/***/SET x = 1", Settings},
		{"/*/*/*/**/*/*/*/SET x = 1", Settings},
		{"SELECT 2*/*c*/3; SET x = 1", Settings},
		{"SELECT 1 //* */ 2; SET x = 1", Settings},
		{"SELECT 1 - 2 / 3; SET x = 1", Settings},
		{"SE/**/T x = 1", 0},
		{"SET/**/x = 1", Settings},
		{"SELECT '--'; SET x = 1", Settings},
		{"SELECT '/*'; SET x = 1", Settings},
		{"SELECT 'a''; SET x = 1'", 0},
		{"SELECT 'a'';'; SET x = 1", Settings},
		{`SELECT E'a\'; SET x = 1'`, 0},
		{`SELECT E'a\\'; SET x = 1`, Settings},
		{`SELECT e'a\\\'; SET x = 1'`, 0},
		{`SELECT e'a''\'; SET x = 1'`, 0},
		{"SELECT E'a' -- c\n '\\'; SET x = 1'", 0},
		{"SELECT E'a', '\\\\'; SET x = 1", Settings},
		{"SELECT E'a' - '\\\\'; SET x = 1", Settings},
		{"SELECT 1E'a\\'; SET x = 1'", 0},
		{`SELECT n'a'; SET x = 1`, Settings},
		{`SELECT U&'a!0041' UESCAPE '!'; SET x = 1`, Settings},
		{`SELECT u & 'a'; SET x = 1`, Settings},
		{`SELECT u&1; SET x = 1`, Settings},
		{`SELECT "; SET x = 1"`, 0},
		{`SELECT "a""; SET x = 1"`, 0},
		{`SELECT "'"; SET x = 1`, Settings},
		{`SELECT $$'$$; SET x = 1`, Settings},
		{`SELECT $a$ $b$ $$ $aa$ a$ $A$ ' $a$; SET x = 1`, Settings},
		{`SELECT $a$ $$a$; SET x = 1`, Settings},
		{`SELECT a$b$c; SET x = 1 --$b$`, Settings},
		{`SELECT $1$$; SET x = 1 $$`, 0},
		{`SELECT $1, $2; SET x = 1`, Settings},
		{"SELECT $é$ ; SET x = 1 $é$", 0},
		{"sEt\tx=1", Settings},
		{"\v\fSET x=1", Settings},
		{`"SET" x = 1`, 0},
	})
}

func TestTextThatReadsInTwoWaysIsUnsure(t *testing.T) {
	for _, text := range []string{
		`SELECT 'a\'`, // standard_conforming_strings
		`SELECT 'a\\\'`,
		`SELECT U&"\0073et_config"('a', 'b', false)`,
		`SELECT u&"!0073et_config" UESCAPE '!' ('a', 'b', false)`,
		"SELECT E'\x95\\'; SET x = 1", // SJIS
		"SELECT $\x95\\$ ' $\x95\\$; SET x = 1 -- '",
		"SELECT $aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa$ ; SET x = 1",
	} {
		if got := Scan([]byte(text)); got&Ambiguous == 0 {
			t.Errorf("%q: got %v, want unsure", text, got)
		}
	}
	for text, want := range map[string]bool{
		`SELECT U&"\0073et_config"('a', 'b', false)`: true, "SELECT $\x95\\$ ' $\x95\\$; SET x = 1 -- '": true,
		"SELECT $aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa$ ' $": true,
		`SELECT 'a\'`: false, "SELECT E'\x95\\'": false, `SELECT U&'\0061'`: false, "SELECT $1": false,
	} {
		if got := Scan([]byte(text))&Hidden != 0; got != want {
			t.Errorf("%q: hidden is %t", text, got)
		}
	}
	quiet(t, `SELECT 'a\\'`, `SELECT 'C:\x'`, `SELECT E'é\n'`, `SELECT 'é'`)
}

func TestDeallocateNameIsReadAsPostgreSQLDoes(t *testing.T) {
	long := "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"
	for text, want := range map[string]string{
		"DEALLOCATE p":                           "p",
		"deallocate MyName ;":                    "myname",
		`DEALLOCATE "My""Name"`:                  `My"Name`,
		`DEALLOCATE"p"`:                          "p",
		"DEALLOCATE PREPARE p":                   "p",
		"DEALLOCATE PREPARE":                     "prepare",
		`DEALLOCATE "prepare"`:                   "prepare",
		`DEALLOCATE prepare "all"`:               "all",
		"/* a /* b */ */ DEALLOCATE -- c\n p ;;": "p",
		"DEALLOCATE " + long + "xyz":             long,
		"DEALLOCATE " + long[:62] + "éa":         long[:62],
	} {
		if got := deallocated(text); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{
		"", "DEALLOCATE", "DEALLOCATE ALL", "DEALLOCATE PREPARE ALL", "SELECT 1", `DEALLOCATE ""`, `DEALLOCATE "a`,
		`"deallocate" a`, "DEALLOCATE $1", `DEALLOCATE prepare ""`, "DEALLOCATE /* a",
	} {
		if got := deallocated(text); got != nil {
			t.Errorf("%s: got %q, want none", text, got)
		}
	}
}

// deallocated returns the statements that a text deallocates by name.
func deallocated(text string) (list []string) {
	for _, r := range NameRefs([]byte(text), nil) {
		if r.Verb == Deallocate {
			list = append(list, r.Name)
		}
	}
	return list
}

func TestEffectsAreNamedInPlainWords(t *testing.T) {
	if got := (Settings | Role | Begins).String(); got != "settings, role, begins" {
		t.Errorf("got %q", got)
	}
	if n := len(effectNames); Effects(1)<<(n-1) != Exits || effectNames[22] != Hidden.String() {
		t.Errorf("%d names do not fit the effects", n)
	}
}

func TestDeallocationsAreFoundAmongOtherStatements(t *testing.T) {
	for text, want := range map[string][]string{
		`SAVEPOINT a;DEALLOCATE "_PLAN0x1";RELEASE a`:       {`_PLAN0x1`},
		"deallocate A; DEALLOCATE PREPARE b ;":              {"a", "b"},
		"SELECT ';DEALLOCATE x;'; DEALLOCATE y":             {"y"},
		"SELECT $$;DEALLOCATE x;$$ -- ;DEALLOCATE z;\n":     nil,
		"/* ;DEALLOCATE x; */ SELECT 1; DEALLOCATE ALL":     nil,
		`SELECT 1 AS "a;DEALLOCATE x;b"; DEALLOCATE "q""r"`: {`q"r`},
	} {
		if got := deallocated(text); !slices.Equal(got, want) {
			t.Errorf("%q deallocates %q, want %q", text, got, want)
		}
	}
}

// What is hidden in escapes must not pass for a harmless name.
func TestARoleThatIsSetByEscapesIsSeen(t *testing.T) {
	for _, text := range []string{
		`SET U&"r\006fle" TO bob`, `SELECT set_config(E'r\x6fle', 'bob', false)`, `SELECT set_config(U&'r\006fle', 'bob', true)`,
		`SELECT set_config('ro' || 'le', 'bob', false)`, `SELECT set_config($1, $2, true)`, "SELECT set_config('ro'\n'le', 'bob', false)",
		`SET "role" = bob`, `UPDATE pg_settings SET setting = 'bob' WHERE name = 'role'`, `SET SESSION ROLE bob`,
		`SET LOCAL U&"r\006fle" TO bob`, `RESET U&"r\006fle"`, `SET SESSION AUTHORIZATION DEFAULT`, `RESET session_authorization`,
	} {
		got := Scan([]byte(text))
		if got&(Role|SessionAuth|LocalRole) == 0 && (got&Ambiguous == 0 || got&(Settings|Local) == 0) {
			t.Errorf("%s: got %v", text, got)
		}
	}
}
