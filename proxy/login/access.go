package login

import (
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/ldap"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/tlsconf"
)

// lookupTimeout limits the lookup of a client's host name.
const lookupTimeout = 5 * time.Second

// defaultRules apply if none are configured. Whether clients must use TLS is up to the
// listener.
var defaultRules = []string{
	"local all,replication all scram-sha-256",
	"host all,replication all all scram-sha-256",
}

// Access is the access rules and user name maps in force. It never
// changes once made.
type Access struct {
	rules         *hba.Rules
	maps          *hba.Maps
	trustAnywhere bool
	ldap          *ldap.Client
}

// defaultAccess returns the Access of the default rules.
var defaultAccess = sync.OnceValue(func() *Access {
	a, err := ParseAccess(nil, "", Config{})
	if err != nil {
		panic(err) // a mistake of ours
	}
	return a
})

// ParseAccess reads the access rules and user name maps of c, through source. name is
// the configuration file. All errors are reported together, with file and line.
func ParseAccess(source hba.Source, name string, c Config) (*Access, error) {
	a := &Access{trustAnywhere: c.TrustAnywhere}
	var err1, err2 error
	switch {
	case c.HBAFile != "":
		a.rules, err1 = hba.ParseRules(source, c.HBAFile)
	case len(c.Rules) > 0:
		a.rules, err1 = hba.ParseLines(source, name+": auth.rules", c.Rules)
	default:
		a.rules, err1 = hba.ParseLines(source, "default rules", defaultRules)
	}
	if c.IdentFile != "" {
		a.maps, err2 = hba.ParseMaps(source, c.IdentFile)
	}
	roots, err3 := ldapRoots(source, c)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	a.ldap = ldap.New(roots, c.LDAPPlaintext)
	return a, a.check(c.AuthUser != "")
}

// ldapRoots reads the CA certificates for LDAP servers; nil means the system's
// roots.
func ldapRoots(source hba.Source, c Config) (*x509.CertPool, error) {
	if c.LDAPCAFile == "" {
		return nil, nil
	}
	data, err := source.ReadFile(c.LDAPCAFile)
	if err != nil {
		return nil, fmt.Errorf("ldap_ca_file: %w", err)
	}
	roots, err := tlsconf.ParseRoots(c.LDAPCAFile, data)
	if err != nil {
		return nil, fmt.Errorf("ldap_ca_file: %w", err)
	}
	return roots, nil
}

// Rules returns the rules in the order in which they are tried. The caller must
// not change them.
func (a *Access) Rules() []hba.Rule { return a.rules.List() }

// check rejects rules that are valid in PostgreSQL and cannot be applied here. groups
// says that group membership can be looked up.
func (a *Access) check(groups bool) error {
	noGroups := errors.New("group membership checks require auth_query: set auth.auth_user")
	var errs []error
	for _, rule := range a.rules.List() {
		bad := func(err error) { errs = append(errs, &hba.Error{File: rule.File, Line: rule.Line, Err: err}) }
		if rule.AsksForGroups() && !groups {
			bad(noGroups)
		}
		if rule.Method == hba.LDAP {
			if err := a.ldap.Check(rule.LDAP); err != nil {
				bad(err)
			}
		}
		if rule.Method == hba.MD5 {
			if err := auth.CheckMD5(); err != nil {
				bad(err)
			}
		}
		if (rule.Method == hba.Password || rule.Method == hba.LDAP) && rule.Connection == hba.HostNoSSL {
			bad(errors.New("passwords are requested over TLS only: use hostssl or scram-sha-256"))
		}
	}
	if a.maps != nil && !groups {
		for _, place := range a.maps.Groups() {
			place.Err = noGroups
			errs = append(errs, &place)
		}
	}
	return errors.Join(errs...)
}

// Warnings returns a sentence for each rule that is weaker than it should be.
func (a *Access) Warnings() (list []string) {
	for _, rule := range a.rules.List() {
		var what string
		switch rule.Method {
		case hba.Trust:
			what = "accepts clients without authentication"
		case hba.MD5:
			what = "is insecure: use scram-sha-256"
		case hba.Password:
			what = "makes clients send their password: use scram-sha-256"
		case hba.LDAP:
			if !ldap.Plaintext(rule.LDAP) {
				continue
			}
			what = "sends passwords to the LDAP server in plaintext: use ldapscheme=ldaps or ldaptls=1"
		default:
			continue
		}
		list = append(list, fmt.Sprintf("%s:%d: method %s %s", rule.File, rule.Line, rule.Method, what))
	}
	return list
}

// WithoutSecret returns the rules whose method reveals no credentials for the server of
// a database: unless the database or the role has a password, their clients cannot be
// served. The caller must not change them.
func (a *Access) WithoutSecret(database string) (list []hba.Rule) {
	for _, rule := range a.rules.List() {
		switch rule.Method {
		case hba.LDAP, hba.Cert, hba.Peer, hba.Trust:
			if database == pool.AnyDatabase || rule.ForDatabase(database) {
				list = append(list, rule)
			}
		}
	}
	return list
}
