package sqlscan

import (
	"strings"
	"testing"
)

func TestCallsOfFunctionsThatMayDoAnythingAreSeen(t *testing.T) {
	for _, text := range []string{
		"SELECT f()", "select F(1)", "SELECT f (1)", "SELECT f/* */\n--x\n(1)", `SELECT "f"(1)`, `SELECT "Count"(1)`, `SELECT "select"(1)`, `SELECT U&"f"(1)`,
		"SELECT s.f(1)", "SELECT s.count(1)", "SELECT s . count (1)", `SELECT "s"."count"(1)`, "SELECT d.s.lower(1)", "SELECT lower.lower(1)",
		"SELECT pg_catalog.f(1)", "SELECT pg_catalog.set_config('a', 'b', false)", "SELECT PG_TEMP.lower(1)", `SELECT "PG_CATALOG".lower(1)`,
		"SELECT 1, f()", "SELECT lower(f())", "SELECT lower('x', f(1))", "SELECT (f(1))", "SELECT a + f(1)", "SELECT -f(1)", "SELECT $1, f($2)", "SELECT 'x'||f(1)",
		"SELECT a AS x, f(1)", "SELECT DISTINCT f(1)", "SELECT DISTINCT ON (a) f(b)", "SELECT DISTINCT ON (a, (b)) s.f(b)", "INSERT INTO t VALUES (1) RETURNING WITH (OLD AS o) f(1)", "SELECT ALL f(1)", "SELECT 1 FROM t WHERE f(1)", "SELECT 1 FROM f(1)",
		"SELECT 1 FROM t, f(1)", "SELECT 1 FROM t JOIN f(1) ON true", "SELECT 1 FROM t JOIN u ON f(1)", "SELECT 1 FROM t, LATERAL f(1)", "SELECT 1 FROM ROWS FROM (f(1))",
		"SELECT 1 FROM t CROSS JOIN LATERAL s.f(1)", "SELECT CASE WHEN f(1) THEN 1 END", "SELECT CASE WHEN a THEN f(1) END", "SELECT CASE WHEN a THEN 1 ELSE f(1) END",
		"SELECT CASE f(1) WHEN 1 THEN 1 END", "SELECT 1 ORDER BY f(1)", "SELECT 1 GROUP BY f(1)", "SELECT 1 HAVING f(1)", "SELECT 1 LIMIT f(1)", "SELECT 1 OFFSET f(1)",
		"SELECT 1 FETCH FIRST f(1) ROWS ONLY", "SELECT a AND f(1), a OR f(1), NOT f(1)", "SELECT a BETWEEN f(1) AND 2", "SELECT a LIKE f(1)", "SELECT a LIKE b ESCAPE f(1)",
		"SELECT a IN (f(1))", "SELECT a = ANY (f(1))", "SELECT a IS DISTINCT FROM f(1)", "SELECT a AT TIME ZONE f(1)", "SELECT a SIMILAR TO f(1)", "SELECT ARRAY[f(1)]",
		"SELECT a OPERATOR(pg_catalog.=) f(1)", "SELECT substring(a FROM f(1) FOR 1)", "SELECT substring(a FROM 1 FOR f(1))", "SELECT position(f(1) IN a)",
		"SELECT EXTRACT(year FROM f(1))", "SELECT CAST(f(1) AS int)", "SELECT sum(a) FILTER (WHERE f(1))", "SELECT sum(a) OVER (PARTITION BY f(1))",
		"SELECT sum(a) OVER (ORDER BY a ROWS f(1) PRECEDING)", "SELECT over(1), filter(1)", "SELECT key(1)", "SELECT first(a)", "SELECT name(1), format(f(1))",
		"INSERT INTO t VALUES (f(1))", "INSERT INTO t (a) SELECT f(1)", "INSERT INTO t (a) VALUES (1) RETURNING f(1)", "INSERT INTO t DEFAULT VALUES RETURNING f(1)",
		"INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = f(1)", "SELECT 1 FROM t JOIN u ON conflict(1)", "UPDATE t SET a = f(1)", "UPDATE t SET (a, b) = (f(1), 2)",
		"UPDATE t SET a = 1 WHERE f(1)", "DELETE FROM t USING f(1)", "DELETE FROM t WHERE a = f(1)", "MERGE INTO t USING f(1) ON true WHEN MATCHED THEN DELETE",
		"MERGE INTO t USING s ON f(1) WHEN MATCHED AND g(1) THEN DELETE", "SELECT CASE WHEN a THEN insert(1) END", "VALUES (f(1))", "CALL f(1)",
		"WITH x (a) AS (SELECT f(1)) SELECT 1", "WITH x AS (SELECT 1) SELECT f(1)", "WITH x AS (SELECT 1) SELECT 1, f(1)", "WITH x AS (SELECT 1), y AS (SELECT 1) SELECT count(*), f(1)",
		"WITH x AS (SELECT 1) INSERT INTO t VALUES (1) RETURNING a, f(1)", "EXPLAIN SELECT f(1)", "PREPARE p AS SELECT f(1)", "EXECUTE p(f(1))", "COPY (SELECT f(1)) TO STDOUT",
		"CREATE TABLE t AS SELECT f(1)", "CREATE TABLE t (a int DEFAULT f(1))", "CREATE TABLE t (a int CHECK (f(a)))", "CREATE INDEX i ON t (f(a))", "CREATE INDEX ON t (a) WHERE f(a)",
		"CREATE VIEW index AS SELECT 1 FROM t JOIN u ON f(1)", "ALTER TABLE t ALTER a TYPE int USING f(a)", "DECLARE c CURSOR FOR SELECT f(1)", "SELECT 1; SELECT f(1)",
		"SELECT pg_advisory_lock(1)", "SELECT currval('s')", "SELECT setseed(1)", "SELECT query_to_xml('x')", "SELECT ts_stat('x')", "SELECT dblink_connect('x')",
		"SELECT pg_reload_conf()", "SELECT pg_terminate_backend(1)", "SELECT x FROM t TABLESAMPLE f(1), g(1)", "SELECT XMLELEMENT(NAME a, f(1))", "SELECT f(VARIADIC a)",
	} {
		checkOf(t, Calls, []example{{text, Calls}})
	}
}

func TestHarmlessParenthesesAreNoCalls(t *testing.T) {
	for _, text := range []string{
		"SELECT 1", "SELECT (1)", "(SELECT 1)", "SELECT f", "SELECT 'f(1)', $$f(1)$$", "SELECT 1 -- f(1)\n", `SELECT "f(1)"`, "SELECT f; (SELECT 1)",
		"SELECT count(*), sum(a), avg(a), min(a), max(a) FROM t", `SELECT "count"(*)`, "SELECT pg_catalog.count(*), pg_catalog . lower (a)", `SELECT "pg_catalog"."lower"(a)`,
		"SELECT coalesce(a, b), nullif(a, b), greatest(a, b), least(a, b)", "SELECT now(), lower(a), upper(a), length(a), substring(a FROM 1), substr(a, 1), trim(BOTH FROM a)",
		"SELECT concat(a), replace(a, b, c), to_char(a, 'x'), to_date(a, 'x'), to_timestamp(1), date_trunc('day', a), date_part('x', a), extract(year FROM a)",
		"SELECT round(a), floor(a), ceil(a), abs(a), random(), json_build_object('a', 1), jsonb_agg(a), array_agg(a), array_length(a, 1), string_agg(a, ',')",
		"SELECT row_number() OVER (PARTITION BY a ORDER BY b), rank() OVER w, lag(a) OVER (w) FROM t WINDOW w AS (ORDER BY a)", "SELECT * FROM generate_series(1, 2) AS g (x)",
		"SELECT * FROM generate_series(1, 2) x (y)", "SELECT * FROM t x (a, b)", "SELECT * FROM (VALUES (1)) x (a), json_to_record(a) y (b int)", "SELECT * FROM (VALUES (1)) AS x (a)", "SELECT CAST(a AS numeric(10,2)), a::varchar(10), unnest(a)",
		"SELECT current_setting('x'), pg_typeof(a), format('%s', a), md5(a), encode(a, 'hex'), gen_random_uuid(), row_to_json(a), to_jsonb(b)",
		"SELECT regexp_replace(a, b, c), position('a' IN b), age(a), make_date(1, 2, 3), nextval('s'), pg_backend_pid(), version(), txid_current(), pg_sleep(1)",
		"SELECT current_database(), current_schema(), has_table_privilege('t', 'select'), pg_advisory_xact_lock(hashtext('x'))",
		"SELECT a FROM t WHERE a IN (1, 2) AND EXISTS (SELECT 1) AND b = ANY (ARRAY[1]) OR NOT (a = ALL (SELECT 1)) AND (a, b) OVERLAPS (c, d)",
		"SELECT CASE WHEN (a) THEN (b) ELSE (c) END", "SELECT a FROM t JOIN u USING (a) LEFT JOIN (SELECT 1) x ON (true) CROSS JOIN (SELECT 2) y", "SELECT 1 FROM (t) JOIN (u) ON (true)",
		"SELECT 1 UNION ALL (SELECT 2) INTERSECT (SELECT 3) EXCEPT (SELECT 4)", "SELECT sum(a) FILTER (WHERE b), percentile_cont(0.5) WITHIN GROUP (ORDER BY a)",
		"SELECT a GROUP BY (a), GROUPING SETS ((a), (b)) HAVING (a) ORDER BY (a) LIMIT (1) OFFSET (1)", "SELECT ROW (1, 2), ARRAY (SELECT 1), INTERVAL (3) '1'",
		"SELECT a BETWEEN (1) AND (2), a LIKE (b), a OPERATOR(pg_catalog.=) b", "SELECT x FROM t TABLESAMPLE system (1)", "SELECT DISTINCT ON (a) b FROM t", "SELECT lower(a) FROM s.t",
		"INSERT INTO t (a, b) VALUES (1, 2)", "INSERT INTO s.t (a, b) VALUES ($1, $2)", `INSERT INTO "s"."t" ("a") VALUES (DEFAULT) RETURNING (a)`, "INSERT INTO t AS x (a) SELECT 1",
		"INSERT INTO pg_catalog.x (a) VALUES (1)", "INSERT INTO name (a) VALUES (1)", "INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (1)",
		"INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET (a, b) = (1, 2) WHERE (true)", "INSERT INTO t (a) VALUES (1) ON CONFLICT (lower(a)) DO NOTHING",
		"UPDATE t SET (a, b) = (1, 2)", "UPDATE t AS x SET a = (1)", "DELETE FROM t USING (SELECT 1) x", "MERGE INTO t USING s ON (true) WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
		"WITH x (a) AS (SELECT 1) SELECT * FROM x", "WITH RECURSIVE x (a) AS (SELECT 1), y (b, c) AS (SELECT count(*)) SELECT 1", "WITH x AS MATERIALIZED (SELECT 1), y(b) AS (SELECT 1) INSERT INTO t (a) SELECT 1",
		"CREATE TABLE t (a int, b numeric(10, 2), c varchar(10), d char(3), e timestamp(3), f character varying(10), g bit varying(3), h interval(3), i vector(3), j s.vector(3))",
		"CREATE TABLE IF NOT EXISTS s.t (a int PRIMARY KEY, b int REFERENCES t (a), c int REFERENCES s.t (a), UNIQUE (a), PRIMARY KEY (a), FOREIGN KEY (b) REFERENCES u (c), CHECK (a > 1))",
		"CREATE TEMP TABLE t (a) AS SELECT 1", "CREATE INDEX ON t (a)", "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (a, lower(b))", "CREATE INDEX i ON ONLY t USING gin (a)",
		"CREATE INDEX i ON t USING ivfflat (a vector_ops) WHERE (a > 1)", "CREATE VIEW v (a) AS SELECT 1", "CREATE OR REPLACE VIEW s.v (a) AS SELECT 1", "CREATE MATERIALIZED VIEW v (a) AS SELECT 1",
		"CREATE FUNCTION f (a int) RETURNS numeric(10) LANGUAGE sql AS 'x'", "CREATE TYPE t AS ENUM ('a')", "CREATE TYPE t AS (a int)", "DROP FUNCTION f (int)", "ALTER TABLE t ALTER a TYPE vector(3)",
		"ALTER TABLE t ADD COLUMN a vector(3), ADD UNIQUE (a)", "GRANT SELECT (a) ON t TO r", "GRANT EXECUTE ON FUNCTION f (int) TO r", "CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f ()",
		"COPY t (a, b) FROM STDIN (FORMAT csv)", "COPY (SELECT 1) TO STDOUT", "COPY t TO STDOUT (FORMAT csv)", "EXPLAIN (ANALYZE) SELECT 1", "VACUUM (ANALYZE) t (a)", "ANALYZE t (a)", "PREPARE p (int) AS SELECT $1", "EXECUTE p (1)",
		"EXPLAIN EXECUTE p (1)", "CREATE TABLE t AS EXECUTE p(1)", "DECLARE c CURSOR FOR SELECT count(*)", "SELECT a[1], (a).b, a.b FROM t", "SELECT 1.5, a.*, count(1.5)",
	} {
		checkOf(t, Calls, []example{{text, 0}})
	}
}

func TestEveryWordThatIsKnownIsFound(t *testing.T) {
	for _, list := range []string{fixedKeywords, freeKeywords, builtins, naming, joining, pure} {
		for _, word := range strings.Fields(list) {
			if e := lookup([]byte(strings.ToUpper(word))); e.text != word {
				t.Errorf("%s is found as %q", word, e.text)
			}
			if len(word) >= maxWord {
				t.Errorf("%s is too long to be found in pieces", word)
			}
		}
	}
	for _, word := range strings.Fields(builtins) {
		if e := lookup([]byte(word)); e.kind == function || e.kind == kSetConfig {
			t.Errorf("%s has effects and passes for harmless", word)
		}
	}
}
