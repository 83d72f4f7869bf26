// Package parser parses the SQL that the model in internal/pgmodel knows: a
// closed list of statements.
//
// It is PostgreSQL's raw parser: it looks at the text alone and knows no tables,
// types or settings. What a statement refers to is for parse analysis.
//
// The statements, in upper or lower case, several of them joined by semicolons:
//
//	BEGIN, START TRANSACTION, COMMIT, END, ROLLBACK, ABORT [AND CHAIN]
//	SAVEPOINT s, ROLLBACK TO s, RELEASE s
//	SELECT [item, ...], with these items: 1, 'x', true, $1, 1/0 (alone),
//	    extract(epoch from timestamptz '2021-01-01 00:00'), current_user,
//	    set_config(name, value, local), current_setting(name [, true]),
//	    pg_advisory_lock(n), pg_advisory_xact_lock(n), pg_advisory_unlock(n),
//	    pg_advisory_unlock_all(), pg_notify(channel, payload)
//	SELECT a FROM t, SELECT count(*) FROM t
//	SELECT g FROM generate_series(1,n) g
//	SELECT 1/(k-g) FROM generate_series(1,n) g, which fails at row k
//	INSERT INTO t VALUES (v) [RETURNING a]
//	SET [SESSION | LOCAL] name = value | TO value [, ...] | TO DEFAULT
//	SET [LOCAL] SESSION AUTHORIZATION a | b | DEFAULT, and its RESET
//	SET [LOCAL] ROLE a | b | none, RESET name, RESET ROLE, RESET ALL, SHOW name
//	PREPARE p AS SELECT ... | INSERT ..., EXECUTE p [(v, ...)]
//	DEALLOCATE p | ALL, DISCARD ALL | PLANS | TEMP | SEQUENCES
//	LISTEN c, UNLISTEN c | *, NOTIFY c [, 'payload']
//	DECLARE c CURSOR [WITH HOLD] FOR SELECT ..., FETCH [n | ALL] FROM c
//	CLOSE c | ALL
//	COPY t FROM STDIN, COPY t TO STDOUT
//	CREATE TABLE t (a int4), CREATE TEMP TABLE t (a int4) [ON COMMIT DROP]
//	DROP TABLE [IF EXISTS] t, TRUNCATE t
//	ALTER TABLE t ALTER a TYPE int4 | int8 | float4
//	DO $$ BEGIN EXECUTE 'statement'; END $$
package parser
