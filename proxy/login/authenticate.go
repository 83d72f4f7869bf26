package login

import (
	"errors"
	"fmt"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/guard"
)

// Authenticate finds the access rule for a client and runs its method.
func (l *Login) Authenticate(ask Startup) (Identity, error) {
	access := l.logins.settings.Load().Access
	look := &lookups{ctx: l.ctx, member: func(role, group string) (bool, error) {
		return l.logins.secrets.member(l.ctx, l.database, role, group)
	}}
	if err := l.findRule(access, look, ask.physical); err != nil {
		return Identity{}, err
	}
	cert := ClientCertificate(l.tls)
	if l.rule.ClientCert != "" && cert == nil {
		return Identity{}, Refuse(Rule, wire.Fatal(wire.CodeInvalidAuth, "connection requires a valid client certificate")).
			Why(at(l.rule, "the client presented no certificate of a trusted CA"))
	}
	proved := l.user
	if l.rule.Method == hba.Peer {
		var err error
		proved, err = access.checkPeer(l.raw, l.rule, l.user, look)
		if look.failed != nil {
			return Identity{}, look.failed
		}
		told := wire.Fatal(wire.CodeInvalidAuth, `Peer authentication failed for user "`+l.user+`"`)
		if err := l.decideProof(WrongPeer, wrongName(guard.WrongPeer, err), told); err != nil {
			return Identity{}, err
		}
	}
	credential, err := l.prove(access)
	if err != nil {
		return Identity{}, err
	}
	if l.rule.ClientCert == hba.VerifyFull {
		proved, err = access.checkCertificate(cert, l.rule, l.user, look)
		if look.failed != nil {
			return Identity{}, look.failed
		}
		told := wire.Fatal(wire.CodeInvalidAuth, `certificate authentication failed for user "`+l.user+`"`)
		if err := l.decideProof(WrongCertificate, wrongName(guard.WrongCertificate, err), told); err != nil {
			return Identity{}, err
		}
	}
	return Identity{Name: nameOf(l.rule, cert, proved), Credential: credential}, nil
}

// findRule finds the rule for the client. physical is set for physical
// replication, which only the keyword replication lets in.
func (l *Login) findRule(access *Access, look *lookups, physical bool) error {
	rule, ok := access.rules.Match(hba.Request{Addr: l.addr(), TLS: l.tls != nil, Database: l.database, Role: l.user, Replication: physical}, look)
	switch {
	case look.failed != nil:
		return look.failed
	case !ok:
		return l.rejected("no pg_hba.conf entry for")
	}
	if l.rule = rule; rule.Method == hba.Reject {
		return l.rejected("pg_hba.conf rejects connection for").Why(at(rule, "rejected by rule"))
	}
	return nil
}

// prove runs the method of the access rule.
func (l *Login) prove(access *Access) (auth.Credential, error) {
	switch l.rule.Method {
	case hba.SCRAM:
		return l.proveBySCRAM()
	case hba.MD5: // as in PostgreSQL it is SCRAM for roles without an md5 secret
		md5, err := l.asksMD5()
		switch {
		case err != nil:
			return auth.Credential{}, err
		case md5:
			return l.askMD5()
		}
		return l.proveBySCRAM()
	case hba.Password:
		return l.checkPassword()
	case hba.LDAP:
		if err := l.checkLDAP(access); err != nil {
			return auth.Credential{}, err
		}
	case hba.Trust:
		if addr := l.addr(); addr.IsValid() && !addr.IsLoopback() && !access.trustAnywhere {
			return auth.Credential{}, l.rejected("pg_hba.conf rejects connection for").
				Why(at(l.rule, "trust is limited to Unix sockets and loopback addresses unless auth.trust_anywhere is set"))
		}
	case hba.Cert, hba.Peer: // certificates are looked at for every rule that asks for one
	default:
		return auth.Credential{}, Refuse(Internal, wire.AsError(fmt.Errorf("method %q of %s:%d", l.rule.Method, l.rule.File, l.rule.Line)))
	}
	credential, _ := l.logins.settings.Load().Users.Lookup(l.user)
	return credential, nil
}

// wrongName is the failed proof of an identity that maps to another role; nil if err
// is nil.
func wrongName(reason string, err error) *guard.FailedProof {
	if err == nil {
		return nil
	}
	return &guard.FailedProof{Reason: reason, Err: err}
}

// checkPeer compares the operating system user at the other end of a unix socket
// with the role, and returns its name.
func (a *Access) checkPeer(conn *engine.Transport, rule hba.Rule, role string, look hba.Lookups) (name string, err error) {
	if name, err = peerUser(conn); err != nil {
		return "", at(rule, err.Error())
	}
	if !a.maps.Allows(rule.Map, name, role, look) {
		return "", at(rule, fmt.Sprintf("system user name %q does not match the role", name))
	}
	return name, nil
}

// rejected is PostgreSQL's refusal of a client that no access rule accepts.
func (l *Login) rejected(what string) *Refusal {
	host, encryption := "[local]", "no encryption"
	if addr := l.addr(); addr.IsValid() {
		host = addr.String()
	}
	if l.tls != nil {
		encryption = "SSL encryption"
	}
	return Refuse(Rule, wire.Fatal(wire.CodeInvalidAuth, fmt.Sprintf("%s host %q, user %q, database %q, %s", what, host, l.user, l.database, encryption)).
		WithHint("The access rules are the connection pooler's."))
}

// at adds the rule's position to a reason, for the log only.
func at(rule hba.Rule, reason string) error {
	return &hba.Error{File: rule.File, Line: rule.Line, Err: errors.New(reason)}
}
