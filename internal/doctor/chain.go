package doctor

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgseal/pgseal/tlsconf"
)

func chainOrder(e *exam) {
	for _, p := range e.pairs {
		for i := 1; i < len(p.chain); i++ {
			if tlsconf.Issued(p.chain[i], p.chain[i-1]) {
				continue
			}
			e.found(p.subject, p.certKey,
				fmt.Sprintf("certificate %d in %s (%s) did not issue certificate %d (%s) before it", i+1, p.certFile, name(p.chain[i]), i, name(p.chain[i-1])),
				"put the pair's own certificate first, then each one's issuer: cat own.crt intermediate.crt > "+p.certFile)
			break
		}
	}
}

// chainGap looks for an intermediate certificate that is not in the pair's
// file. An issuer that is a root need not be there, so it matters what the
// issuer of the last one is: it is looked for where people keep it.
func chainGap(e *exam) {
	for _, p := range e.pairs {
		if len(p.chain) == 0 {
			continue
		}
		last := p.chain[len(p.chain)-1]
		issuer, path := e.issuerOf(last, filepath.Dir(p.certFile))
		switch {
		case tlsconf.SelfIssued(last):
			e.good(p.subject, "the certificate leads to %s", name(last))
		case issuer != nil && !tlsconf.SelfIssued(issuer):
			e.found(p.subject, p.certKey,
				fmt.Sprintf("intermediate certificate %s is missing from %s; it is in %s", name(issuer), p.certFile, path),
				fmt.Sprintf("cat %s >> %s", path, p.certFile))
		default:
			who := "clients need as a trusted root"
			if p.toServers {
				who = "servers need in ssl_ca_file"
			}
			e.good(p.subject, "the certificate leads to %s, which %s", last.Issuer, who)
		}
	}
}

// issuerOf looks for the certificate that issued c: among the authorities that
// the configuration names, and in the directory of the pair.
func (e *exam) issuerOf(c *x509.Certificate, dir string) (*x509.Certificate, string) {
	var paths []string
	for _, t := range e.trusts {
		if len(t.certs) > 0 {
			paths = append(paths, t.file)
		}
	}
	entries, _ := os.ReadDir(dir) // unreadable: fewer places to look at
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext == ".pem" || ext == ".crt" || ext == ".cer" {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	for _, path := range paths {
		for _, candidate := range readCertificates(path) {
			if tlsconf.Issued(candidate, c) {
				return candidate, path
			}
		}
	}
	return nil, ""
}

func sanMissing(e *exam) {
	for _, p := range e.leaves() {
		if len(tlsconf.HostNames(p.chain[0])) == 0 {
			e.found(p.subject, p.certKey, fmt.Sprintf("%s has no subject alternative name of a host or address", name(p.chain[0])),
				"reissue it with the names that clients connect to, such as DNS:"+example(p))
		}
	}
}

// example is a name that a listener's certificate could bear.
func example(p pair) string {
	if len(p.names) > 0 {
		return p.names[0]
	}
	if host, _, err := net.SplitHostPort(strings.TrimPrefix(p.subject, listenerPrefix)); err == nil && host != "" && net.ParseIP(host) == nil {
		return host
	}
	return "db.example.com"
}

func sanMismatch(e *exam) {
	for _, p := range e.leaves() {
		have := tlsconf.HostNames(p.chain[0])
		switch {
		case len(have) == 0: // has a check of its own
		case len(p.names) > 0:
			e.sniMismatch(p, have)
		default:
			e.addressMismatch(p, have)
		}
	}
}

// sniMismatch looks at a certificate that clients choose by name.
func (e *exam) sniMismatch(p pair, have []string) {
	var lacking []string
	for _, name := range p.names {
		if p.chain[0].VerifyHostname(strings.ToLower(name)) != nil {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) == 0 {
		e.good(p.subject, "the certificate presented for %s matches", strings.Join(p.names, ", "))
		return
	}
	e.found(p.subject, p.certKey, fmt.Sprintf("the certificate in %s does not match %s, for which it is presented; it is valid for %s",
		p.certFile, strings.Join(lacking, ", "), strings.Join(have, ", ")), "reissue it with "+strings.Join(lacking, ", "))
}

// addressMismatch looks at a certificate for all others by the address that is
// listened on.
func (e *exam) addressMismatch(p pair, have []string) {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(p.subject, listenerPrefix))
	ip := net.ParseIP(host)
	switch {
	case err != nil: // a unix socket
	case host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()):
		e.good(p.subject, "clients may connect to %s", strings.Join(have, ", "))
	case p.chain[0].VerifyHostname(host) == nil:
		e.good(p.subject, "the certificate matches %s", host)
	default:
		at, _, _ := strings.Cut(p.certKey, ".tls.")
		e.found(p.subject, at+".address", fmt.Sprintf("the certificate does not match %s; it is valid for %s", host, strings.Join(have, ", ")),
			"add "+host+" to the certificate, or let clients connect to "+have[0])
	}
}
