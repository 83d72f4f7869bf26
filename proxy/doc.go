// Package proxy is the client side of pgseal: one client's life, from accept
// to close.
//
//	accept ─ log in ─── join a pool, greet ─┬─ wait for a message ◄─────────┐
//	(server.go) │       (login.go,          │  get a server, relay          │
//	  negotiate and      tryout.go)         │  (session.go and link.go      │
//	  authenticate                          │   drive package relay)        │
//	  (package login)                       └─ give the server back ────────┘
//
// session.go and link.go drive the relay from the event loops of
// internal/engine, or from a goroutine per connection of its portable engine.
//
// guard limits handshakes, logins of one address (turnaway.go) and failed logins;
// audit.go tells who came in and who did not.
//
// Who owns what: the accept loop starts a goroutine per login, and Shutdown
// waits for them and for all sessions. The client's home alone reads from the
// client and writes to the server it holds; the server's home writes to the
// client. One lock per session guards the state between them, and is never held
// while bytes are written.
//
// The package holds no secrets (internal/auth), knows no certificate files
// (tlsconf) and opens no server (pool).
package proxy
