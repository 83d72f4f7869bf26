// Package login is a client's login, from its first byte to an Identity or a
// Refusal.
//
// The steps, each entered once, hand their results on as values:
//
//	Negotiate     SSLRequest, GSSENCRequest, TLS, a startup packet or CancelRequest: Opening
//	Read          what the startup packet asks for: Startup
//	AgreeVersion  of the protocol
//	Authenticate  access rule, method, proof: Identity
//	Send          what the login ends in
//
// A Login is what the steps share, and ends with them. Logins is what all of them
// share: settings, limits, and what is remembered of roles that were looked up.
//
// A Refusal is made where it is decided and says all that anybody is told of it:
// the client, the log, the audit stream and the counters.
package login
