package tlsconf

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/stats"
)

func loadedCertificate(kind, file string, cert *x509.Certificate) stats.Certificate {
	names := slices.Concat(cert.DNSNames, cert.EmailAddresses)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	return stats.Certificate{
		Kind: kind, File: file, Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), Names: names,
		Serial: cert.SerialNumber.Text(16), Fingerprint: fingerprint(cert.Raw), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}
}

func loadedAuthorities(file string, list []*x509.Certificate) (all []stats.Certificate) {
	for _, cert := range list {
		all = append(all, loadedCertificate(stats.KindAuthority, file, cert))
	}
	return all
}

// loaded lists the CRLs. A nil receiver has none.
func (r *revocations) loaded() (all []stats.Certificate) {
	if r == nil {
		return nil
	}
	for _, lists := range r.lists {
		for _, list := range lists {
			crl := stats.Certificate{
				Kind: stats.KindCRL, File: r.file, Issuer: list.Issuer.String(), Fingerprint: fingerprint(list.Raw),
				NotBefore: list.ThisUpdate, NotAfter: list.NextUpdate,
			}
			if list.Number != nil {
				crl.Serial = list.Number.Text(16)
			}
			all = append(all, crl)
		}
	}
	slices.SortFunc(all, func(a, b stats.Certificate) int { return strings.Compare(a.Issuer+a.Serial, b.Issuer+b.Serial) })
	return all
}

// Loaded lists what the listener is made of. c is its configuration, for the
// names of the files.
func (l *Listener) Loaded(c ListenerConfig) (all []stats.Certificate) {
	if l.Leaf == nil {
		return nil
	}
	for _, cert := range l.Chain {
		all = append(all, loadedCertificate(stats.KindCertificate, c.CertFile, cert))
	}
	if l.clients != nil {
		all = append(all, loadedAuthorities(c.ClientCAFile, l.clients.authorities)...)
		all = append(all, l.clients.revoked.loaded()...)
	}
	for _, s := range l.names.shown {
		own := s.listener.Loaded(s.config)
		if s.config.ClientCAFile == c.ClientCAFile { // the listener's, which stand there already
			own = slices.DeleteFunc(own, func(x stats.Certificate) bool { return x.Kind != stats.KindCertificate })
		}
		all = append(all, own...)
	}
	return all
}

// Loaded lists what servers are verified by and logged in to with. The system's
// roots are not listed. c is its configuration, for the names of the files.
func (u *Upstream) Loaded(c UpstreamConfig) (all []stats.Certificate) {
	all = loadedAuthorities(c.SSLRootCert, u.Roots)
	if u.client != nil {
		all = append(all, loadedCertificate(stats.KindCertificate, c.SSLCert, u.client.Leaf))
	}
	return append(all, u.revoked.loaded()...)
}
