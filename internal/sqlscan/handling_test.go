package sqlscan

import (
	"strings"
	"testing"
)

// checkOf checks texts for some of the effects.
func checkOf(t *testing.T, of Effects, examples []example) {
	t.Helper()
	for _, x := range examples {
		if got := Scan([]byte(x.text)) & of; got != x.want {
			t.Errorf("%s\n\tgot  %v\n\twant %v", x.text, got, x.want)
		}
	}
}

func TestCopyFromTheClientIsSeen(t *testing.T) {
	checkOf(t, CopyIn, []example{
		{"COPY t FROM STDIN", CopyIn},
		{"copy t (a, b) from stdin with (format csv)", CopyIn},
		{"/* */ COPY BINARY t FROM -- \n Stdin", CopyIn},
		{"SELECT 1; COPY t FROM STDIN; SELECT 2", CopyIn},
		{"COPY t TO STDOUT", 0},
		{"COPY t FROM '/stdin'", 0},
		{"COPY t FROM PROGRAM 'stdin'", 0},
		{"COPY t TO STDOUT /* STDIN */ -- STDIN", 0},
		{`COPY "stdin" TO STDOUT`, 0},
		{"COPY t TO STDOUT; SELECT stdin", 0},
		{"SELECT copy, stdin FROM t", 0},
		{`SELECT 'a\'; SELECT 2`, CopyIn},
		{`SELECT U&"\0061"`, CopyIn},
		{"SELECT 'COPY t FROM STDIN'", 0},
	})
}

func TestWhatParseAnalysisReadsIsSeen(t *testing.T) {
	const of = Analysis | SearchPath | Settings | Local
	for _, name := range []string{
		"TimeZone", "timezone_abbreviations", "DateStyle", "IntervalStyle", "search_path", "role", "session_authorization",
		"client_encoding", "standard_conforming_strings", "backslash_quote", "array_nulls", "transform_null_equals", "xmloption",
		"lc_monetary", "default_text_search_config", "extra_float_digits", "quote_all_identifiers",
	} {
		want := Analysis
		if name == "search_path" {
			want |= SearchPath
		}
		checkOf(t, of, []example{
			{"SET " + name + " = x", want | Settings},
			{"set session " + strings.ToUpper(name) + " to 'x'", want | Settings},
			{`SET "` + name + `" TO DEFAULT`, want | Settings},
			{"SET LOCAL " + name + " TO x", want | Local},
			{`SET LOCAL "` + name + `" = 'x'`, want | Local},
			{"RESET " + name, want | Settings},
			{`RESET "` + name + `"`, want | Settings},
			{"SELECT set_config('" + name + "', $1, false)", want | Settings},
			{"SELECT set_config('" + name + "', 'x', true)", want | Local},
			{"ALTER ROLE joe SET " + name + " = x", 0},
			{"SELECT " + name + " FROM t", 0},
			{"UPDATE t SET " + name + " = 1", 0},
			{"SHOW " + name, 0},
			{"SET a." + name + " = 1", Settings},
		})
	}
	for _, name := range []string{
		"escape_string_warning", "lc_messages", "bytea_output", "plpgsql.variable_conflict",
		"a.b", "statement_timeout", "enable_seqscan", "work_mem", "application_name",
	} {
		checkOf(t, of, []example{
			{"SET " + name + " = x", Settings},
			{"SET LOCAL " + name + " = x", Local},
			{"RESET " + name, Settings},
			{"SELECT set_config('" + name + "', 'x', false)", Settings},
		})
	}
	checkOf(t, of, []example{
		{"SET TIME ZONE 'UTC'", Analysis | Settings},
		{"SET LOCAL TIME ZONE 'UTC'", Analysis | Local},
		{"RESET TIME ZONE", Analysis | Settings},
		{"SET NAMES 'utf8'", Analysis | Settings},
		{"SET SCHEMA 'x'", Analysis | SearchPath | Settings},
		{"SET LOCAL SCHEMA 'x'", Analysis | SearchPath | Local},
		{"SET XML OPTION DOCUMENT", Analysis | Settings},
		{"SET ROLE joe", Analysis | Settings},
		{"SET LOCAL ROLE NONE", Analysis | Local},
		{"SET SESSION AUTHORIZATION joe", Analysis | Settings},
		{"SET LOCAL SESSION AUTHORIZATION joe", Analysis | Local},
		{"RESET SESSION AUTHORIZATION", Analysis | Settings},
		{"RESET ALL", Analysis | SearchPath | Settings},
		{"DISCARD ALL", Analysis | SearchPath | Settings},
		{"DISCARD PLANS", 0},
		{"SET TRANSACTION READ ONLY", 0},
		{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Settings},
		{"SELECT set_config($1, 'x', false)", Analysis | SearchPath | Settings},
		{"SELECT set_config('a' || 'b', 'x', true)", Analysis | SearchPath | Settings},
		{"SELECT set_config(E'a', 'x', true)", Analysis | SearchPath | Settings},
		{"UPDATE pg_settings SET setting = 1", Analysis | SearchPath | Settings},
		{`SET U&"x" = 1`, Analysis | SearchPath | Settings},
		{`SET LOCAL U&"x" = 1`, Analysis | SearchPath | Local},
		{`RESET U&"x"`, Analysis | SearchPath | Settings},
		{`SELECT U&"x" FROM t`, 0},
	})
}

func TestSetConfigOfTheTransactionIsLocal(t *testing.T) {
	const of = Settings | Local | Role | SessionAuth | LocalRole | Resets | Seed
	checkOf(t, of, []example{
		{"SELECT set_config('a', 'b', true)", Local},
		{`SELECT "set_config"('a', '', TRUE)`, Local},
		{"SELECT set_config('a', E'it''s\\n', /* */ 'true' )", Local},
		{"SELECT set_config('a', 'b', 't'), set_config('c', 'd', 'on')", Local},
		{"SELECT set_config('a', 'b', true), set_config('c', 'd', false)", Local | Settings},
		{"SELECT set_config('role', 'b', true)", Local | LocalRole},
		{"SELECT set_config('session_authorization', 'b', true)", Local | LocalRole},
		{"SELECT set_config('seed', '1', true)", Local | Seed},
		{"SET LOCAL seed = 1", Local | Seed},
		{"SELECT set_config('a', 'b', false)", Settings},
		{"SELECT set_config('a', 'b', $1)", Settings},
		{"SELECT set_config('a', 'b', 'false')", Settings},
		{"SELECT set_config('a', 'b', 'true' = 'false')", Settings},
		{"SELECT set_config('a', 'b', 'true'\n'x')", Settings},
		{"SELECT set_config('a', 'b', 'true''')", Settings},
		{"SELECT set_config('a', 'b', true AND false)", Settings},
		{"SELECT set_config('a', 'b', true::text = 'x')", Settings},
		{"SELECT set_config('a', 'b', NOT true)", Settings},
		{"SELECT set_config('a', 'b', (true))", Settings},
		{"SELECT set_config('a', 'b', \"true\") FROM t", Settings},
		{"SELECT set_config('a', 'b', E'true')", Settings},
		{"SELECT set_config('a', 'b', true", Settings},
		{"SELECT set_config('a', $1, true)", Settings | Resets},
		{"SELECT set_config('a', NULL, true)", Settings | Resets},
		{"SELECT set_config('a', 'b' || NULL, true)", Settings | Resets},
		{"SELECT set_config('a', 'b'::text, true)", Settings | Resets},
		{"SELECT set_config('a', (NULL), false)", Settings | Resets},
		{"SELECT set_config('a', set_config('b', 'c', true), true)", Settings | Resets | Local},
		{"SELECT set_config($1, 'a', true)", anySetting | Resets},
		{"SELECT set_config", anySetting | Resets},
	})
}

func TestWordsForAMomentInLiteralsAreSeen(t *testing.T) {
	for _, text := range []string{
		"'now'", "'  NOW '", "'tomorrow 10:00'", "'{today,now}'", "E'now'", "U&'now'", "U&'\\006eow'", "$$now$$", "$a$ x now$a$",
		"$a$now$b$ $a$", "$a$$now$a$", "$now$x now$now$", "'2020-01-01 today'", "'[yesterday,)'", "'yesterday'", "'Tomorrow'", "E'\\x6eow'",
		"E'\\156ow'", "E'\\u006eow'", "E'n\\ow'", "E'no\\w'", "E'now\\n'", "E'\\nnow'", "E'\\'now'", "E'it''s\\\\now'", "'it''s now'", "'now''s'",
		"'no'\n'w'", "'no' -- c\n 'w'", "'to'\n'mor'\n'row'", "E'no'\n'\\w'", "timestamp 'now'", "set_config('a', 'now', true)",
		"'n\\ow'", "'\\now'", "'a\\nnow'", "'\\116ow'", "'no\\w'", "'now1'", "'1now'", "'_now_'", "'énow'", "'x', 'now'", "B'now'",
		"'" + strings.Repeat("x", maxLiteral+1) + "'", "$$" + strings.Repeat("x", maxLiteral+1) + "$$",
	} {
		checkOf(t, Moment, []example{{"SELECT " + text, Moment}, {"SELECT 1, " + text + ", 'x'", Moment}})
	}
	for _, text := range []string{
		"now()", "now", `"now"`, "'know'", "'nowhere'", "'snow'", "'no w'", "'no''w'", "'n', 'ow'", "'todays'", "'yester day'", "-- now\n 1",
		"/* now */ 1", "$now$x$now$", "$a$no$a$", "''", "E'\\nn\\tow'", "E'no\\nw'", "E'no\\''", "'C:\\new\\today1s'", "'\\d+\\w'", "E'\\8now8x'",
		"'no'\n'where'", "E'n\\\\ow'", "$1", "'a'\n'now'", "E'\\w'", "'x', E'\\\\w'",
		"'" + strings.Repeat("x", maxLiteral) + "'",
	} {
		want := Effects(0)
		if strings.Contains(text, "today1") || strings.Contains(text, "8now8") {
			want = Moment
		}
		checkOf(t, Moment, []example{{"SELECT " + text, want}})
	}
}

func TestNamesOfStatementsAreSeen(t *testing.T) {
	checkOf(t, Names, []example{
		{"PREPARE p AS SELECT 1", Names},
		{`PREPARE "p" AS SELECT 1`, Names},
		{"PREPARE local (int) AS SELECT 1", Names},
		{"PREPARE transaction AS SELECT 1", Names},
		{"PREPARE transaction (int) AS SELECT 1", Names},
		{"PREPARE TRANSACTION 'x'", 0},
		{"PREPARE TRANSACTION U&'x'", 0},
		{"EXECUTE p", Names},
		{"EXPLAIN (ANALYZE) EXECUTE p", Names},
		{"CREATE TABLE t AS EXECUTE p", Names},
		{"DEALLOCATE p", Names},
		{`DEALLOCATE PREPARE "p"`, Names},
		{"DEALLOCATE PREPARE", Names},
		{"DEALLOCATE ALL", 0},
		{"GRANT EXECUTE ON FUNCTION f() TO r", 0},
		{"SELECT prepare, execute, deallocate FROM t", 0},
	})
}

func TestResetsAreSeen(t *testing.T) {
	checkOf(t, Resets, []example{
		{"RESET x", Resets}, {"RESET ALL", Resets}, {"RESET ROLE", Resets}, {`RESET "x"`, Resets}, {"RESET a.b", Resets},
		{"RESET SESSION AUTHORIZATION", Resets}, {"RESET TIME ZONE", Resets},
		{"SET x TO DEFAULT", Resets},
		{"SET x = default", Resets},
		{"SET a.b = DEFAULT", Resets},
		{`SET "x" = DEFAULT`, Resets},
		{"SET SESSION x = DEFAULT", Resets},
		{"SET LOCAL x TO DEFAULT", Resets},
		{"SET TIME ZONE DEFAULT", Resets},
		{"SET TIME ZONE LOCAL", Resets},
		{"SET LOCAL TIME ZONE LOCAL", Resets},
		{"SET SESSION TIME ZONE local", Resets},
		{"SET SESSION AUTHORIZATION DEFAULT", Resets},
		{"SET NAMES DEFAULT", Resets},
		{"SET NAMES", 0},
		{"DISCARD ALL", Resets},
		{"DISCARD TEMP", 0},
		{"UPDATE pg_settings SET setting = NULL", Resets},
		{"SELECT set_config('a', NULL, false)", Resets},
		{"SELECT set_config('a', $2, false)", Resets},
		{"SELECT set_config('a', 'b', false)", 0},
		{"SET x = 'default'", 0},
		{`SET x = "default"`, 0},
		{"SET x TO local", 0},
		{"SET TIME ZONE 'local'", 0},
		{"SET LOCAL x = 1", 0},
		{"ALTER ROLE joe RESET ALL", 0},
		{"ALTER ROLE joe SET x TO DEFAULT", 0},
		{"ALTER TABLE t ALTER c SET DEFAULT 1", 0},
		{"INSERT INTO t VALUES (DEFAULT)", 0},
		{"UPDATE t SET x = DEFAULT", 0},
		{"SET x = 1; INSERT INTO t VALUES (DEFAULT)", 0},
	})
}

func TestSeveralStatementsAreTold(t *testing.T) {
	checkOf(t, Several, []example{
		{"", 0}, {";", 0}, {"SELECT 1", 0}, {"SELECT 1;", 0}, {";;SELECT 1;; -- ;\n;", 0},
		{"SELECT ';1'", 0}, {"SELECT $$;$$", 0}, {"SELECT 1/*;*/", 0}, {`SELECT ";"`, 0},
		{"SELECT 1; SELECT 2", Several}, {"SELECT 1;;;(SELECT 2)", Several}, {"BEGIN;x", Several}, {"x;'", Several}, {`x;"`, Several},
	})
}

func TestPlainCommandsAreNotAnalyzed(t *testing.T) {
	for _, text := range []string{
		"BEGIN", "START TRANSACTION", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT s", "RELEASE s", "SET x = 1", "RESET x", "SHOW x",
		"LISTEN a", "UNLISTEN a", "NOTIFY a", "DEALLOCATE p", "DISCARD ALL", "LOCK t", "FETCH c", "MOVE c", "CLOSE c", "VACUUM t",
		"CHECKPOINT", "LOAD 'x'", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "DROP TABLE t", "GRANT r TO s", "TRUNCATE t",
		"ANALYZE t", "BEGIN; SET x = 1; COMMIT", "", ";",
	} {
		checkOf(t, Analyzed, []example{{text, 0}})
	}
	for _, text := range []string{
		"SELECT 1", "(SELECT 1)", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t", "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
		"WITH a AS (SELECT 1) SELECT * FROM a", "VALUES (1)", "TABLE t", "EXPLAIN SELECT 1", "CREATE TABLE t ()", "DECLARE c CURSOR FOR SELECT 1",
		"CALL p()", "PREPARE p AS SELECT 1", `PREPARE "p" AS SELECT 1`, "PREPARE transaction AS SELECT 1", "PREPARE transaction(int) AS SELECT 1",
		"EXECUTE p", "COPY t TO STDOUT", "DO ''", "ALTER TABLE t ADD a int DEFAULT 1", "BEGIN; SELECT 1", "frobnicate",
	} {
		checkOf(t, Analyzed, []example{{text, Analyzed}})
	}
}

func TestWhatRunsInAFailedTransactionIsTold(t *testing.T) {
	checkOf(t, Exits, []example{
		{"COMMIT", Exits}, {"ROLLBACK TO SAVEPOINT s", Exits}, {"rollback work to s", Exits}, {"PREPARE TRANSACTION 'x'", Exits},
		{"SELECT 1", 0}, {"ROLLBACK PREPARED 'x'", 0}, {"RELEASE s", 0}, {"SAVEPOINT s", 0}, {"SET x TO 1", 0},
	})
}

func TestTransactionEndsAreTold(t *testing.T) {
	checkOf(t, Ends, []example{
		{"COMMIT", Ends}, {"END", Ends}, {"ROLLBACK", Ends}, {"ABORT", Ends}, {"commit work", Ends}, {"ROLLBACK AND CHAIN", Ends},
		{"SELECT 1; COMMIT; SELECT 2", Ends}, {"ROLLBACK TRANSACTION", Ends}, {"PREPARE TRANSACTION 'x'", Ends}, {"PREPARE TRANSACTION E'x'", Ends},
		{"PREPARE TRANSACTION $$x$$", Ends}, {"PREPARE TRANSACTION U&'x'; SELECT 1", Ends},
		{"ROLLBACK TO s", 0}, {"ROLLBACK TO SAVEPOINT s", 0}, {"ROLLBACK WORK TO s", 0}, {"rollback transaction to savepoint s", 0},
		{"ROLLBACK TO s; ROLLBACK", Ends}, {"ROLLBACK; ROLLBACK TO s", Ends},
		{"COMMIT PREPARED 'x'", 0}, {"ROLLBACK PREPARED 'x'", 0}, {"PREPARE transaction AS SELECT 1", 0}, {"PREPARE transaction(text) AS SELECT 'x'", 0},
		{"BEGIN", 0}, {"SAVEPOINT s; RELEASE s", 0}, {"SELECT CASE WHEN a THEN 1 END", 0}, {"SELECT 'COMMIT'", 0},
	})
}
