package doctor

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/pgseal/pgseal/tlsconf"
)

// pair is a certificate that pgseal shows, and its key: a listener's, or a
// database's for servers that ask.
type pair struct {
	subject           string
	certKey, keyKey   string // in the configuration
	certFile, keyFile string
	certName, keyName string   // the last part of certKey and keyKey
	names             []string // server names it is shown for; empty: not chosen by name
	toServers         bool
	chain             []*x509.Certificate
	private           crypto.Signer
}

// trust is a file of authorities, and the CRLs beside it.
type trust struct {
	subject, key, file string
	name               string // the last part of key
	who                string // whose certificates they issue: "client" or "server"
	certs              []*x509.Certificate

	crlKey, crlFile string // empty: no CRLs
	lists           []*x509.RevocationList
}

// readListener reads the certificates that a listener names.
func (e *exam) readListener(l listener) {
	asks := l.asksClients()
	own := func(key, certFile, keyFile string, names []string) {
		e.addPair(pair{
			subject: l.subject, certKey: key + ".cert_file", keyKey: key + ".key_file", certFile: certFile, keyFile: keyFile,
			certName: "cert_file", keyName: "key_file", names: names,
		})
	}
	trusts := func(key, caFile, crlFile string) {
		if asks && caFile != "" {
			e.addClientTrust(l.subject, key+".client_ca_file", caFile, key+".client_crl_file", crlFile)
		}
	}
	if l.TLS.CertFile != "" {
		own(l.key+".tls", l.TLS.CertFile, l.TLS.KeyFile, nil)
		trusts(l.key+".tls", l.TLS.ClientCAFile, l.TLS.ClientCRLFile)
	}
	for i, c := range l.TLS.Certificates {
		key := fmt.Sprintf("%s.tls.certificates[%d]", l.key, i)
		own(key, c.CertFile, c.KeyFile, c.ServerNames)
		trusts(key, c.ClientCAFile, c.ClientCRLFile)
	}
}

// addPair adds a pair with what its files hold.
func (e *exam) addPair(p pair) {
	p.chain, p.private = readCertificates(p.certFile), readKey(p.keyFile)
	e.pairs = append(e.pairs, p)
}

func (e *exam) addClientTrust(subject, key, caFile, crlKey, crlFile string) {
	t := trust{subject: subject, key: key, file: caFile, name: "client_ca_file", who: "client", certs: readCertificates(caFile)}
	if crlFile != "" {
		t.crlKey, t.crlFile, t.lists = crlKey, crlFile, readCRLs(crlFile)
	}
	e.trusts = append(e.trusts, t)
}

// asksClients reports whether clients are asked for certificates.
func (l listener) asksClients() bool {
	return l.tls() && l.TLS.ClientCAFile != "" && l.TLS.ClientCert != tlsconf.ClientCertNone
}

// readDatabase reads the certificates that a database names.
func (e *exam) readDatabase(d database) {
	if d.SSLCert != "" {
		e.addPair(pair{
			subject: d.subject, certKey: d.key + ".sslcert", keyKey: d.key + ".sslkey",
			certFile: d.SSLCert, keyFile: d.SSLKey, certName: "sslcert", keyName: "sslkey", toServers: true,
		})
	}
	if d.SSLMode == tlsconf.SSLModeDisable || d.SSLRootCert == "" {
		return
	}
	t := trust{subject: d.subject, key: d.key + ".sslrootcert", file: d.SSLRootCert, name: "sslrootcert", who: "server", certs: d.roots}
	if d.SSLCRL != "" {
		t.crlKey, t.crlFile, t.lists = d.key+".sslcrl", d.SSLCRL, readCRLs(d.SSLCRL)
	}
	if d.SSLRootCert != tlsconf.SystemRoots || t.crlFile != "" {
		e.trusts = append(e.trusts, t)
	}
}

// placed is a certificate and where it came from.
type placed struct {
	subject, key, path string
	n                  int // its number in the file, from 1
	cert               *x509.Certificate
}

func (p placed) String() string {
	return fmt.Sprintf("certificate %d of %s (%s)", p.n, p.path, name(p.cert))
}

// leaves returns the pairs that listeners show and whose certificate could be
// read.
func (e *exam) leaves() (list []pair) {
	for _, p := range e.pairs {
		if !p.toServers && len(p.chain) > 0 {
			list = append(list, p)
		}
	}
	return list
}

// certificates returns all that the configuration names.
func (e *exam) certificates() []placed {
	var list []placed
	for _, p := range e.pairs {
		for i, c := range p.chain {
			list = append(list, placed{p.subject, p.certKey, p.certFile, i + 1, c})
		}
	}
	for _, t := range e.trusts {
		for i, c := range t.certs {
			list = append(list, placed{t.subject, t.key, t.file, i + 1, c})
		}
	}
	return list
}

// listsOf returns the CRLs of an authority, whether or not it signed them.
func (t trust) listsOf(ca *x509.Certificate) []*x509.RevocationList {
	var list []*x509.RevocationList
	for _, crl := range t.lists {
		if bytes.Equal(crl.RawIssuer, ca.RawSubject) {
			list = append(list, crl)
		}
	}
	return list
}
