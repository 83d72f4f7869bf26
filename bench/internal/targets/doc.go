// Package targets starts what is measured: one throwaway PostgreSQL with TLS
// and, before it, pgseal, PgBouncer and HAProxy on loopback, each with a
// configuration written here; or it takes what a user's DSN reaches.
//
// It probes each target once, to learn what TLS it really negotiates, and
// measures nothing else.
//
// Everything that a Lab started it stops again, by process ID, and its
// directory is removed, on success, failure and Ctrl-C alike; on Linux the
// processes also die with us. A Lab and its targets belong to one goroutine,
// but for Alive and Stop, which any may call.
package targets
