// Package auth authenticates clients, and authenticates pgseal to a PostgreSQL
// server.
//
// It holds SCRAM-SHA-256 (RFC 5802, RFC 7677) in both roles, PostgreSQL's md5,
// the secrets PostgreSQL stores for both, and the users file.
//
// It opens no socket and frames no message: an exchange takes the bytes of one
// SASL message and returns the bytes of the next, and the caller carries them.
// It reads no files: the caller does. It decides neither which SQLSTATE an error
// becomes nor whether a user may log in at all.
//
// Ownership: a [ServerExchange] or [ClientExchange] belongs to one login and is
// used by one goroutine at a time. [Users], [Mocker], [Secret], [MD5Secret] and
// [Credential] never change once made and are shared freely.
//
// No error and no formatted value of this package contains a secret, or a byte
// that came from the peer and was not checked first.
package auth
