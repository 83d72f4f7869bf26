package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/reload"
)

// Values of client_cert.
const (
	// ClientCertNone asks for no certificate.
	ClientCertNone = "none"
	// ClientCertOptional verifies the certificate of a client that has one.
	ClientCertOptional = "optional"
	// ClientCertRequire takes no client without one.
	ClientCertRequire = "require"
)

// Values of client_cert_recheck.
const (
	// RecheckEnd ends sessions whose client certificate is no longer valid.
	RecheckEnd = "end"
	// RecheckKeep keeps them, as PostgreSQL does.
	RecheckKeep = "keep"
)

// clientTrust is by what a listener verifies clients' certificates. A nil one
// asks for none.
type clientTrust struct {
	file        string // of the authorities
	authorities []*x509.Certificate
	pool        *x509.CertPool
	revoked     *revocations // nil: nothing is known to be revoked
}

// asksClients reports whether clients are asked for a certificate.
func (c ListenerConfig) asksClients() bool {
	return c.Mode != ListenDisable && c.ClientCAFile != "" && c.ClientCert != ClientCertNone
}

func buildClientTrust(c ListenerConfig, contents reload.Contents) (*clientTrust, error) {
	if !c.asksClients() {
		return nil, nil
	}
	t := &clientTrust{file: c.ClientCAFile}
	var err error
	if t.authorities, err = parseCertificates(c.ClientCAFile, contents[c.ClientCAFile]); err != nil {
		return nil, err
	}
	t.pool = PoolOf(t.authorities)
	if c.ClientCRLFile != "" {
		t.revoked, err = buildRevocations(c.ClientCRLFile, contents[c.ClientCRLFile], t.authorities)
	}
	return t, err
}

// apply has crypto/tls ask for certificates and verify those that come:
// chain, time and extended key usage, and then the CRLs.
func (t *clientTrust) apply(config *tls.Config) {
	if t == nil {
		return
	}
	// A client without one is told so in PostgreSQL's protocol, as with
	// PostgreSQL.
	config.ClientAuth = tls.VerifyClientCertIfGiven
	config.ClientCAs = t.pool
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil
		}
		return blame(state, t.revoked.check(state.VerifiedChains, time.Now()))
	}
}

func (t *clientTrust) warnings(now time.Time) []string {
	if t == nil {
		return nil
	}
	return append(authorityWarnings(t.authorities, "trusted client certificate", "client", now), t.revoked.warnings(now)...)
}

// JudgeClient verifies the certificate that a client showed at its handshake by
// what this snapshot trusts, as a new handshake would. The client may have
// come in by another snapshot. It returns nil for a client that showed none, and
// a nil Listener trusts no certificate.
func (l *Listener) JudgeClient(shown []*x509.Certificate, now time.Time) error {
	if len(shown) == 0 {
		return nil
	}
	if l == nil || l.clients == nil {
		return errors.New("client certificates are no longer trusted")
	}
	t := l.clients
	chains, err := shown[0].Verify(x509.VerifyOptions{
		Roots:         t.pool,
		Intermediates: PoolOf(shown[1:]),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	return t.revoked.check(chains, now)
}

// TrustEnds returns the first moment after now at which JudgeClient may judge
// otherwise though no file has changed: an authority or a CRL is past its time
// then. It is zero if there is none.
func (l *Listener) TrustEnds(now time.Time) (first time.Time) {
	sooner := func(end time.Time) {
		if end.After(now) {
			earliest(&first, end)
		}
	}
	if l.clients != nil {
		for _, ca := range l.clients.authorities {
			sooner(ca.NotAfter)
		}
		for _, list := range l.clients.revoked.newest() {
			sooner(list.NextUpdate)
		}
	}
	for _, s := range l.names.shown {
		sooner(s.listener.TrustEnds(now))
	}
	return first
}

// EndsInvalidClients reports whether sessions end once their client certificate
// is no longer accepted.
func (l *Listener) EndsInvalidClients() bool { return l.recheck }

// RequiresClientCert reports whether clients without a certificate are to be
// refused.
func (l *Listener) RequiresClientCert() bool { return l.requireClient }

// maxName is how much of a name from a foreign certificate goes into a log.
const maxName = 300

// PeerFields describes, for a log, the certificate that a handshake failed on;
// it returns nothing for other errors. Nothing of it has been verified.
func PeerFields(err error) []zap.Field {
	var failed *tls.CertificateVerificationError
	if !errors.As(err, &failed) || len(failed.UnverifiedCertificates) == 0 {
		return nil
	}
	cert := failed.UnverifiedCertificates[0]
	cut := func(s string) string { return s[:min(len(s), maxName)] }
	return []zap.Field{
		zap.String("peer_subject", cut(cert.Subject.String())),
		zap.String("peer_issuer", cut(cert.Issuer.String())),
		zap.String("peer_serial", cut(cert.SerialNumber.Text(16))),
	}
}
