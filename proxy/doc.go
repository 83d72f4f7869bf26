// Package proxy is the client side of pgseal: one client's life, from accept
// to close.
//
//	accept ─ log in ─── join a pool, greet ─┬─ wait for a message ◄─────────┐
//	(listen.go) │       (arrival.go,        │  get a server, relay          │
//	  negotiate and      tryout.go)         │  (session.go and link.go      │
//	  authenticate                          │   drive package relay)        │
//	  (package login)                       └─ give the server back ────────┘
//
// A Server accepts clients. Each is a session, which has these parts:
//
//	clientConn    the connection, and what is known of its client
//	ending        what others have it end for
//	arrival       its way in; ends with the login
//	consoleSession  what it has of its own if it asks for the console
//	conversation  what the client's home and the server's home share; decides
//	link          carries bytes to and from the servers that it is lent
//	wait, watch   its place in the queue, and its time limits
//	tally         what is counted of it
//
// session.go and link.go are driven by the event loops of internal/engine, or by
// a goroutine per connection of its portable engine.
//
// guard limits handshakes, logins of one address (listen.go) and failed logins;
// audit.go records logins and refusals.
//
// Who owns what: a listener's goroutine starts one per login, and Shutdown waits
// for them and for all sessions. The client's home alone reads from the client
// and writes to the server it holds; the server's home writes to the client.
// conversation.go has the rules of the locks.
//
// The package holds no secrets (internal/auth), knows no certificate files
// (tlsconf) and opens no server (pool).
package proxy
