// Package tlsconf makes files into the certificates and the trust of both legs:
// the certificate that pgseal shows to clients and the authorities by which it
// verifies theirs, and the same towards PostgreSQL servers.
//
// A [Listener] and an [Upstream] are immutable snapshots. A connection takes
// one from its store before its TLS handshake and uses nothing else for
// everything that depends on the certificate: the handshake, channel binding,
// what the logs and the console say. So certificates change while handshakes
// and queries run, and no connection sees half of one version and half of
// another.
//
// Package reload reads, swaps and watches the files. What they are refused for
// is decided here: a key of another certificate, a chain out of order, an
// expired certificate in place of a valid one.
//
// # What it does not do
//
// It opens no connection, knows no PostgreSQL message and writes no file. It
// asks no OCSP responder and fetches no CRL: what counts is in the files.
//
// No error and no log line of this package holds PEM or any part of a key.
package tlsconf
