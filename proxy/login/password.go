package login

import (
	"errors"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/ldap"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/guard"
)

// passwordLimit is the longest password that is read in the clear, as in
// PostgreSQL.
const passwordLimit = 65535

// askPassword has the client tell its password, which it is only asked for
// inside TLS or on a unix socket.
func (l *Login) askPassword() (string, error) {
	if l.tls == nil && l.rule.Connection != hba.Local {
		return "", Refuse(Rule, wire.Fatal(wire.CodeInvalidAuth, "SSL required for password authentication")).
			Why(at(l.rule, "the connection is not encrypted"))
	}
	if err := l.write(wire.AppendAuthenticationCleartext(nil)); err != nil {
		return "", err
	}
	return l.readClear()
}

// readClear reads a PasswordMessage with one string.
func (l *Login) readClear() (string, error) {
	typ, body, err := wire.ReadMessage(l.conn, nil, passwordLimit+1)
	l.heard = time.Now()
	var length *wire.LengthError
	switch {
	case errors.As(err, &length):
		return "", Violation("invalid message length")
	case err != nil:
		return "", lost(err)
	case typ != wire.Password:
		return "", Violation("expected password response, got message type %d", typ)
	}
	password, ok := strings.CutSuffix(string(body), "\x00")
	if !ok || strings.IndexByte(password, 0) >= 0 {
		return "", Violation("invalid password packet size")
	}
	return password, nil
}

// checkPassword runs the method password. A role that is unknown costs the
// same time and gets the same answer as a wrong password.
func (l *Login) checkPassword() (auth.Credential, error) {
	credential, known, err := l.logins.secrets.of(l.ctx, l.database, l.user)
	if err != nil {
		return auth.Credential{}, err
	}
	password, err := l.askPassword()
	if err != nil {
		return auth.Credential{}, err
	}
	right := verifies(credential, password, l.user)
	if !right || !known { // it may fit a secret that was not looked up yet
		l.Doubt()
		// If that fails it stays wrong: an attacker must not be able to guess
		// uncounted while auth_query fails.
		if latest, is, err := l.logins.secrets.of(l.ctx, l.database, l.user); err == nil {
			known = is
			right = known && latest.Secret.Encode() != credential.Secret.Encode() && latest.Secret.Verify(password)
		}
	}
	if err := l.decideProof(WrongPassword, wrongPassword(right, known), wrongPasswordTold(l.user)); err != nil {
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
func (l *Login) asksMD5() (bool, error) {
	credential, known, err := l.logins.secrets.of(l.ctx, l.database, l.user)
	switch {
	case err != nil:
		return false, err
	case known:
		return credential.MD5.Known(), nil
	}
	settings := l.logins.settings.Load()
	md5, all := settings.Users.MD5Share()
	return settings.Mocker.AsksMD5(l.user, md5, all), nil
}

// askMD5 has the client answer a salt by md5 (protocol chapter,
// AuthenticationMD5Password). A role that is unknown gets the same answer as a
// wrong password.
func (l *Login) askMD5() (auth.Credential, error) {
	credential, known := l.logins.settings.Load().Users.Lookup(l.user)
	salt := auth.NewMD5Salt()
	if err := l.write(wire.AppendAuthenticationMD5(nil, salt)); err != nil {
		return auth.Credential{}, err
	}
	response, err := l.readClear()
	if err != nil {
		return auth.Credential{}, err
	}
	right := credential.MD5.Verify(response, salt) // never for a role without such a secret
	if !right {
		l.Doubt() // auth_query may have it by now
	}
	if err := l.decideProof(WrongPassword, wrongPassword(right, known), wrongPasswordTold(l.user)); err != nil {
		return auth.Credential{}, err
	}
	return credential, nil
}

// checkLDAP runs the method ldap. Whatever is wrong, with the role, the
// password or the LDAP server, looks alike to the client, as in PostgreSQL. What
// the LDAP server did not refuse itself is no guess, and not counted as one.
func (l *Login) checkLDAP(access *Access) error {
	password, err := l.askPassword()
	if err != nil {
		return err
	}
	refusal := wire.Fatal(wire.CodeInvalidAuth, `LDAP authentication failed for user "`+l.user+`"`)
	err = access.ldap.Authenticate(l.ctx, l.rule.LDAP, l.user, password)
	if err == nil {
		return l.decideProof(LDAPRefused, nil, refusal)
	}
	cause := at(l.rule, err.Error()) // its text only: a timeout there is none of the login
	if errors.As(err, new(ldap.Refused)) {
		return l.decideProof(LDAPRefused, &guard.FailedProof{Reason: guard.LDAPRefused, Err: cause}, refusal)
	}
	return Refuse(LDAPError, refusal).Why(cause)
}
