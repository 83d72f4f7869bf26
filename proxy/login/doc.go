// Package login is a client's login, from its first byte to an Identity or a
// Refusal.
//
// A Refusal is made where it is decided and says all that anybody is told of it:
// the client, the log, the audit stream and the counters.
package login
