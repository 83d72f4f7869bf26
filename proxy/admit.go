package proxy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
)

// admit finds the rule for a client and has it prove who it is. physical is set
// for physical replication, which only the keyword replication lets in.
func (p *Server) admit(s *session, physical bool) (auth.Credential, error) {
	access := p.access()
	look := &lookups{deadline: s.deadline, member: func(role, group string) (bool, error) {
		return p.secrets.member(s.database, role, group, s.deadline)
	}}
	addr := peerAddr(s.raw.RemoteAddr())
	rule, ok := access.rules.Match(hba.Request{Addr: addr, TLS: s.tls != nil, Database: s.database, Role: s.user, Replication: physical}, look)
	switch {
	case look.failed != nil:
		return auth.Credential{}, look.failed
	case !ok:
		return auth.Credential{}, s.barred("no pg_hba.conf entry for")
	}
	s.rule = rule
	if rule.Method == hba.Reject {
		return auth.Credential{}, s.barred("pg_hba.conf rejects connection for").Why(at(rule, "the rule rejects"))
	}
	cert := s.clientCertificate()
	if rule.ClientCert != "" && cert == nil {
		return auth.Credential{}, login.Refuse(login.Rule, wire.Fatal(wire.CodeInvalidAuth, "connection requires a valid client certificate")).
			Why(at(rule, "the client showed no certificate of a trusted authority"))
	}
	proved := s.user
	if rule.Method == hba.Peer {
		var err error
		proved, err = access.checkPeer(s, rule, look)
		if look.failed != nil {
			return auth.Credential{}, look.failed
		}
		refusal := wire.Fatal(wire.CodeInvalidAuth, `Peer authentication failed for user "`+s.user+`"`)
		if err := p.decideProof(s, login.WrongPeer, wrongName(guard.WrongPeer, err), refusal); err != nil {
			return auth.Credential{}, err
		}
	}
	credential, err := p.prove(s, rule, access)
	if err != nil {
		return auth.Credential{}, err
	}
	if rule.ClientCert == hba.VerifyFull {
		proved, err = access.checkCertificate(cert, rule, s.user, look)
		if look.failed != nil {
			return auth.Credential{}, look.failed
		}
		refusal := wire.Fatal(wire.CodeInvalidAuth, `certificate authentication failed for user "`+s.user+`"`)
		if err := p.decideProof(s, login.WrongCertificate, wrongName(guard.WrongCertificate, err), refusal); err != nil {
			return auth.Credential{}, err
		}
	}
	s.identity = identityOf(rule, cert, proved)
	return credential, nil
}

// prove runs the method of the rule.
func (p *Server) prove(s *session, rule hba.Rule, access *Access) (auth.Credential, error) {
	switch rule.Method {
	case hba.SCRAM:
		return p.authenticate(s)
	case hba.MD5: // as in PostgreSQL it is SCRAM for roles without an md5 secret
		md5, err := p.asksMD5(s)
		switch {
		case err != nil:
			return auth.Credential{}, err
		case md5:
			return p.askMD5(s)
		}
		return p.authenticate(s)
	case hba.Password:
		return p.checkPassword(s, rule)
	case hba.LDAP:
		if err := p.checkLDAP(s, rule, access); err != nil {
			return auth.Credential{}, err
		}
	case hba.Trust:
		if addr := peerAddr(s.raw.RemoteAddr()); addr.IsValid() && !addr.IsLoopback() && !access.trustAnywhere {
			return auth.Credential{}, s.barred("pg_hba.conf rejects connection for").
				Why(at(rule, "trust is for unix sockets and the loopback address unless auth.trust_anywhere is set"))
		}
	case hba.Cert, hba.Peer: // certificates are looked at for every rule that asks for one
	default:
		return auth.Credential{}, login.Refuse(login.Internal, wire.AsError(fmt.Errorf("method %q of %s:%d", rule.Method, rule.File, rule.Line)))
	}
	credential, _ := p.settings.Load().Users.Lookup(s.user)
	return credential, nil
}

func (p *Server) access() *Access {
	if a := p.settings.Load().Access; a != nil {
		return a
	}
	return defaultAccess()
}

// wrongName says that a proof is one for another role: nil where err is nil.
func wrongName(reason string, err error) *guard.FailedProof {
	if err == nil {
		return nil
	}
	return &guard.FailedProof{Reason: reason, Err: err}
}

// checkPeer asks the system who is at the other end of a unix socket, and
// returns its name.
func (a *Access) checkPeer(s *session, rule hba.Rule, look hba.Lookups) (name string, err error) {
	if name, err = peerUser(s.raw); err != nil {
		return "", at(rule, err.Error())
	}
	if !a.maps.Allows(rule.Map, name, s.user, look) {
		return "", at(rule, fmt.Sprintf("the system's user %q is not the role", name))
	}
	return name, nil
}

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
	return "", at(rule, fmt.Sprintf("the certificate's %s %.200q is not for the role", rule.ClientName, names))
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
		return nil, fmt.Errorf("the certificate has %d names of the kind %s", len(names), which)
	}
	return names, nil
}

// clientCertificate returns the client's certificate if the handshake found it
// to be of a trusted authority, else nil.
func (s *session) clientCertificate() *x509.Certificate {
	if s.tls == nil {
		return nil
	}
	chains := s.tls.ConnectionState().VerifiedChains
	if len(chains) == 0 || len(chains[0]) == 0 {
		return nil
	}
	return chains[0][0]
}

// barred is what a client is told that no rule lets in, in PostgreSQL's words.
func (s *session) barred(what string) *login.Refusal {
	host, encryption := "[local]", "no encryption"
	if addr := peerAddr(s.raw.RemoteAddr()); addr.IsValid() {
		host = addr.String()
	}
	if s.tls != nil {
		encryption = "SSL encryption"
	}
	return login.Refuse(login.Rule, wire.Fatal(wire.CodeInvalidAuth, fmt.Sprintf("%s host %q, user %q, database %q, %s", what, host, s.user, s.database, encryption)).
		WithHint("The access rules are those of the connection pooler."))
}

// at tells the log, not the client, which rule it was.
func at(rule hba.Rule, reason string) error {
	return &hba.Error{File: rule.File, Line: rule.Line, Err: errors.New(reason)}
}

// peerAddr returns a client's address, not valid for a unix socket.
func peerAddr(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
