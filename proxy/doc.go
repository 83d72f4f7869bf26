// Package proxy is the client side of pgseal: one client's life, from accept
// to close.
//
//	accept ─ negotiate ─ log in ─ greet ─┬─ wait for a message ◄─────────┐
//	(server.go) │        (login.go)      │  get a server, relay          │
//	  SSLRequest, TLS,                   │  (session.go drives relay.go) │
//	  CancelRequest                      └─ give the server back ────────┘
//	(negotiate.go)
//
// What a message means for the session is decided in relay.go, which knows no
// socket: it is given bytes and says which of them go on, whether a server is
// needed, and when it may be given back. session.go drives it with one
// goroutine per client, beside the goroutine that each server has of its own.
//
// Who owns what: the accept loop starts a goroutine per client and Shutdown
// waits for them all. The client's goroutine alone reads from the client and
// writes to the server it holds; the server's goroutine writes to the client.
// One lock per session guards the state between them, and is never held while
// bytes are written.
//
// The package does not authenticate by itself (internal/auth), knows no
// certificate files (tlsconf) and opens no server (pool).
package proxy
