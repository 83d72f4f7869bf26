// Package integration tests the pgseal program against real PostgreSQL servers,
// with the clients that applications use.
//
//	psql, pgbench, pgx, lib/pq ──TLS──► pgseal ──TLS──► PostgreSQL 15 and 18
//
// The drivers of other languages have their programs in drivers/. The status
// page is looked at with Chromium; go test -artifacts keeps pictures of it.
//
// It holds tests only. TestMain builds the program, once with the race
// detector for the tests of behaviour and once without for those that measure;
// a data race in the program ends it and with that the test. Clusters are
// started by internal/pgcluster, certificates made by internal/devca. A server
// version that is not installed, or psql, pgbench, slapd, openssl or chromium
// missing, is a failure: nothing is skipped.
//
// What is tested here is what only shows between processes: what real clients
// and servers accept, what becomes of both when one is killed, what happens to
// connections while certificates change. What one package can show by itself
// is tested in that package.
//
// Each test owns the pgseal it starts and stops it by its process ID. Clusters
// go from one test to the next, where that does not disturb them, and are owned
// by TestMain. Tests run in parallel, each with a cluster to itself; those that
// measure time or memory, or load the machine, run before them, one by one.
// Every log line of every pgseal is read at the end of its test: an
// error that the test did not announce, a password, a key or a word of SQL in
// it fails the test.
//
// PGSEAL_TEST_POSTGRES sets the versions of PostgreSQL; "15 18" without it, and
// "14 15 16 17 18" in make test-matrix. PGSEAL_TEST_SECONDS sets how long each
// run of pgbench takes; 1 without it. PGSEAL_TEST_UPDATE=1 writes the table in
// docs/compatibility.md instead of comparing it. PGSEAL_TEST_SEED repeats a test
// of what is made up at random, and PGSEAL_SOAK=30m has the dialogues of many
// clients go on for so long with each version.
package integration
