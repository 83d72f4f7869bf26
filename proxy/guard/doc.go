// Package guard limits login attempts: HandshakeLimiter the concurrent TLS
// handshakes, LoginLimiter the connections of one address that are not logged in yet,
// and FailedLoginLimiter the failed logins of a source and of a role.
//
// A source is an address as returned by SourceOf. The package does no I/O and knows
// neither sessions nor settings. The zero values of its limiters are not ready for
// use; all their methods may be called from any goroutine.
package guard
