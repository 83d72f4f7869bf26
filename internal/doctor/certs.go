package doctor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/pgseal/pgseal/tlsconf"
)

const (
	// soon is when a certificate is said to expire soon, unless a third of its
	// life is less: one that lives a day is renewed in hours.
	soon    = 30 * 24 * time.Hour
	minRSA  = 2048 // bits (NIST SP 800-57, 112 bits of security)
	minCurv = 256
)

func certExpired(e *exam) {
	for _, p := range e.certificates() {
		if text := invalidAt(p.cert, e.now); text != "" {
			e.found(p.subject, p.key, p.String()+" "+text, "renew the certificate in "+p.path)
		}
	}
}

// invalidAt returns why a certificate is not valid at a time, or "".
func invalidAt(c *x509.Certificate, now time.Time) string {
	return notInTime(c.NotBefore, c.NotAfter, now)
}

// notInTime returns why what counts for a time does not count now, or "". A
// zero end is none.
func notInTime(start, end, now time.Time) string {
	switch {
	case !end.IsZero() && now.After(end):
		return "expired on " + day(end)
	case now.Before(start):
		return "is not valid before " + day(start)
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

// weakness returns what is weak about a public key, or "".
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
		if tlsconf.WeaklySigned(p.cert) {
			e.found(p.subject, p.key, fmt.Sprintf("%s is signed with %s", p, p.cert.SignatureAlgorithm), "reissue the certificate in "+p.path)
		}
	}
}

func keyMismatch(e *exam) {
	for _, p := range e.pairs {
		if len(p.chain) == 0 || p.private == nil || owns(p.private, p.chain[0]) {
			continue
		}
		what := fmt.Sprintf("private key %s does not match the first certificate in %s", p.keyFile, p.certFile)
		e.found(p.subject, p.keyKey, what, p.keyName+": the key that "+p.certFile+" was issued for")
	}
}

func owns(private crypto.Signer, c *x509.Certificate) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(private.Public())
}

func notForServers(e *exam) {
	for _, p := range e.leaves() {
		switch {
		case p.chain[0].IsCA:
			e.found(p.subject, p.certKey, "the certificate in "+p.certFile+" is a CA certificate, not a server certificate", p.certName+": a server certificate issued by this CA")
		case !tlsconf.Serves(p.chain[0], x509.ExtKeyUsageServerAuth):
			e.found(p.subject, p.certKey, "the certificate in "+p.certFile+" is not valid for server authentication (extended key usage)", "reissue it with extended key usage serverAuth")
		}
	}
}

func notForClients(e *exam) {
	for _, p := range e.pairs {
		if p.toServers && len(p.chain) > 0 && (p.chain[0].IsCA || !tlsconf.Serves(p.chain[0], x509.ExtKeyUsageClientAuth)) {
			e.found(p.subject, p.certKey, fmt.Sprintf("%s is not valid for client authentication (extended key usage)", name(p.chain[0])),
				"sslcert: a certificate with extended key usage clientAuth")
		}
	}
}

func rootNoAuthority(e *exam) {
	for _, t := range e.trusts {
		for i, c := range t.certs {
			if !c.IsCA {
				e.found(t.subject, t.key, fmt.Sprintf("certificate %d in %s (%s) is not a CA certificate", i+1, t.file, name(c)),
					t.name+": the certificate of the CA that issued the "+t.who+" certificates")
			}
		}
	}
}

// name is how a certificate is displayed.
func name(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return s
	}
	return strings.Join(tlsconf.HostNames(c), ", ")
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
