// Package proxy is the client side of pgseal: one client's life, from accept
// to close.
//
//	accept ─ negotiate ─ log in ─ greet ─┬─ wait for a message ◄─────────┐
//	(server.go) │        (login.go,      │  get a server, relay          │
//	  SSLRequest, TLS,    access.go,     │  (session.go and link.go      │
//	  direct TLS,         admit.go)      │   drive relay.go)             │
//	  CancelRequest                      └─ give the server back ────────┘
//	(negotiate.go)
//
// What a message means for the session is decided in relay.go (the client's),
// relayserver.go and relayrest.go, which know no socket: they are given bytes
// and say which of them go on, what goes in their place, whether a server is
// needed, and when it may be given back. extended.go follows prepared
// statements from server to server, effects.go what else a client may leave in
// its session, and survey.go asks PostgreSQL for it. serverstate.go is what
// clients know of a server from each other.
//
// secrets.go finds what is known of a role: the users file has it, or a lookup
// in PostgreSQL that authquery.go words.
//
// session.go and link.go drive the relay from the event loops of
// internal/engine, or from a goroutine per connection of its portable engine.
//
// guard limits handshakes, logins of one address (turnaway.go) and failed logins
// (failedlogins.go); audit.go tells who came in and who did not.
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
