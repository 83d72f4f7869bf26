// Package pgcluster starts throwaway PostgreSQL clusters on loopback, for the
// demo, the integration tests and the benchmark.
//
// Find looks for an installed PostgreSQL. Start runs initdb in a directory of
// its own, starts the postgres program as a child of this process, and returns
// once it takes connections. The cluster can be reloaded, restarted, killed,
// given another certificate, and is removed with all its data by Stop.
//
// It does not install PostgreSQL (scripts/install-postgres.sh does), does not
// speak its protocol, and is nothing for data that matters: fsync is off.
//
// PostgreSQL refuses to run as root. There, initdb and postgres run as the
// user "postgres" or, without one, "nobody", who also owns the data.
//
// A Cluster owns its directory, one child process and two goroutines: one
// waits for the child and one copies its log. Both have ended when Stop
// returns. On Linux the kernel stops the server when this process dies without
// calling Stop; elsewhere the server stays behind.
package pgcluster
