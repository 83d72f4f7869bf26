// Package ldap asks a directory whether a role's password is right, as
// PostgreSQL's method ldap does (documentation, "LDAP Authentication"): by
// binding as a name made of the role (simple bind), or as the one entry that a
// search for the role finds (search and bind).
//
// It speaks LDAP version 3 (RFC 4511) through go-ldap, inside TLS that verifies
// the server: ldaps, or StartTLS. Plaintext is for this machine, unless the
// configuration allows it beyond. It keeps no connection and no secret: each
// login has a connection of its own.
//
// What it does not do: it knows no client of pgseal and no message of
// PostgreSQL's protocol, follows no referral, and looks no server up in DNS
// SRV records.
//
// Ownership: a [Client] never changes once made and serves any goroutine, each
// of which blocks until its answer is there or its context ends. Never call it
// from an event loop.
package ldap
