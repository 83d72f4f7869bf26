package doctor

import (
	"fmt"
	"slices"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/ldap"
	"github.com/pgseal/pgseal/tlsconf"
)

// accessKey is the key that the access rules come from.
func (e *exam) accessKey() string {
	switch a := e.file.Auth; {
	case a.HBAFile != "":
		return "auth.hba_file"
	case len(a.Rules) > 0:
		return "auth.rules"
	case a.IdentFile != "":
		return "auth.ident_file"
	}
	return "auth"
}

// ownRules returns the access rules that the user wrote.
func (e *exam) ownRules() []hba.Rule {
	if e.access == nil || e.file.Auth.HBAFile == "" && len(e.file.Auth.Rules) == 0 {
		return nil
	}
	return e.access.Rules()
}

// inRules reports each offending access rule, with its position.
func (e *exam) inRules(bad func(hba.Rule) bool, what, change string) {
	for _, rule := range e.ownRules() {
		switch {
		case !bad(rule):
		case e.file.Auth.HBAFile == "":
			e.found(subjectAccess, fmt.Sprintf("auth.rules[%d]", rule.Line-1), fmt.Sprintf("rule %d %s", rule.Line, what), change)
		default:
			f := e.found(subjectAccess, "auth.hba_file", fmt.Sprintf("the rule on line %d %s", rule.Line, what), change)
			f.File, f.Line = rule.File, rule.Line
		}
	}
}

func trustAnywhere(e *exam) {
	if e.file.Auth.TrustAnywhere {
		e.found(subjectAccess, "auth.trust_anywhere", "method trust is allowed for other machines (trust_anywhere: true)", "trust_anywhere: false")
	}
}

func ruleTrust(e *exam) {
	e.inRules(func(r hba.Rule) bool { return r.Method == hba.Trust }, "accepts clients without authentication (trust)",
		"scram-sha-256 instead of trust, or peer on a unix socket")
	rules := e.ownRules()
	weak := func(r hba.Rule) bool {
		return slices.Contains([]string{hba.Trust, hba.Password, hba.MD5, hba.LDAP}, r.Method)
	}
	if len(rules) > 0 && !slices.ContainsFunc(rules, weak) {
		e.good(subjectAccess, "no rule is weaker than scram-sha-256 (%s)", Count(len(rules), "rule"))
	}
}

func rulePassword(e *exam) {
	e.inRules(func(r hba.Rule) bool { return r.Method == hba.Password }, "makes clients send their password (password)", "scram-sha-256 instead of password")
}

func ruleLDAPPlaintext(e *exam) {
	e.inRules(func(r hba.Rule) bool { return r.Method == hba.LDAP && ldap.Plaintext(r.LDAP) }, "sends passwords to the LDAP server in plaintext",
		"ldapscheme=ldaps, or ldaptls=1")
}

func ldapPlaintext(e *exam) {
	if e.file.Auth.LDAPPlaintext {
		e.found(subjectAccess, "auth.ldap_plaintext", "passwords may be sent to other machines in plaintext (ldap_plaintext: true)", "ldap_plaintext: false")
	}
}

// ruleNoLogin reports rules whose clients cannot be logged in at the server: their
// method reveals no password or key, and none is configured.
func ruleNoLogin(e *exam) {
	if len(e.ownRules()) == 0 || len(e.usersOf(auth.KindPlain)) > 0 {
		return
	}
	for _, d := range e.databases {
		if rules := e.access.WithoutSecret(d.name); d.User == "" && len(rules) > 0 {
			e.found(d.subject, d.key+".user", fmt.Sprintf("clients authenticated by %s have no login at the server (%s:%d)", rules[0].Method, rules[0].File, rules[0].Line),
				"user and password_file, or a password for each role in users_file")
		}
	}
}

func ruleMD5(e *exam) {
	e.inRules(func(r hba.Rule) bool { return r.Method == hba.MD5 }, "uses md5 for roles with an md5 secret", "scram-sha-256 instead of md5")
}

// acceptsPlaintext returns a listener that other machines can reach without TLS.
func (e *exam) acceptsPlaintext() (listener, bool) {
	for _, l := range e.listeners {
		if !l.unix && !l.onLoopback() && l.TLS.Mode != tlsconf.ListenRequire {
			return l, true
		}
	}
	return listener{}, false
}

func rulePlaintext(e *exam) {
	l, ok := e.acceptsPlaintext()
	if !ok {
		return
	}
	e.inRules(func(r hba.Rule) bool {
		return (r.Connection == hba.Host || r.Connection == hba.HostNoSSL) && r.Method != hba.Reject && !r.OnThisMachine()
	}, "accepts clients without TLS on "+l.subject, "hostssl instead of host, and tls.mode: require for the listener")
}

// ruleNoTLS reports listeners with TLS whose clients no access rule accepts.
func ruleNoTLS(e *exam) {
	rules := e.ownRules()
	if len(rules) == 0 {
		return
	}
	for _, l := range e.listeners {
		lets := func(r hba.Rule) bool {
			return r.Method != hba.Reject && (r.Connection == hba.HostSSL || r.Connection == hba.Host)
		}
		if !l.tls() || l.unix || slices.ContainsFunc(rules, lets) {
			continue
		}
		e.found(l.subject, e.accessKey(), "no access rule accepts clients with TLS", "hostssl all all all scram-sha-256")
	}
}

// ruleNoCertificate reports rules that require a client certificate if no listener
// requests one.
func ruleNoCertificate(e *exam) {
	for _, l := range e.listeners {
		if l.asksClients() {
			return
		}
	}
	e.inRules(func(r hba.Rule) bool { return r.ClientCert != "" }, "requires a client certificate, but no listener requests one",
		"client_ca_file in a listener's tls block")
}
