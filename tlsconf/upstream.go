package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/reload"
)

// Upstream is how servers of a database are verified: an immutable snapshot
// that any goroutine may use. A connection to a server takes one and uses it
// for ClientConfig and, after the handshake, for Assert.
type Upstream struct {
	// Roots are the certificates of sslrootcert in the order of the file; nil
	// for the system's roots and if there are none.
	Roots []*x509.Certificate
	// Warnings says what was odd about the roots when they were loaded, one
	// sentence each.
	Warnings []string

	rootFile     string // sslrootcert, and certFile sslcert
	certFile     string
	mode         string
	verification string
	minVersion   uint16
	// pool is never nil, which would mean the system's roots to crypto/x509. An
	// empty one trusts nobody.
	pool    *x509.CertPool
	groups  []tls.CurveID    // the key exchanges offered, nil for crypto/tls's own choice
	client  *tls.Certificate // shown to servers that ask for one; nil: none
	revoked *revocations     // nil: nothing is known to be revoked
	direct  bool
	binding string
}

// NewUpstreamStore loads the trust of a database. Only a file in sslrootcert
// is watched for changes; the system's roots are read once per process. With
// sslmode disable no file is read. The error is that of c.Validate or names the
// file.
func NewUpstreamStore(name string, c UpstreamConfig) (*reload.Store[*Upstream], error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var files []reload.File
	if c.SSLMode != SSLModeDisable && c.SSLRootCert != "" && c.SSLRootCert != SystemRoots {
		files = append(files, reload.File{Path: c.SSLRootCert})
	}
	if c.SSLCert != "" {
		files = append(files, reload.File{Path: c.SSLCert}, reload.File{Path: c.SSLKey, Secret: true})
	}
	if c.SSLCRL != "" {
		files = append(files, reload.File{Path: c.SSLCRL, Max: crlFileSize})
	}
	return reload.NewStore(name, files, func(contents reload.Contents) (*Upstream, error) {
		return buildUpstream(c, contents)
	})
}

func buildUpstream(c UpstreamConfig, contents reload.Contents) (*Upstream, error) {
	u := &Upstream{
		rootFile:     c.SSLRootCert,
		certFile:     c.SSLCert,
		mode:         c.SSLMode,
		verification: c.verification(),
		minVersion:   upstreamVersions[c.MinVersion],
		pool:         x509.NewCertPool(),
		direct:       c.SSLNegotiation == NegotiateDirect,
		binding:      c.ChannelBinding,
	}
	u.groups, _ = parseGroups(c.Groups) // Validate has seen it
	now := time.Now()
	var err error
	switch {
	case c.SSLMode == SSLModeDisable || c.SSLRootCert == "":
	case c.SSLRootCert == SystemRoots:
		u.pool, err = systemRoots()
	default:
		u.Roots, err = parseCertificates(c.SSLRootCert, contents[c.SSLRootCert])
		u.pool = PoolOf(u.Roots)
		u.Warnings = authorityWarnings(u.Roots, "trusted certificate", "server", now)
	}
	if err != nil {
		return nil, err
	}
	if c.SSLCert != "" {
		if u.client, _, err = loadPair(c.SSLCert, c.SSLKey, contents); err != nil {
			return nil, err
		}
		u.Warnings = append(u.Warnings, clientPairWarnings(u.client.Leaf, now)...)
	}
	if c.SSLCRL != "" {
		if u.revoked, err = buildRevocations(c.SSLCRL, contents[c.SSLCRL], u.Roots); err != nil {
			return nil, err
		}
		u.Warnings = append(u.Warnings, u.revoked.warnings(now)...)
	}
	return u, nil
}

func clientPairWarnings(cert *x509.Certificate, now time.Time) []string {
	warnings := expiryWarnings("client certificate", cert, now)
	if !Serves(cert, x509.ExtKeyUsageClientAuth) {
		warnings = append(warnings, "client certificate is not valid for client authentication (extended key usage)")
	}
	return warnings
}

// Direct reports whether connections begin with TLS instead of an SSLRequest.
func (u *Upstream) Direct() bool { return u.direct }

// ChannelBinding returns the value of channel_binding.
func (u *Upstream) ChannelBinding() string { return u.binding }

// Groups returns the key exchanges that are configured, nil if any may be
// offered.
func (u *Upstream) Groups() []tls.CurveID { return u.groups }

// systemRoots returns the system's roots. None at all is an error: in a bare
// container every handshake would fail, with a worse message.
func systemRoots() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("system root certificates: %w", err)
	}
	if pool.Equal(x509.NewCertPool()) {
		return nil, errors.New("no system root certificates found")
	}
	return pool, nil
}

// ParseRoots reads the certificates of authorities that are trusted from what
// the file at path holds, in PEM.
func ParseRoots(path string, data []byte) (*x509.CertPool, error) {
	certs, err := parseCertificates(path, data)
	if err != nil {
		return nil, err
	}
	return PoolOf(certs), nil
}

// PoolOf returns a new pool of the certificates.
func PoolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}

// Mode returns sslmode as configured.
func (u *Upstream) Mode() string { return u.mode }

// Verification returns what is really verified, in sslmode's words: it is
// verify-ca for sslmode require with roots, otherwise the mode itself.
func (u *Upstream) Verification() string { return u.verification }

// ClientConfig returns a new configuration for a connection to host, a DNS
// name or an IP address as the user wrote it. It is nil with sslmode disable.
func (u *Upstream) ClientConfig(host string) *tls.Config {
	if u.mode == SSLModeDisable {
		return nil
	}
	config := &tls.Config{
		// crypto/tls sends it as SNI if it is a name, whatever is verified.
		ServerName:       serverName(host),
		RootCAs:          u.pool,
		MinVersion:       u.minVersion,
		CurvePreferences: u.groups,
		NextProtos:       []string{alpnProtocol},
		// No session cache either: PostgreSQL issues no tickets, and a resumed
		// session would skip the verification of what changed.
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
	if u.client != nil {
		// Shown whatever authorities the server names, as libpq does: a server
		// that dislikes it says so.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return u.client, nil }
	}
	switch u.verification {
	case SSLModeVerifyFull:
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return blame(state, u.revoked.check(state.VerifiedChains, time.Now()))
		}
	case SSLModeRequire:
		config.InsecureSkipVerify = true
	default:
		// crypto/tls verifies chain and name or neither, so the chain alone is
		// verified by hand. This is also where a mode that nobody foresaw ends.
		config.InsecureSkipVerify = true
		config.VerifyConnection = u.verifyChain
	}
	return config
}

// Assert returns an error unless state is that of a finished handshake in
// which everything was verified that Verification says. It is called after the
// handshake, before the first byte of a password: it looks at the outcome only
// and so holds whatever became of the configuration on the way.
func (u *Upstream) Assert(host string, state tls.ConnectionState) error {
	if !state.HandshakeComplete {
		return errors.New("TLS handshake is not complete")
	}
	if state.Version < u.minVersion {
		return fmt.Errorf("server negotiated %s, below ssl_min_protocol_version", tls.VersionName(state.Version))
	}
	if u.direct && state.NegotiatedProtocol != alpnProtocol {
		return errors.New("direct SSL connection was established without ALPN protocol negotiation extension")
	}
	switch u.verification {
	case SSLModeVerifyFull:
		if len(state.VerifiedChains) == 0 {
			return errors.New("server certificate was not verified")
		}
		if err := u.verifyChain(state); err != nil {
			return err
		}
		return state.PeerCertificates[0].VerifyHostname(serverName(host))
	case SSLModeVerifyCA:
		return u.verifyChain(state)
	case SSLModeRequire:
		return nil
	}
	return fmt.Errorf("sslmode %s does not use TLS", u.mode)
}

// verifyChain verifies that the server's certificate leads to a root and is
// meant for servers, as crypto/tls does, but not which host it names.
func (u *Upstream) verifyChain(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("server presented no certificate")
	}
	chains, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         u.pool,
		Intermediates: PoolOf(state.PeerCertificates[1:]),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err == nil {
		err = u.revoked.check(chains, time.Now())
	}
	return blame(state, err)
}

// blame says of which certificate an error is.
func blame(state tls.ConnectionState, err error) error {
	if err == nil {
		return nil
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
}

// LogFields describes the trust by public facts.
func (u *Upstream) LogFields() []zap.Field {
	fields := []zap.Field{zap.String("sslmode", u.mode), zap.Int("roots", len(u.Roots))}
	if len(u.Roots) > 0 {
		first := u.Roots[0]
		for _, root := range u.Roots[1:] {
			if root.NotAfter.Before(first.NotAfter) {
				first = root
			}
		}
		fields = append(fields, zap.String("subject", first.Subject.String()),
			zap.String("not_after", first.NotAfter.UTC().Format(time.RFC3339)), zap.String("fingerprint", fingerprint(first.Raw)))
	}
	if u.client != nil {
		fields = append(fields, zap.String("client_subject", u.client.Leaf.Subject.String()),
			zap.String("client_not_after", u.client.Leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	if len(u.Warnings) > 0 {
		fields = append(fields, zap.Strings("warnings", u.Warnings))
	}
	return fields
}

// serverName is host as certificates spell it: an address without brackets and
// zone, a name without the dot that marks it as absolute.
func serverName(host string) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(bare); err == nil {
		return addr.WithZone("").String()
	}
	return strings.TrimSuffix(host, ".")
}
