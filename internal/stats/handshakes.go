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
	counts Counts[Handshake]
	times  Histogram
}

// HandshakeTotals is what Handshakes had counted at one moment.
type HandshakeTotals struct {
	Counts map[Handshake]uint64
	Times  Distribution // of those that succeeded
}

// Done counts a handshake that succeeded, with the time it took.
func (h *Handshakes) Done(state tls.ConnectionState, took time.Duration) {
	h.counts.Inc(Handshake{HandshakeDone, versionName(state.Version), tls.CipherSuiteName(state.CipherSuite)})
	h.times.Add(took)
}

// Failed counts one that did not.
func (h *Handshakes) Failed(outcome string) { h.counts.Inc(Handshake{Outcome: outcome}) }

// Read returns what was counted until now. The caller owns it.
func (h *Handshakes) Read() HandshakeTotals { return HandshakeTotals{h.counts.Read(), h.times.Read()} }
