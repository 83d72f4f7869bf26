// Package engine is what pgseal knows of sockets and readiness. It knows no
// PostgreSQL.
//
// At present it holds what the goroutine-per-connection driver needs beyond
// package net; the event loops will live here.
package engine
