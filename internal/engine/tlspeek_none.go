//go:build !go1.26 || go1.28 || pgseal_notlspeek

package engine

import "crypto/tls"

// Without tlspeek.go an idle TLS connection keeps what crypto/tls reserved for
// its largest record, each event ends with a Read that finds nothing, and a
// link that is stuck both ways may keep bufferSize bytes more.

func fat(*tls.Conn) bool { return false }

func trim(*tls.Conn) {}

func held(*tls.Conn) int { return 0 }

func drained(*tls.Conn) bool { return false }
