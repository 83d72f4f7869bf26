package ldap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/pgseal/pgseal/internal/auth/hba"
)

// Check returns an error for options that PostgreSQL accepts although they are not
// safe, or can never work.
func (c *Client) Check(o *hba.LDAPOptions) error {
	switch {
	case o.Scheme == hba.SchemeLDAPS && o.TLS:
		return errors.New("ldaptls=1 and ldapscheme=ldaps are mutually exclusive")
	case !c.plaintext && Plaintext(o) && !OnThisMachine(o):
		return errors.New("LDAP without TLS sends passwords in plaintext: use ldapscheme=ldaps or ldaptls=1 (or set auth.ldap_plaintext)")
	case (o.BindDN == "") != (o.BindPassword == ""):
		return errors.New("ldapbinddn and ldapbindpasswd must be set together: with only one the search is anonymous")
	case o.SearchFilter != "" && !strings.Contains(o.SearchFilter, hba.UsernamePlaceholder):
		return fmt.Errorf("ldapsearchfilter must contain %s", hba.UsernamePlaceholder)
	}
	if o.Searches() {
		if _, err := ldap.CompileFilter(searchFilter(o, "role")); err != nil {
			return errors.New("ldapsearchfilter or ldapsearchattribute is not a valid filter (RFC 4515)")
		}
	}
	return nil
}

// Plaintext reports whether passwords go to the server without TLS.
func Plaintext(o *hba.LDAPOptions) bool { return o.Scheme == hba.SchemeLDAP && !o.TLS }

// OnThisMachine reports whether all servers have loopback addresses by their
// names.
func OnThisMachine(o *hba.LDAPOptions) bool {
	return !slices.ContainsFunc(o.Servers, func(host string) bool {
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		return host != "localhost" && (err != nil || !ip.Unmap().IsLoopback())
	})
}

// Characters that a role may not have: those that PostgreSQL refuses before a
// search, and those that mean something in a name that is no DN, as Active
// Directory takes it: user@domain and DOMAIN\user.
const (
	notInSearch = `*()\/`
	notInName   = `@\/"+,;<>=`
)

// checkRole refuses roles that a name or filter made of them could not hold
// without doubt.
func checkRole(o *hba.LDAPOptions, role string) error {
	refused := ""
	switch {
	case o.Searches():
		refused = notInSearch
	case !isDN(o):
		refused = notInName
	}
	if role == "" || !utf8.ValidString(role) || strings.ContainsAny(role, refused) || strings.ContainsRune(role, 0) {
		return errors.New("invalid character in user name for LDAP authentication")
	}
	return nil
}

// isDN reports whether prefix and suffix make a distinguished name of a role.
func isDN(o *hba.LDAPOptions) bool { return strings.Contains(o.Prefix, "=") }

// simpleName returns the name that a role binds as, escaped as RFC 4514 has it
// if it is a distinguished name.
func simpleName(o *hba.LDAPOptions, role string) string {
	if isDN(o) {
		role = ldap.EscapeDN(role)
	}
	return o.Prefix + role + o.Suffix
}

// searchFilter returns the filter that finds a role, which is escaped as RFC
// 4515 has it.
func searchFilter(o *hba.LDAPOptions, role string) string {
	role = ldap.EscapeFilter(role)
	switch {
	case o.SearchFilter == "" && o.SearchAttribute == "":
		return "(uid=" + role + ")"
	case o.SearchFilter == "":
		return "(" + o.SearchAttribute + "=" + role + ")"
	}
	filter := strings.ReplaceAll(o.SearchFilter, hba.UsernamePlaceholder, role)
	if !strings.HasPrefix(filter, "(") {
		filter = "(" + filter + ")"
	}
	return filter
}
