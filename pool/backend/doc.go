// Package backend is one connection to a PostgreSQL server: it is dialed,
// secured by TLS, verified and logged in, and then used for queries of pgseal's
// own or handed to an engine, which drives it for clients.
//
//	Dialer.Dial(Target) ── for each host: connect ─ TLS ─ verify ─ log in ── Conn
//	                                                                         ├─ Query: rows, one goroutine, blocking
//	                                                                         └─ Detach: the transport, for an engine
//
// A Dialer remembers the key exchange that each server took and counts the
// handshakes. Dialer.Reach asks only whether a server is there, and
// Dialer.Cancel sends a CancelRequest with the same TLS and verification as its
// connection had.
//
// The package keeps no connection and decides nothing about when one is opened:
// that is package pool's, which it does not import.
package backend
