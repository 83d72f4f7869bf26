package hba

import (
	"errors"
	"fmt"
	"strings"
)

// Names of a certificate that a rule can ask for by its option clientname. CN
// and DN are PostgreSQL's; the others are pgseal's own.
const (
	NameCN     = "CN"     // the common name
	NameDN     = "DN"     // the subject as RFC 2253 writes it
	NameDNS    = "DNS"    // a DNS name of subjectAltName
	NameEmail  = "EMAIL"  // an e-mail address of it
	NameURI    = "URI"    // a URI of it, as SPIFFE has it
	NameSHA256 = "SHA256" // of the public key (SubjectPublicKeyInfo), in hex
)

// option takes one name=value pair. No value is repeated in an error unless it
// can't be a secret.
func (rule *Rule) option(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("an authentication option is not in name=value format")
	}
	switch name {
	case "map":
		rule.Map = value
	case "clientcert":
		return rule.setClientCert(value)
	case "clientname":
		return rule.setClientName(value)
	default:
		if strings.HasPrefix(name, "ldap") {
			return rule.ldapOption(name, value)
		}
		return fmt.Errorf("unrecognized authentication option name: %q", name)
	}
	return nil
}

func (rule *Rule) setClientCert(value string) error {
	switch {
	case rule.Connection != HostSSL:
		return errors.New(`clientcert can only be configured for "hostssl" rows`)
	case value == VerifyCA && rule.Method == Cert:
		return errors.New(`clientcert only accepts "verify-full" when using "cert" authentication`)
	case value != VerifyCA && value != VerifyFull:
		return fmt.Errorf("invalid value for clientcert: %q", value)
	}
	rule.ClientCert = value
	return nil
}

func (rule *Rule) setClientName(value string) error {
	if rule.Connection != HostSSL {
		return errors.New(`clientname can only be configured for "hostssl" rows`)
	}
	switch value {
	case NameCN, NameDN, NameDNS, NameEmail, NameURI, NameSHA256:
		rule.ClientName = value
		return nil
	}
	return fmt.Errorf("invalid value for clientname: %q", value)
}

// complete fills in what follows from the options, and refuses those that do
// not go together.
func (rule *Rule) complete() error {
	if rule.Method == Cert {
		rule.ClientCert = VerifyFull
	}
	if rule.Map != "" && rule.Method != Peer && rule.ClientCert != VerifyFull {
		return errors.New(`authentication option "map" is only valid for the methods peer and cert, and with clientcert=verify-full`)
	}
	if rule.ClientName == "" {
		rule.ClientName = NameCN
	}
	if o := rule.LDAP; o != nil {
		return o.complete()
	}
	return nil
}
