// Package proc reads what processes cost from /proc: CPU time and resident
// memory, for one process, for it and its descendants, or for all processes
// of a container.
//
// It starts, stops and signals nothing. On systems without /proc every read
// fails with an error, and a benchmark then has no figures of cost. Any
// goroutine may use it.
//
// Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_clear_refs(5).
package proc
