package proxy

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/ldap"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
)

// passwordLimit is the longest password that is read in the clear, as in
// PostgreSQL.
const passwordLimit = 65535

// askPassword has the client tell its password, which it is only asked for
// inside TLS or on a unix socket.
func (s *session) askPassword(rule hba.Rule) (string, error) {
	if s.tls == nil && rule.Connection != hba.Local {
		return "", login.Refuse(login.Rule, wire.Fatal(wire.CodeInvalidAuth, "the connection pooler asks for a password inside TLS only")).
			Why(at(rule, "the connection has no TLS"))
	}
	if err := s.write(wire.AppendAuthenticationCleartext(nil)); err != nil {
		return "", err
	}
	return s.readClear()
}

// readClear reads a PasswordMessage with one string.
func (s *session) readClear() (string, error) {
	typ, body, err := wire.ReadMessage(s.conn, nil, passwordLimit+1)
	s.heard = time.Now()
	var length *wire.LengthError
	switch {
	case errors.As(err, &length):
		return "", login.Violation("invalid message length")
	case err != nil:
		return "", login.Lost(err)
	case typ != wire.Password:
		return "", login.Violation("expected password response, got message type %d", typ)
	}
	password, ok := strings.CutSuffix(string(body), "\x00")
	if !ok || strings.IndexByte(password, 0) >= 0 {
		return "", login.Violation("invalid password packet size")
	}
	return password, nil
}

// checkPassword runs the method password. A role that is unknown costs the
// same time and gets the same answer as a wrong password.
func (p *Server) checkPassword(s *session, rule hba.Rule) (auth.Credential, error) {
	credential, known, err := p.secrets.of(s)
	if err != nil {
		return auth.Credential{}, err
	}
	password, err := s.askPassword(rule)
	if err != nil {
		return auth.Credential{}, err
	}
	right := verifies(credential, password, s.user)
	if !right || !known { // it may fit a secret that was not looked up yet
		p.secrets.doubt(s)
		before := credential.Secret.Encode()
		if credential, known, err = p.secrets.of(s); err != nil {
			return auth.Credential{}, err
		}
		right = known && credential.Secret.Encode() != before && credential.Secret.Verify(password)
	}
	if err := p.decideProof(s, login.WrongPassword, wrongPassword(right, known), wrongPasswordTold(s.user)); err != nil {
		return auth.Credential{}, err
	}
	return auth.Credential{Password: password}, nil
}

// verifies reports whether a credential was made from a role's password.
func verifies(c auth.Credential, password, role string) bool {
	right := c.Secret.Verify(password) // in any case: it takes longest
	if c.MD5.Known() {
		return c.MD5.VerifyPassword(password, role)
	}
	return right
}

// asksMD5 reports whether a role is asked by md5 under a rule of that method: the
// roles of auth_query, which have SCRAM secrets, never are.
func (p *Server) asksMD5(s *session) (bool, error) {
	credential, known, err := p.secrets.of(s)
	switch {
	case err != nil:
		return false, err
	case known:
		return credential.MD5.Known(), nil
	}
	settings := p.settings.Load()
	md5, all := settings.Users.MD5Share()
	return settings.Mocker.AsksMD5(s.user, md5, all), nil
}

// askMD5 has the client answer a salt by md5 (protocol chapter,
// AuthenticationMD5Password). A role that is unknown gets the same answer as a
// wrong password.
func (p *Server) askMD5(s *session) (auth.Credential, error) {
	credential, known := p.settings.Load().Users.Lookup(s.user)
	salt := auth.NewMD5Salt()
	if err := s.write(wire.AppendAuthenticationMD5(nil, salt)); err != nil {
		return auth.Credential{}, err
	}
	response, err := s.readClear()
	if err != nil {
		return auth.Credential{}, err
	}
	right := credential.MD5.Verify(response, salt) // never for a role without such a secret
	if !right {
		p.secrets.doubt(s) // auth_query may have it by now
	}
	if err := p.decideProof(s, login.WrongPassword, wrongPassword(right, known), wrongPasswordTold(s.user)); err != nil {
		return auth.Credential{}, err
	}
	return credential, nil
}

// checkLDAP runs the method ldap. Whatever is wrong, with the role, the
// password or the LDAP server, looks alike to the client, as in PostgreSQL. What
// the LDAP server did not refuse itself is no guess, and not counted as one.
func (p *Server) checkLDAP(s *session, rule hba.Rule, access *Access) error {
	password, err := s.askPassword(rule)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.Background(), s.deadline)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	refusal := wire.Fatal(wire.CodeInvalidAuth, `LDAP authentication failed for user "`+s.user+`"`)
	err = access.ldap.Authenticate(ctx, rule.LDAP, s.user, password)
	if err == nil {
		return p.decideProof(s, login.LDAPRefused, nil, refusal)
	}
	cause := at(rule, err.Error()) // its text only: a timeout there is none of the login
	if errors.As(err, new(ldap.Refused)) {
		return p.decideProof(s, login.LDAPRefused, &guard.FailedProof{Reason: guard.LDAPRefused, Err: cause}, refusal)
	}
	return login.Refuse(login.LDAPError, refusal).Why(cause)
}
