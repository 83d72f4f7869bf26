package hba

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// How an LDAP server is reached.
const (
	SchemeLDAP  = "ldap"  // in plaintext, unless StartTLS secures it
	SchemeLDAPS = "ldaps" // inside TLS
)

// How deep a search goes below its base, with the numbers of RFC 4511.
const (
	ScopeBase = 0 // the base alone
	ScopeOne  = 1 // one level below it
	ScopeSub  = 2 // the base and all below it
)

// LDAPOptions are those of the method ldap, under PostgreSQL's names without
// the leading "ldap" (documentation, "LDAP Authentication").
type LDAPOptions struct {
	Scheme  string   // SchemeLDAP or SchemeLDAPS
	Servers []string // host names and addresses, tried in turn
	Port    int
	TLS     bool // StartTLS

	// Simple bind: as the role between the two.
	Prefix, Suffix string
	// Search and bind: as the entry found below BaseDN.
	BaseDN          string
	BindDN          string // for the search; empty: anonymous
	BindPassword    string
	SearchAttribute string // the attribute that holds the role's name
	SearchFilter    string // instead of it; UsernamePlaceholder stands for the role
	Scope           int

	given map[string]bool // options that stand there, also those with an empty value
}

// UsernamePlaceholder stands for the role in LDAPOptions.SearchFilter.
const UsernamePlaceholder = "$username"

// String hides the password from logs.
func (o LDAPOptions) String() string { return "hba.LDAPOptions" }

// GoString hides the password from logs.
func (o LDAPOptions) GoString() string { return "hba.LDAPOptions" }

// Searches reports whether the mode is search and bind, and not simple bind.
func (o *LDAPOptions) Searches() bool { return o.given["ldapbasedn"] }

// ldapOption takes an option whose name begins with ldap.
func (rule *Rule) ldapOption(name, value string) error {
	o := rule.LDAP
	if o == nil {
		return fmt.Errorf("authentication option %q is only valid for authentication methods ldap", name)
	}
	if o.given == nil {
		o.given, o.Scope = map[string]bool{}, ScopeSub
	}
	o.given[name] = true
	switch name {
	case "ldapurl":
		return o.setURL(value)
	case "ldaptls":
		o.TLS = value == "1"
	case "ldapscheme":
		if value != SchemeLDAP && value != SchemeLDAPS {
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
		o.BaseDN = value
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
// scope?filter, of which PostgreSQL takes one attribute. No part of it is
// repeated in an error: a password may have been put there by mistake.
func (o *LDAPOptions) setURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.User != nil || u.Opaque != "" {
		return errors.New("could not parse LDAP URL")
	}
	if u.Scheme != SchemeLDAP && u.Scheme != SchemeLDAPS {
		return errors.New("unsupported LDAP URL scheme")
	}
	o.Scheme, o.Port, o.Servers = u.Scheme, 0, nil
	if host := u.Hostname(); host != "" {
		o.Servers = []string{host}
	}
	if u.Port() != "" {
		if o.Port, err = strconv.Atoi(u.Port()); err != nil || o.Port < 1 || o.Port > 65535 {
			return errors.New("invalid LDAP port number in LDAP URL")
		}
	}
	parts := strings.Split(u.RawQuery, "?")
	if len(parts) > 3 {
		return errors.New("LDAP URL with extensions")
	}
	parts = append(parts, "", "")
	for i := range parts {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return errors.New("could not parse LDAP URL")
		}
	}
	o.given["ldapbasedn"] = u.Path != ""
	o.BaseDN = strings.TrimPrefix(u.Path, "/")
	o.SearchAttribute, _, _ = strings.Cut(parts[0], ",")
	o.given["ldapsearchattribute"] = o.SearchAttribute != ""
	o.SearchFilter = parts[2]
	o.given["ldapsearchfilter"] = o.SearchFilter != ""
	switch strings.ToLower(parts[1]) {
	case "", "base":
		o.Scope = ScopeBase
	case "one", "onelevel":
		o.Scope = ScopeOne
	case "sub", "subtree":
		o.Scope = ScopeSub
	default:
		return errors.New("could not parse LDAP URL: unknown scope")
	}
	return nil
}

// complete fills in what follows from the options, and refuses those that do
// not go together, in PostgreSQL's order and words.
func (o *LDAPOptions) complete() error {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return o.given[name] })
	}
	simple := has("ldapprefix", "ldapsuffix")
	switch {
	case simple && has("ldapbasedn", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter"):
		return errors.New("cannot mix options for simple bind and search+bind modes")
	case !simple && !o.Searches():
		return errors.New(`authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or "ldapsuffix" to be set`)
	case has("ldapsearchattribute") && has("ldapsearchfilter"):
		return errors.New("cannot use ldapsearchattribute together with ldapsearchfilter")
	case len(o.Servers) == 0:
		return errors.New(`authentication method "ldap" requires argument "ldapserver" to be set`)
	}
	if o.Scheme == "" {
		o.Scheme = SchemeLDAP
	}
	if o.Port == 0 {
		o.Port = map[string]int{SchemeLDAP: 389, SchemeLDAPS: 636}[o.Scheme]
	}
	return nil
}
