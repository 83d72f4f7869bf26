package login

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
)

// checkCertificate compares the name that the rule asks for, letter by letter,
// and returns the one that stands for the role.
func (a *Access) checkCertificate(cert *x509.Certificate, rule hba.Rule, role string, look hba.Lookups) (name string, err error) {
	names, err := certificateNames(cert, rule.ClientName)
	if err != nil {
		return "", at(rule, err.Error())
	}
	for _, name := range names {
		if a.maps.Allows(rule.Map, name, role, look) {
			return name, nil
		}
	}
	return "", at(rule, fmt.Sprintf("the certificate's %s %.200q does not match the role", rule.ClientName, names))
}

// maxNames is how many alternative names of a certificate are tried.
const maxNames = 100

func certificateNames(cert *x509.Certificate, which string) (names []string, err error) {
	var name string
	switch which {
	case hba.NameCN:
		name, err = auth.CommonName(cert)
		return []string{name}, err
	case hba.NameDN:
		name, err = auth.DistinguishedName(cert)
		return []string{name}, err
	case hba.NameSHA256:
		return []string{auth.PublicKeyHash(cert)}, nil
	case hba.NameDNS:
		names = cert.DNSNames
	case hba.NameEmail:
		names = cert.EmailAddresses
	case hba.NameURI:
		for _, u := range cert.URIs {
			names = append(names, u.String())
		}
	}
	if len(names) == 0 || len(names) > maxNames {
		return nil, fmt.Errorf("the certificate has %d names of type %s", len(names), which)
	}
	return names, nil
}

// ClientCertificate returns the client's certificate if the handshake has verified it,
// else nil.
func ClientCertificate(conn *tls.Conn) *x509.Certificate {
	if conn == nil {
		return nil
	}
	chains := conn.ConnectionState().VerifiedChains
	if len(chains) == 0 || len(chains[0]) == 0 {
		return nil
	}
	return chains[0][0]
}
