package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pgseal/pgseal/internal/reload"
)

const (
	// expirySoon is when a certificate is said to expire soon, unless a third
	// of its life is less: one that lives a day is renewed in hours.
	expirySoon = 14 * 24 * time.Hour
	// minRSABits is the smallest RSA key that is not warned about.
	minRSABits = 2048
)

// checkPair makes sure that the key belongs to the first certificate.
func checkPair(certFile, keyFile string, chain []*x509.Certificate, key crypto.Signer) error {
	owner := slices.IndexFunc(chain, func(cert *x509.Certificate) bool {
		public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(key.Public())
	})
	switch owner {
	case 0:
		return nil
	case -1:
		return fmt.Errorf("%s: private key does not match the certificate in %s", keyFile, certFile)
	}
	return fmt.Errorf("%s: the key's certificate is number %d of the file and must come first",
		certFile, owner+1)
}

// checkChain makes sure that each certificate was issued by the one after it
// (RFC 5246, section 7.4.2). Clients differ in how much disorder they repair.
func checkChain(path string, chain []*x509.Certificate) error {
	for i, cert := range chain[:len(chain)-1] {
		next := chain[i+1]
		if Issued(next, cert) {
			continue
		}
		at := slices.IndexFunc(chain, func(other *x509.Certificate) bool { return Issued(other, cert) })
		if at > i {
			return fmt.Errorf("%s: chain is out of order: certificate %d (%s) must come right after certificate %d (%s), which it issued",
				path, at+1, chain[at].Subject, i+1, cert.Subject)
		}
		return fmt.Errorf("%s: certificate %d (%s) did not issue certificate %d (%s) before it",
			path, i+2, next.Subject, i+1, cert.Subject)
	}
	return nil
}

// Issued reports whether parent signed child. A SHA-1 signature counts, with a
// warning elsewhere.
func Issued(parent, child *x509.Certificate) bool {
	return bytes.Equal(parent.RawSubject, child.RawIssuer) &&
		parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
}

// loadPair makes a certificate file and a key file into what crypto/tls shows,
// after it made sure that they belong together and can be used.
func loadPair(certFile, keyFile string, contents reload.Contents) (*tls.Certificate, []*x509.Certificate, error) {
	chain, err := parseCertificates(certFile, contents[certFile])
	if err != nil {
		return nil, nil, err
	}
	key, err := ParsePrivateKey(keyFile, contents[keyFile])
	if err != nil {
		return nil, nil, err
	}
	if err := checkPair(certFile, keyFile, chain, key); err != nil {
		return nil, nil, err
	}
	if err := checkChain(certFile, chain); err != nil {
		return nil, nil, err
	}
	pair := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	if err := checkUsable(pair); err != nil {
		return nil, nil, fmt.Errorf("%s: certificate cannot be used for TLS: %w", certFile, err)
	}
	return pair, chain, nil
}

// checkUsable asks crypto/tls whether it could sign a TLS 1.3 handshake with
// the pair. Unusual curves and very short RSA keys load but never shake hands.
func checkUsable(pair *tls.Certificate) error {
	hello := tls.ClientHelloInfo{
		SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{
			tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512,
			tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512,
			tls.Ed25519,
		},
	}
	return hello.SupportsCertificate(pair)
}

// validity returns why a certificate is not valid at a time, or nil. The text
// stays the same as time goes on.
func validity(cert *x509.Certificate, now time.Time) error {
	return inTime(cert.NotBefore, cert.NotAfter, now)
}

// inTime returns why what counts for a time does not count now, or nil. A zero
// end is none.
func inTime(start, end, now time.Time) error {
	switch {
	case !end.IsZero() && now.After(end):
		return fmt.Errorf("expired on %s", end.UTC().Format(time.RFC3339))
	case now.Before(start):
		return fmt.Errorf("is not valid before %s", start.UTC().Format(time.RFC3339))
	}
	return nil
}

// anyValid returns nil if one of the certificates is valid at a time, and
// else why the last is not. There is nothing to complain of in none.
func anyValid(certs []*x509.Certificate, now time.Time) (err error) {
	for _, cert := range certs {
		if err = validity(cert, now); err == nil {
			return nil
		}
	}
	return err
}

// chainWarnings lists what clients may stumble over, one sentence each.
func chainWarnings(chain []*x509.Certificate, now time.Time) []string {
	leaf := chain[0]
	warnings := expiryWarnings("certificate", leaf, now)
	warn := func(when bool, format string, args ...any) {
		if when {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		}
	}
	warn(len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.URIs)+len(leaf.EmailAddresses) == 0,
		"certificate has no subject alternative name, which most clients require")
	warn(leaf.IsCA, "certificate is a CA certificate, not a server certificate")
	warn(!Serves(leaf, x509.ExtKeyUsageServerAuth), "certificate is not valid for server authentication (extended key usage)")
	warn(EndpointHash(leaf) == nil,
		"certificate is signed with %s, for which no channel binding is defined: SCRAM-SHA-256-PLUS is not offered",
		leaf.SignatureAlgorithm)
	for i, cert := range chain {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
			warn(key.N.BitLen() < minRSABits, "certificate %d has an RSA key of %d bits, less than %d",
				i+1, key.N.BitLen(), minRSABits)
		}
		warn(WeaklySigned(cert), "certificate %d is signed with %s, which clients reject",
			i+1, cert.SignatureAlgorithm)
		if i > 0 {
			warnings = append(warnings, expiryWarnings(fmt.Sprintf("certificate %d", i+1), cert, now)...)
		}
	}
	return warnings
}

// expiryWarnings says that a certificate is not valid, or not for much longer.
func expiryWarnings(what string, cert *x509.Certificate, now time.Time) []string {
	if err := validity(cert, now); err != nil {
		return []string{what + " " + err.Error()}
	}
	soon := min(expirySoon, cert.NotAfter.Sub(cert.NotBefore)/3)
	if cert.NotAfter.Sub(now) >= soon {
		return nil
	}
	return []string{fmt.Sprintf("%s expires soon, on %s", what, cert.NotAfter.UTC().Format(time.RFC3339))}
}

// authorityWarnings lists what is odd about certificates that are trusted. what
// is each of them called, and who shows the certificates that they issue.
func authorityWarnings(list []*x509.Certificate, what, who string, now time.Time) (warnings []string) {
	for i, ca := range list {
		this := fmt.Sprintf("%s %d (%s)", what, i+1, ca.Subject)
		warnings = append(warnings, expiryWarnings(this, ca, now)...)
		if !ca.IsCA {
			warnings = append(warnings, this+" is not a CA certificate: only a "+who+" presenting this very certificate is trusted")
		}
	}
	return warnings
}

// Serves reports whether the extended key usage allows a purpose. A certificate
// without one is for everything (RFC 5280, section 4.2.1.12).
func Serves(cert *x509.Certificate, purpose x509.ExtKeyUsage) bool {
	return len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 ||
		slices.Contains(cert.ExtKeyUsage, purpose) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// WeaklySigned reports an MD5 or SHA-1 signature. That of a root is never
// looked at, so it does not count.
func WeaklySigned(cert *x509.Certificate) bool {
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return !SelfIssued(cert)
	}
	return false
}

// SelfIssued reports whether a certificate names itself as its issuer: a root.
func SelfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawSubject, cert.RawIssuer) }

// HostNames returns the alternative names of a certificate that a TLS client
// compares with the host it connects to.
func HostNames(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// MaySucceed refuses an expired or not yet valid certificate, client authority
// or CRL while the one before it is valid.
func (l *Listener) MaySucceed(old *Listener) error {
	now := time.Now()
	if l.Leaf == nil || old.Leaf == nil {
		return nil
	}
	if err := validity(l.Leaf, now); err != nil && validity(old.Leaf, now) == nil {
		return fmt.Errorf("%s: new certificate %w, while the current one is valid", l.certFile, err)
	}
	if err := l.clients.maySucceed(old.clients, now); err != nil {
		return err
	}
	return l.names.maySucceed(old.names)
}

// MaySucceed refuses a client certificate, CRL, or roots of which none is
// valid, while the ones before them are.
func (u *Upstream) MaySucceed(old *Upstream) error {
	now := time.Now()
	if u.client != nil && old.client != nil && validity(old.client.Leaf, now) == nil {
		if err := validity(u.client.Leaf, now); err != nil {
			return fmt.Errorf("%s: new client certificate %w, while the current one is valid", u.certFile, err)
		}
	}
	if err := anyValid(u.Roots, now); err != nil && len(old.Roots) > 0 && anyValid(old.Roots, now) == nil {
		return fmt.Errorf("%s: new trusted certificate %w, while the current one is valid", u.rootFile, err)
	}
	return u.revoked.maySucceed(old.revoked, now)
}

func (t *clientTrust) maySucceed(old *clientTrust, now time.Time) error {
	if t == nil || old == nil {
		return nil
	}
	if err := anyValid(t.authorities, now); err != nil && anyValid(old.authorities, now) == nil {
		return fmt.Errorf("%s: new client CA certificate %w, while the current one is valid", t.file, err)
	}
	return t.revoked.maySucceed(old.revoked, now)
}

// maySucceed refuses a CRL that is not in force where the one before it is, and
// a file that has lost one: cut off between two lists it parses, and all
// certificates of that authority would be refused.
func (r *revocations) maySucceed(old *revocations, now time.Time) error {
	if r == nil || old == nil {
		return nil
	}
	for _, list := range r.newest() {
		before := old.lists[string(list.RawIssuer)]
		if err := list.inForce(now); err != nil && len(before) > 0 && before[0].inForce(now) == nil {
			return fmt.Errorf("%s: new CRL of %s %w, while the current one is valid", r.file, list.Issuer, err)
		}
	}
	for _, ca := range r.authorities {
		before := old.lists[string(ca.RawSubject)]
		if len(r.lists[string(ca.RawSubject)]) == 0 && len(before) > 0 && before[0].inForce(now) == nil {
			return fmt.Errorf("%s: CRL of %s was removed, while the current one is valid", r.file, ca.Subject)
		}
	}
	return nil
}

// maySucceed compares what is shown for each name with what was.
func (t nameTable) maySucceed(old nameTable) error {
	var errs []error
	for _, s := range t.shown {
		for _, was := range old.shown {
			if !slices.ContainsFunc(s.names, func(name string) bool { return slices.Contains(was.names, name) }) {
				continue
			}
			if err := s.listener.MaySucceed(was.listener); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	return errors.Join(errs...)
}
