package hba

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/pgconf"
)

// Kinds of connections, as a rule's first field names them.
const (
	Local     = "local"     // a unix socket
	Host      = "host"      // TCP, with TLS and without
	HostSSL   = "hostssl"   // TCP with TLS
	HostNoSSL = "hostnossl" // TCP without TLS
)

// Methods of authentication that pgseal speaks, under PostgreSQL's names.
const (
	Trust    = "trust"
	Reject   = "reject"
	SCRAM    = "scram-sha-256"
	MD5      = "md5"
	Password = "password"
	Peer     = "peer"
	Cert     = "cert"
	LDAP     = "ldap"
)

var (
	methods = []string{Trust, Reject, SCRAM, MD5, Password, Peer, Cert, LDAP}
	// unspoken are those of PostgreSQL that pgseal has no use for.
	unspoken = []string{"gss", "sspi", "ident", "pam", "bsd", "radius", "oauth"}
)

// What a rule asks of a client's certificate.
const (
	VerifyCA   = "verify-ca"   // one of a trusted authority
	VerifyFull = "verify-full" // and its name stands for the role
)

// A Rule is one line of pg_hba.conf.
type Rule struct {
	// File and Line tell where the rule stands.
	File string
	Line int

	// Connection is the kind of connection that the rule is for.
	Connection string
	// Method is the authentication method.
	Method string
	// Map names the user name map for peer and certificates, or is empty.
	Map string
	// ClientCert is empty, VerifyCA or VerifyFull.
	ClientCert string
	// ClientName says which name of the certificate counts, NameCN by default.
	ClientName string
	// LDAP holds the options of the method ldap, nil for others.
	LDAP *LDAPOptions

	databases, roles []token
	address          address
}

// Rules are the lines of one pg_hba.conf, in order.
type Rules struct{ list []Rule }

// List returns the rules in order. The caller must not change them.
func (r *Rules) List() []Rule { return r.list }

var errNoEntries = errors.New("contains no entries")

// ParseRules reads the file at path, and those that it includes. All faults
// are reported together, each as an *Error.
func ParseRules(source Source, path string) (*Rules, error) {
	lines, err := pgconf.Read(source, path)
	return newRules(path, lines, err)
}

// ParseLines reads rules that stand in the configuration itself. name is what
// errors call it; files that a line names start from its directory. The number
// in an error is the place in the list, from 1.
func ParseLines(source Source, name string, texts []string) (*Rules, error) {
	var lines []pgconf.Line
	var errs []error
	for i, text := range texts {
		of, faults := pgconf.ReadText(source, name, text)
		for _, l := range of {
			if l.File == name {
				l.Number = i + 1
			}
			lines = append(lines, l)
		}
		for _, err := range faults {
			if e, ok := errors.AsType[*Error](err); ok && e.File == name {
				e.Line = i + 1
			}
			errs = append(errs, err)
		}
	}
	return newRules(name, lines, errors.Join(errs...))
}

func newRules(name string, lines []pgconf.Line, err error) (*Rules, error) {
	errs := []error{err}
	rules := &Rules{}
	for _, l := range lines {
		rule, err := parseRule(l)
		if err != nil {
			errs = append(errs, l.Fault(err))
			continue
		}
		rules.list = append(rules.list, rule)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(rules.list) == 0 {
		return nil, &Error{File: name, Err: errNoEntries}
	}
	return rules, nil
}

// fields takes the fields of a line one by one.
type fields struct{ rest [][]pgconf.Token }

// list returns the next field.
func (f *fields) list(what string) ([]pgconf.Token, error) {
	if len(f.rest) == 0 {
		return nil, fmt.Errorf("end-of-line before %s", what)
	}
	field := f.rest[0]
	f.rest = f.rest[1:]
	return field, nil
}

// one returns the next field, which must hold a single value.
func (f *fields) one(what, plural string) (pgconf.Token, error) {
	field, err := f.list(what)
	if err == nil && len(field) > 1 {
		err = fmt.Errorf("multiple values specified for %s", plural)
	}
	if err != nil {
		return pgconf.Token{}, err
	}
	return field[0], nil
}

// names returns the next field with its regular expressions ready.
func (f *fields) names(what string) ([]token, error) {
	field, err := f.list(what)
	if err != nil {
		return nil, err
	}
	names := make([]token, len(field))
	for i, t := range field {
		if names[i], err = newToken(t); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func parseRule(l pgconf.Line) (Rule, error) {
	rule := Rule{File: l.File, Line: l.Number}
	f := &fields{l.Fields}
	kind, err := f.one("connection type", "connection type")
	if err != nil {
		return rule, err
	}
	if rule.Connection, err = parseConnection(kind.Text); err != nil {
		return rule, err
	}
	if rule.databases, err = f.names("database specification"); err != nil {
		return rule, err
	}
	if rule.roles, err = f.names("role specification"); err != nil {
		return rule, err
	}
	if rule.Connection != Local {
		if err := rule.takeAddress(f); err != nil {
			return rule, err
		}
	}
	method, err := f.one("authentication method", "authentication type")
	if err != nil {
		return rule, err
	}
	if err := rule.setMethod(method.Text); err != nil {
		return rule, err
	}
	for _, field := range f.rest {
		for _, t := range field {
			if err := rule.option(t.Text); err != nil {
				return rule, err
			}
		}
	}
	return rule, rule.complete()
}

func parseConnection(word string) (string, error) {
	switch word {
	case Local, Host, HostSSL, HostNoSSL:
		return word, nil
	case "hostgssenc", "hostnogssenc":
		return "", fmt.Errorf("connection type %q is not supported: pgseal does not support GSSAPI encryption; use host, hostssl or hostnossl", word)
	}
	return "", fmt.Errorf("invalid connection type %q", word)
}

func (rule *Rule) takeAddress(f *fields) error {
	t, err := f.one("IP address specification", "host address")
	if err != nil {
		return err
	}
	if rule.address, err = parseAddress(t); err != nil {
		return err
	}
	if rule.address.scope != scopeMask || rule.address.hasMask {
		return nil
	}
	if t, err = f.one("netmask specification", "netmask"); err != nil {
		return err
	}
	return rule.address.setMask(t)
}

func (rule *Rule) setMethod(word string) error {
	if word == "ident" && rule.Connection == Local {
		word = Peer
	}
	switch {
	case slices.Contains(unspoken, word):
		return fmt.Errorf("authentication method %q is not supported by pgseal; supported methods are %s", word, strings.Join(methods, ", "))
	case !slices.Contains(methods, word):
		return fmt.Errorf("invalid authentication method %q; supported methods are %s", word, strings.Join(methods, ", "))
	case word == Peer && rule.Connection != Local:
		return errors.New("peer authentication is only supported on local sockets")
	case word == Cert && rule.Connection != HostSSL:
		return errors.New("cert authentication is only supported on hostssl connections")
	}
	rule.Method = word
	if word == LDAP {
		rule.LDAP = &LDAPOptions{}
	}
	return nil
}
