package login

import (
	"errors"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/wire"
)

// saslLimit is the largest message a client may send before it is
// authenticated.
const saslLimit = 4 << 10

// wrongPasswordTold is what a client is told whatever was wrong with its role
// or its secret, in PostgreSQL's words.
func wrongPasswordTold(user string) *wire.Error {
	return wire.Fatal(wire.CodeInvalidPassword, `password authentication failed for user "`+user+`"`)
}

// proveBySCRAM runs SCRAM-SHA-256 with a client, bound to its TLS connection
// if that has an endpoint hash and the client can do it. A role that is
// unknown goes through the same exchange and gets the same answer as a wrong
// password.
func (l *Login) proveBySCRAM() (auth.Credential, error) {
	credential, known, err := l.logins.secrets.of(l.ctx, l.database, l.user)
	if err != nil {
		return auth.Credential{}, err
	}
	md5 := credential.MD5.Known() // as in PostgreSQL nobody can prove that by SCRAM
	exchange := auth.NewServerExchange(credential.Secret, known && !md5)
	exchange.Bind(l.endpointHash)
	if err := l.write(wire.AppendAuthenticationSASL(nil, exchange.Mechanisms()...)); err != nil {
		return auth.Credential{}, err
	}
	body, err := l.readPassword()
	if err != nil {
		return auth.Credential{}, err
	}
	mechanism, first, err := wire.ParseSASLInitialResponse(body)
	if err != nil {
		return auth.Credential{}, Violation("malformed SASL message")
	}
	if !exchange.Choose(mechanism) {
		return auth.Credential{}, Violation("client selected an invalid SASL authentication mechanism")
	}
	answer, err := exchange.First(first)
	if err != nil {
		return auth.Credential{}, scramError(err)
	}
	if err := l.write(wire.AppendSASLContinue(nil, answer)); err != nil {
		return auth.Credential{}, err
	}
	if body, err = l.readPassword(); err != nil {
		return auth.Credential{}, err
	}
	answer, err = exchange.Final(body)
	if err != nil && !errors.Is(err, auth.ErrWrongPassword) {
		return auth.Credential{}, scramError(err)
	}
	if err != nil {
		l.Doubt()
	}
	if err := l.decideProof(WrongPassword, wrongSecret(err == nil, known, md5), wrongPasswordTold(l.user)); err != nil {
		return auth.Credential{}, err
	}
	credential.Keys = exchange.Keys()
	l.unsent = wire.AppendSASLFinal(nil, answer)
	return credential, nil
}

// readPassword reads a message that may only be of type 'p'.
func (l *Login) readPassword() ([]byte, error) {
	typ, body, err := wire.ReadMessage(l.conn, nil, saslLimit)
	l.heard = time.Now()
	var length *wire.LengthError
	switch {
	case errors.As(err, &length):
		return nil, Violation("invalid message length")
	case err != nil:
		return nil, lost(err)
	case typ != wire.Password:
		return nil, Violation("expected SASL response, got message type %d", typ)
	}
	return body, nil
}

// scramError is the Refusal of a client whose exchange broke off before its proof.
func scramError(err error) error {
	if errors.Is(err, auth.ErrBinding) || errors.Is(err, auth.ErrBindingDowngrade) {
		return Refuse(ChannelBinding, wire.Fatal(wire.CodeInvalidAuth, err.Error()).WithCause(err))
	}
	var malformed *auth.ProtocolError
	if errors.As(err, &malformed) {
		return Violation("malformed SCRAM message").Why(err)
	}
	return Refuse(Internal, wire.AsError(err))
}
