// Package guard limits who may try to log in, and how often: HandshakeLimiter
// bounds the TLS handshakes that are computed at once, LoginLimiter the
// connections of one address that are not logged in yet, and FailedLoginLimiter
// the failed logins of a source and of a role.
//
// A source is an address as SourceOf sees it. The package does no I/O of its own
// and knows neither sessions nor settings: it is given limits and says yes or no.
// The zero values of its limiters are not ready for use; all their methods may be
// called from any goroutine.
package guard
