// Package pgmodel is a model of PostgreSQL in memory: what it answers to which
// message, and what a session holds between messages. It judges the relay,
// which shares servers between clients, and serves nothing else.
//
// A Cluster is what several backends share: tables, advisory locks, channels,
// the settings of postgresql.conf and of roles. A Backend is one session. It is
// fed bytes in any cuts and answers at once, in the same goroutine; what
// PostgreSQL would keep in its buffer until the next flush, Take keeps back too.
// Nothing here is safe for several goroutines.
//
// The flow of messages is that of tcop/postgres.c and the states of a
// transaction are those of access/transam/xact.c, with PostgreSQL's names. Of
// SQL a backend knows a closed list of statements (statement.go), enough for
// each kind of thing that a session can hold. Extra lets a user of the package
// add more.
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
//
// What settings there are is said by known in settings.go; names with a dot are
// made up as they are set. A FunctionCall may ask for int4pl (177).
//
// RandomSession makes up what clients do. The test in integration/ plays such
// sessions on the model and on PostgreSQL 15 and 18 and compares the answers.
//
// Known differences: error texts and their positions, OIDs of tables, locks of
// rows, snapshots that are older than a wait for a lock, deadlocks (the model
// waits forever, see Blocked), statement timeouts, and the flush of a full
// output buffer of 8 kB. A backend whose lock has come goes on when the one that
// had it has done all that it was fed.
package pgmodel
