package login

import (
	"crypto/x509"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
)

// Identity is the authenticated client.
type Identity struct {
	// Name is what the client proved to be, as PostgreSQL's SYSTEM_USER has it: a
	// method, a colon, and a name.
	Name string
	// Credential is what its role logs in with at a server, as far as is known.
	Credential auth.Credential
}

// nameOf returns the Name of an Identity. With a certificate that is its subject,
// or the other name that the rule asks for.
func nameOf(rule hba.Rule, cert *x509.Certificate, proved string) string {
	if rule.ClientCert != hba.VerifyFull {
		return rule.Method + ":" + proved
	}
	if rule.ClientName == hba.NameCN || rule.ClientName == hba.NameDN {
		if dn, err := auth.DistinguishedName(cert); err == nil {
			proved = dn
		}
	}
	return hba.Cert + ":" + proved
}
