package stats

import (
	"crypto/tls"
	"time"
)

// Outcomes of a TLS handshake.
const (
	HandshakeDone   = "ok"
	HandshakeFailed = "failed"
	HandshakeLeft   = "left" // the peer closed the connection on the way
)

// Handshake is how a TLS handshake ended. Version and cipher are as in
// PostgreSQL's pg_stat_ssl, and empty where it failed.
type Handshake struct{ Outcome, Version, Cipher string }

// Handshakes counts the TLS handshakes of one leg. The zero value is ready for
// use, by any goroutine.
type Handshakes struct {
	Counts[Handshake]
	times Histogram
}

// Done counts a handshake that succeeded, with the time it took.
func (h *Handshakes) Done(state tls.ConnectionState, took time.Duration) {
	h.Inc(Handshake{HandshakeDone, versionName(state.Version), tls.CipherSuiteName(state.CipherSuite)})
	h.times.Add(took)
}

// Failed counts one that did not.
func (h *Handshakes) Failed(outcome string) { h.Inc(Handshake{Outcome: outcome}) }

// Times returns how long those took that succeeded.
func (h *Handshakes) Times() Distribution { return h.times.Read() }

// versionName is tls.VersionName in PostgreSQL's spelling: TLSv1.3.
func versionName(version uint16) string {
	switch version {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return tls.VersionName(version)
}
