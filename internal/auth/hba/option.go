package hba

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
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

// LDAPOptions are those of the method ldap, under PostgreSQL's names without
// the leading "ldap".
type LDAPOptions struct {
	Scheme          string // ldap | ldaps
	Servers         []string
	Port            int
	TLS             bool
	Prefix, Suffix  string // simple bind
	BaseDN          string // search and bind, as what follows
	BindDN          string
	BindPassword    string
	SearchAttribute string
	SearchFilter    string
	Scope           int // 0 base, 1 one level, 2 the whole tree
}

// String hides the password from logs.
func (o LDAPOptions) String() string { return "hba.LDAPOptions" }

// GoString hides the password from logs.
func (o LDAPOptions) GoString() string { return "hba.LDAPOptions" }

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

func (rule *Rule) ldapOption(name, value string) error {
	o := rule.LDAP
	if o == nil {
		return fmt.Errorf("authentication option %q is only valid for authentication methods ldap", name)
	}
	switch name {
	case "ldapurl":
		return o.setURL(value)
	case "ldaptls":
		o.TLS = value == "1"
	case "ldapscheme":
		if value != "ldap" && value != "ldaps" {
			return fmt.Errorf("invalid ldapscheme value: %q", value)
		}
		o.Scheme = value
	case "ldapserver":
		o.Servers = strings.Fields(value)
	case "ldapport":
		port, err := strconv.Atoi(value)
		if err != nil || port < 1 || port > 65535 {
			return fmt.Errorf("invalid LDAP port number: %q", value)
		}
		o.Port = port
	case "ldapprefix":
		o.Prefix = value
	case "ldapsuffix":
		o.Suffix = value
	case "ldapbasedn":
		o.BaseDN, o.Scope = value, 2
	case "ldapbinddn":
		o.BindDN = value
	case "ldapbindpasswd":
		o.BindPassword = value
	case "ldapsearchattribute":
		o.SearchAttribute = value
	case "ldapsearchfilter":
		o.SearchFilter = value
	default:
		return fmt.Errorf("unrecognized authentication option name: %q", name)
	}
	return nil
}

// setURL reads an LDAP URL (RFC 4516), scheme://host:port/basedn?attribute?
// scope?filter, of which PostgreSQL takes one attribute.
func (o *LDAPOptions) setURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.User != nil {
		return errors.New("could not parse LDAP URL")
	}
	o.Scheme = u.Scheme
	if u.Hostname() != "" {
		o.Servers = []string{u.Hostname()}
	}
	if u.Port() != "" {
		if o.Port, err = strconv.Atoi(u.Port()); err != nil || o.Port < 1 || o.Port > 65535 {
			return errors.New("invalid LDAP port number in LDAP URL")
		}
	}
	o.BaseDN = strings.TrimPrefix(u.Path, "/")
	parts := strings.Split(u.RawQuery, "?")
	for i := range parts {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return errors.New("could not parse LDAP URL")
		}
	}
	parts = append(parts, "", "", "")
	o.SearchAttribute, _, _ = strings.Cut(parts[0], ",")
	o.SearchFilter = parts[2]
	switch parts[1] {
	case "", "base":
		o.Scope = 0
	case "one":
		o.Scope = 1
	case "sub":
		o.Scope = 2
	default:
		return errors.New("unsupported scope in LDAP URL")
	}
	return nil
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

func (o *LDAPOptions) complete() error {
	search := o.BaseDN != "" || o.BindDN != "" || o.BindPassword != "" || o.SearchAttribute != "" || o.SearchFilter != ""
	switch {
	case (o.Prefix != "" || o.Suffix != "") && search:
		return errors.New("cannot mix options for simple bind and search+bind modes")
	case o.Prefix == "" && o.Suffix == "" && o.BaseDN == "":
		return errors.New(`authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or "ldapsuffix" to be set`)
	case o.SearchAttribute != "" && o.SearchFilter != "":
		return errors.New("cannot use ldapsearchattribute together with ldapsearchfilter")
	case len(o.Servers) == 0:
		return errors.New(`authentication method "ldap" requires argument "ldapserver" to be set`)
	}
	if o.Scheme == "" {
		o.Scheme = "ldap"
	}
	if o.Port == 0 {
		o.Port = map[string]int{"ldap": 389, "ldaps": 636}[o.Scheme]
	}
	return nil
}
