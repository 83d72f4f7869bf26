package devca

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// DefaultLife is how long a certificate lasts when its request does not say.
const DefaultLife = 90 * 24 * time.Hour

// ErrHost is what a request with a bad host fails with.
var ErrHost = errors.New("neither a DNS name nor an IP address")

// Request says what a certificate shall hold. It must name something: a common
// name, a host, an e-mail address or a URI.
type Request struct {
	// CommonName is the subject's only attribute; PostgreSQL's cert method
	// takes the role from it. It is taken as it is, so that tests can make
	// certificates that no sane authority would.
	CommonName string
	// Hosts are DNS names, with a leftmost "*." allowed, and IP addresses;
	// they become subject alternative names of their kind.
	Hosts []string
	// EmailAddresses and URIs become subject alternative names as well.
	EmailAddresses, URIs []string
	// Client asks for a certificate for TLS clients instead of servers.
	Client bool
	// NotBefore is when the certificate begins; zero means one hour ago.
	NotBefore time.Time
	// Life runs from NotBefore or, when that is zero, from now. Zero means
	// DefaultLife. A certificate never outlives its authority: a longer life
	// is cut.
	Life time.Duration
}

// Pair is an issued certificate, with what is between it and the root, and its
// private key (PKCS #8), both as PEM, and the certificate parsed. KeyPEM is a secret.
type Pair struct {
	CertPEM, KeyPEM []byte
	Cert            *x509.Certificate
}

// Issue makes a new key and signs a certificate for it. It fails with
// ErrHost on a host that is neither a DNS name nor an IP address, and when
// nothing is left of the authority's own life.
func (ca *CA) Issue(req Request) (Pair, error) {
	template, err := ca.template(req)
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate: %w", err)
	}
	key, err := newKey()
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate: %w", err)
	}
	cert, err := sign(template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate: %w", err)
	}
	encoded, err := keyPEM(key)
	if err != nil {
		return Pair{}, fmt.Errorf("issue certificate: %w", err)
	}
	return Pair{CertPEM: append(certPEM(cert), ca.below...), KeyPEM: encoded, Cert: cert}, nil
}

// WriteFiles writes the pair, replacing what is there. Each file is written
// beside its target and renamed, the key (mode 0600) before the certificate
// (0644): who reads in between finds a pair that does not match, never half a
// file.
func (p Pair) WriteFiles(certFile, keyFile string) error {
	return writePair(certFile, p.CertPEM, keyFile, p.KeyPEM)
}

func (ca *CA) template(req Request) (*x509.Certificate, error) {
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: req.CommonName},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if req.Client {
		t.ExtKeyUsage[0] = x509.ExtKeyUsageClientAuth
	}
	if err := addNames(t, req); err != nil {
		return nil, err
	}
	var err error
	t.NotBefore, t.NotAfter, err = ca.validity(req)
	return t, err
}

func (ca *CA) validity(req Request) (notBefore, notAfter time.Time, err error) {
	life := cmp.Or(req.Life, DefaultLife)
	if life < 0 {
		return notBefore, notAfter, errors.New("life must not be negative")
	}
	start := req.NotBefore
	notBefore = start
	if start.IsZero() {
		start = time.Now()
		notBefore = start.Add(-backdate)
	}
	end := ca.cert.NotAfter
	if !start.Before(end) {
		return notBefore, notAfter, fmt.Errorf("the authority ends at %s", end.Format(time.RFC3339))
	}
	notAfter = start.Add(life)
	if notAfter.After(end) {
		notAfter = end
	}
	return notBefore, notAfter, nil
}

func addNames(t *x509.Certificate, req Request) error {
	if req.CommonName == "" && len(req.Hosts)+len(req.EmailAddresses)+len(req.URIs) == 0 {
		return errors.New("the request names nothing")
	}
	for _, host := range req.Hosts {
		// A zone belongs to one machine: it has no place in a certificate.
		if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
			t.IPAddresses = append(t.IPAddresses, net.IP(ip.Unmap().AsSlice()))
			continue
		}
		if !isDNSName(host) {
			return fmt.Errorf("host %q: %w", host, ErrHost)
		}
		t.DNSNames = append(t.DNSNames, host)
	}
	t.EmailAddresses = req.EmailAddresses
	for _, raw := range req.URIs {
		uri, err := url.Parse(raw)
		if err != nil {
			return err
		}
		t.URIs = append(t.URIs, uri)
	}
	return nil
}

// dnsName matches what can be a dNSName (RFC 5280 section 4.2.1.6, RFC 9525
// section 6.3): labels of letters, digits and hyphens, the leftmost one possibly
// "*". Underscores are allowed because container networks use them.
var dnsName = regexp.MustCompile(`^(\*\.)?` + label + `(\.` + label + `)*$`)

const label = `[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?`

// isDNSName tells whether name can be a dNSName. A last label of digits only is
// refused: it is a mistyped address.
func isDNSName(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return len(name) <= 253 && dnsName.MatchString(name) && strings.Trim(last, "0123456789") != ""
}
