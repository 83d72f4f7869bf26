// Package stats holds what is known of pgseal while it runs: counters and
// distributions of times, and snapshots of clients, servers, pools, databases and
// certificates. Those who know (proxy, pool, engine, reload, tlsconf) count, and
// fill a snapshot when somebody looks; the console, the metrics and the status
// page show it, and import none of them.
//
// What is counted often costs an addition and takes no lock; what is seldom
// takes one. Nothing is reset: who wants to know of a span of time takes a copy
// at its beginning and one at its end, and subtracts.
//
// A snapshot is a plain value of one moment that its reader owns; behind
// pointers, maps and slices it may share what is never changed. The package
// imports nothing of ours.
package stats
