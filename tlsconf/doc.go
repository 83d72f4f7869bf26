// Package tlsconf loads, checks, swaps and watches the certificates and the
// trust of both legs: the certificate that pgseal shows to clients, and the
// roots by which it verifies PostgreSQL servers.
//
//	files --read--> Contents --build--> Listener or Upstream --swap--> Store
//	  ^                                                                  |
//	  |                                                                Load
//	Watcher: events, poll, SIGHUP                                        v
//	                                                               a connection
//
// A [Listener] and an [Upstream] are immutable snapshots. A connection takes
// one from its [Store] before its TLS handshake and uses nothing else for
// everything that depends on the certificate: the handshake, channel binding,
// what the logs and the console say. So certificates change while handshakes
// and queries run, and no connection sees half of one version and half of
// another.
//
// A reload reads all files of a store, builds a whole new snapshot, checks it,
// and only then swaps one pointer. Whatever is wrong (a file that is missing,
// torn or readable by others, a key of another certificate, a chain out of
// order, an expired certificate in place of a valid one) leaves the old
// snapshot in force and is reported once, until the content changes again.
//
// # What it does not do
//
// It opens no connection, knows no PostgreSQL message and writes no file. It
// asks no OCSP responder and fetches no CRL: what counts is in the files.
//
// # Ownership
//
// A Store is safe for use by any goroutine and owns none; the goroutine that
// reloads runs the callbacks. A [Watcher] owns one source of file events for
// as long as Run runs, and Run returns only after that source has ended.
//
// No error and no log line of this package holds PEM or any part of a key.
package tlsconf
