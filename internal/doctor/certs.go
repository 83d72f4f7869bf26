package doctor

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

const (
	// soon is when a certificate is said to expire soon, unless a third of its
	// life is less: one that lives a day is renewed in hours.
	soon    = 30 * 24 * time.Hour
	minRSA  = 2048 // bits (NIST SP 800-57, 112 bits of security)
	minCurv = 256
)

// placed is a certificate and where it came from.
type placed struct {
	subject, key, path string
	n                  int // its number in the file, from 1
	cert               *x509.Certificate
}

func (p placed) String() string {
	return fmt.Sprintf("certificate %d of %s (%s)", p.n, p.path, name(p.cert))
}

// certificates returns all that the configuration names.
func (e *exam) certificates() []placed {
	var list []placed
	for _, l := range e.listeners {
		for i, c := range l.chain {
			list = append(list, placed{l.subject, l.key + ".tls.cert_file", l.TLS.CertFile, i + 1, c})
		}
	}
	for _, d := range e.databases {
		for i, c := range d.roots {
			list = append(list, placed{d.subject, d.key + ".sslrootcert", d.SSLRootCert, i + 1, c})
		}
	}
	return list
}

func certExpired(e *exam) {
	for _, p := range e.certificates() {
		if text := invalidAt(p.cert, e.now); text != "" {
			e.found(p.subject, p.key, p.String()+" "+text, "renew the certificate in "+p.path)
		}
	}
}

// invalidAt says why a certificate is not valid at a time, or nothing.
func invalidAt(c *x509.Certificate, now time.Time) string {
	switch {
	case now.After(c.NotAfter):
		return "expired on " + day(c.NotAfter)
	case now.Before(c.NotBefore):
		return "is not valid before " + day(c.NotBefore)
	}
	return ""
}

func certExpiring(e *exam) {
	for _, p := range e.certificates() {
		if expiring(p.cert, e.now) {
			e.found(p.subject, p.key, fmt.Sprintf("%s expires soon, on %s", p, day(p.cert.NotAfter)), "renew the certificate in "+p.path)
		} else if invalidAt(p.cert, e.now) == "" {
			e.good(p.subject, "certificate %s is valid until %s", name(p.cert), day(p.cert.NotAfter))
		}
	}
}

func expiring(c *x509.Certificate, now time.Time) bool {
	return invalidAt(c, now) == "" && c.NotAfter.Sub(now) < min(soon, c.NotAfter.Sub(c.NotBefore)/3)
}

func weakKey(e *exam) {
	for _, p := range e.certificates() {
		if text := weakness(p.cert.PublicKey); text != "" {
			e.found(p.subject, p.key, p.String()+" has "+text, "replace the key and certificate in "+p.path)
		}
	}
}

// weakness says what is weak about a public key, or nothing.
func weakness(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return fmt.Sprintf("an RSA key of %d bits, less than %d", k.N.BitLen(), minRSA)
		}
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < minCurv {
			return fmt.Sprintf("an elliptic curve key of %d bits, less than %d", k.Curve.Params().BitSize, minCurv)
		}
	}
	return ""
}

func weakSignature(e *exam) {
	for _, p := range e.certificates() {
		if weaklySigned(p.cert) {
			e.found(p.subject, p.key, fmt.Sprintf("%s is signed with %s", p, p.cert.SignatureAlgorithm), "have the certificate in "+p.path+" issued again")
		}
	}
}

// weaklySigned reports a signature by MD5 or SHA-1. That of a root is never
// looked at.
func weaklySigned(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return !selfIssued(c)
	}
	return false
}

func keyMismatch(e *exam) {
	for _, l := range e.listeners {
		if len(l.chain) == 0 || l.private == nil || owns(l.private, l.chain[0]) {
			continue
		}
		what := fmt.Sprintf("the key in %s does not belong to the first certificate of %s", l.TLS.KeyFile, l.TLS.CertFile)
		e.found(l.subject, l.key+".tls.key_file", what, "key_file: the key that "+l.TLS.CertFile+" was issued for")
	}
}

func owns(private crypto.Signer, c *x509.Certificate) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(private.Public())
}

func notForServers(e *exam) {
	for _, l := range e.listeners {
		if len(l.chain) == 0 {
			continue
		}
		leaf := l.chain[0]
		switch {
		case leaf.IsCA:
			e.found(l.subject, l.key+".tls.cert_file", "the certificate is that of an authority, not of a server", "cert_file: a server certificate issued by it")
		case !servesServers(leaf):
			e.found(l.subject, l.key+".tls.cert_file", "the certificate's extended key usage does not include servers (serverAuth)", "have it issued again for servers")
		}
	}
}

func servesServers(c *x509.Certificate) bool {
	for _, usage := range c.ExtKeyUsage {
		if usage == x509.ExtKeyUsageServerAuth || usage == x509.ExtKeyUsageAny {
			return true
		}
	}
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0
}

func rootNoAuthority(e *exam) {
	for _, d := range e.databases {
		for i, c := range d.roots {
			if !c.IsCA {
				e.found(d.subject, d.key+".sslrootcert", fmt.Sprintf("certificate %d of %s (%s) is not that of an authority", i+1, d.SSLRootCert, name(c)),
					"sslrootcert: the certificate of the authority that issued the server's")
			}
		}
	}
}

// selfIssued reports whether a certificate names itself as its issuer: a root.
func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// name is what a person calls a certificate.
func name(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return s
	}
	return strings.Join(names(c), ", ")
}

// names returns the subject alternative names that a TLS client compares.
func names(c *x509.Certificate) []string {
	list := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	return list
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
