package doctor

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"
)

// serverNamed is a server certificate for a name.
func serverNamed(name string) *x509.Certificate {
	c := server()
	c.DNSNames = []string{name}
	return c
}

// byName adds a good pair that is chosen by name.
func (l *lab) byName() {
	l.everything()
	l.pair("db", serverNamed("db.example.org"))
	l.listen = strings.Replace(l.listen, "}\n", ", certificates: [{server_names: [db.example.org], cert_file: DIR/db.crt, key_file: DIR/db.key}]}\n", 1)
}

// spoil makes a set-up and changes it.
func spoil(up func(*lab), change func(*lab)) func(*lab) {
	return func(l *lab) { up(l); change(l) }
}

func expired(c *x509.Certificate) *x509.Certificate {
	c.NotBefore, c.NotAfter = time.Now().AddDate(0, -2, 0), time.Now().Add(-time.Hour)
	return c
}

func shortRSA(l *lab, c *x509.Certificate) *x509.Certificate {
	k, err := rsa.GenerateKey(rand.Reader, 2040)
	if err != nil {
		l.t.Fatal(err)
	}
	c.PublicKey = k
	return c
}

// mistakesOfNames are those of certificates that clients choose by name.
var mistakesOfNames = []mistake{
	{"a name that its certificate does not hold", "san-mismatch", spoil((*lab).byName, func(l *lab) { l.pair("db", serverNamed("other.example.org")) })},
	{"an expired certificate for a name", "cert-expired", spoil((*lab).byName, func(l *lab) { l.pair("db", expired(serverNamed("db.example.org"))) })},
	{"a key for a name that others read", "secret-readable", spoil((*lab).byName, func(l *lab) { l.chmod("db.key", 0o644) })},
	{"a certificate for a name that names nothing", "san-missing", spoil((*lab).byName, func(l *lab) {
		c := server()
		c.DNSNames = nil
		l.pair("db", c)
	})},
	{"a client's certificate for a name", "not-for-servers", spoil((*lab).byName, func(l *lab) {
		c := serverNamed("db.example.org")
		c.ExtKeyUsage[0] = x509.ExtKeyUsageClientAuth
		l.pair("db", c)
	})},
	{"a short RSA key for a name", "weak-key", spoil((*lab).byName, func(l *lab) { l.pair("db", shortRSA(l, serverNamed("db.example.org"))) })},
	{"an RSA key just under 2048 bits", "weak-key", func(l *lab) { l.leaf(shortRSA(l, server())) }},
	{"keys of two names exchanged", "key-mismatch", spoil((*lab).byName, func(l *lab) { l.listen = strings.Replace(l.listen, "DIR/db.key", "DIR/tls.key", 1) })},
}

func TestGoodCertificatesByNameHaveNoFindings(t *testing.T) {
	l := newLab(t)
	l.byName()
	r := l.examine()
	if len(r.Findings) > 0 {
		t.Errorf("found %+v", r.Findings)
	}
	if !slices.ContainsFunc(r.Good, func(g Remark) bool { return strings.Contains(g.Text, "presented for db.example.org") }) {
		t.Errorf("the name is not among what is good: %v", r.Good)
	}
}
