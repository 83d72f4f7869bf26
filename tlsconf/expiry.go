package tlsconf

import (
	"crypto/x509"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
)

// earliest sets at to when, if that is before it.
func earliest(at *time.Time, when time.Time) {
	if !when.IsZero() && (at.IsZero() || when.Before(*at)) {
		*at = when
	}
}

func earliestOf(at *time.Time, certs []*x509.Certificate) {
	for _, cert := range certs {
		earliest(at, cert.NotAfter)
	}
}

// nextUpdate returns when the first list that is the newest of its issuer has
// to be renewed. A nil receiver has none.
func (r *revocations) nextUpdate() (at time.Time) {
	for _, list := range r.newest() {
		earliest(&at, list.NextUpdate)
	}
	return at
}

// Expiry tells it of all certificates of the listener.
func (l *Listener) Expiry() (e stats.Expiry) {
	earliestOf(&e.Certificate, l.Chain)
	if l.clients != nil {
		earliestOf(&e.Authority, l.clients.authorities)
		earliest(&e.CRL, l.clients.revoked.nextUpdate())
	}
	for _, s := range l.names.shown {
		own := s.listener.Expiry()
		earliest(&e.Certificate, own.Certificate)
		earliest(&e.Authority, own.Authority)
		earliest(&e.CRL, own.CRL)
	}
	return e
}

// Expiry tells it of what servers are verified by, but for the system's roots,
// and of what they are shown.
func (u *Upstream) Expiry() (e stats.Expiry) {
	earliestOf(&e.Authority, u.Roots)
	if u.client != nil {
		earliest(&e.Certificate, u.client.Leaf.NotAfter)
	}
	earliest(&e.CRL, u.revoked.nextUpdate())
	return e
}
