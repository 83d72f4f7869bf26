// Package load drives a target: by pgbench where it is installed, else by its
// own clients, in a closed loop (as fast as answers come), in an open loop (at
// a fixed rate), or by logging in again and again.
//
// Every loop is bounded in time. It measures latency and counts, and knows
// neither processes nor scenarios.
//
// # Coordinated omission
//
// A client that waits for a stalled server sends nothing meanwhile, so a closed
// loop sees one slow answer where users would have seen many. The open loop
// fixes beforehand when each transaction is due, and counts its latency from
// then, whenever it was really sent.
package load
