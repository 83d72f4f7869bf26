package doctor

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"path/filepath"
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

// byHosts has a good pg_hosts.conf say which certificates there are.
func (l *lab) byHosts(lines ...string) {
	l.everything()
	l.pair("db", serverNamed("db.example.org"))
	if len(lines) == 0 {
		lines = []string{"# certificates by name", "db.example.org db.crt db.key clients.crt", "* tls.crt tls.key clients.crt"}
	}
	l.write("pg_hosts.conf", 0o644, []byte(strings.Join(lines, "\n")+"\n"))
	l.listen = "  - address: 0.0.0.0:6432\n    tls: {hosts_file: DIR/pg_hosts.conf, client_crl_file: DIR/clients.crl}\n"
}

// spoil makes a set-up and changes it.
func spoil(up func(*lab), change func(*lab)) func(*lab) {
	return func(l *lab) { up(l); change(l) }
}

func hostsOf(l *lab) { l.byHosts() }

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

	{"a hosts file that others write", "file-writable", spoil(hostsOf, func(l *lab) { l.chmod("pg_hosts.conf", 0o666) })},
	{"names of a hosts file that others write", "file-writable", func(l *lab) {
		l.byHosts("@names db.crt db.key clients.crt", "* tls.crt tls.key clients.crt")
		l.write("names", 0o666, []byte("db.example.org\n"))
	}},
	{"a name of a hosts file that its certificate does not hold", "san-mismatch", spoil(hostsOf, func(l *lab) { l.pair("db", serverNamed("other.example.org")) })},
	{"an expired certificate of a hosts file", "cert-expired", spoil(hostsOf, func(l *lab) { l.pair("db", expired(serverNamed("db.example.org"))) })},
	{"a key of a hosts file that others read", "secret-readable", spoil(hostsOf, func(l *lab) { l.chmod("db.key", 0o644) })},
	{"a short RSA key of a hosts file", "weak-key", spoil(hostsOf, func(l *lab) { l.pair("db", shortRSA(l, serverNamed("db.example.org"))) })},
	{"a client authority of a hosts file without a CRL", "crl-missing", spoil(hostsOf, func(l *lab) { l.write("clients.crl", 0o644, l.fresh(l.root, l.rootKey)) })},
	{"a hosts file with a passphrase command", "unusable", func(l *lab) { l.byHosts("* tls.crt tls.key clients.crt \"echo " + plantedPassword + "\" on") }},
	{"a hosts file that is missing", "unusable", spoil(hostsOf, func(l *lab) { l.listen = strings.Replace(l.listen, "pg_hosts", "none", 1) })},
	{"a line of a hosts file whose certificate is missing", "unusable", func(l *lab) { l.byHosts("* none.crt tls.key clients.crt") }},
}

func TestGoodCertificatesByNameHaveNoFindings(t *testing.T) {
	for name, up := range map[string]func(*lab){"certificates": (*lab).byName, "hosts_file": hostsOf} {
		l := newLab(t)
		up(l)
		r := l.examine()
		if len(r.Findings) > 0 {
			t.Errorf("%s: found %+v", name, r.Findings)
		}
		if !slices.ContainsFunc(r.Good, func(g Remark) bool { return strings.Contains(g.Text, "presented for db.example.org") }) {
			t.Errorf("%s: the name is not among what is good: %v", name, r.Good)
		}
	}
}

func TestAFindingAboutALineOfAHostsFileNamesThatLine(t *testing.T) {
	l := newLab(t)
	l.byHosts()
	l.pair("db", expired(serverNamed("db.example.org")))
	for _, f := range l.examine().Findings {
		if f.ID == "cert-expired" && f.File == filepath.Join(l.dir, "pg_hosts.conf") && f.Line == 2 && f.Key == "listen[0].tls.hosts_file" {
			return
		}
	}
	t.Error("no finding names the line")
}
