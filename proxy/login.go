package proxy

import (
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
)

// saslLimit is the largest message a client may send before it is
// authenticated.
const saslLimit = 4 << 10

// wrongPasswordTold is what a client is told whatever was wrong with its role
// or its secret, in PostgreSQL's words.
func wrongPasswordTold(user string) *wire.Error {
	return wire.Fatal(wire.CodeInvalidPassword, `password authentication failed for user "`+user+`"`)
}

// logIn brings a client from its startup packet to a greeted session.
func (p *Server) logIn(s *session, packet wire.StartupPacket) error {
	s.heard = time.Now()
	list, err := wire.ParseParameters(packet.Body)
	if err != nil {
		return login.Violation("%v", err)
	}
	ask, refused := newStartup(list)
	if refused != nil {
		return refused
	}
	if refused := s.confine(&ask); refused != nil {
		return refused
	}
	s.user, s.database = ask.user, ask.database
	if s.surplus && !p.toConsole(s) {
		return errTooManyClients
	}
	if err := s.negotiate(packet.Code, ask.unknown); err != nil {
		return err
	}
	if !p.toConsole(s) {
		if err := s.awaitUnsuspend(); err != nil {
			return err
		}
	}
	credential, err := p.admit(s, ask.physical)
	if err != nil {
		return err
	}
	if p.toConsole(s) {
		p.loginSucceeded(s)
		return p.openConsole(s, ask)
	}
	db, ok := p.manager.Database(ask.database)
	if !ok {
		return login.Refuse(login.NoDatabase, wire.Fatal(wire.CodeUndefinedDatabase, `database "`+ask.database+`" does not exist`).
			WithHint("It is not among the databases of the connection pooler."))
	}
	p.loginSucceeded(s)
	if err := s.join(db, credential); err != nil {
		return err
	}
	if ask.replication != nil {
		err = s.replicate(s.label(ask.replication))
	} else {
		ask.params = s.label(ask.params)
		err = s.prepare(ask.params)
	}
	if err != nil {
		r := refusedByPool(err)
		p.refusedAtServer(s, r)
		return r
	}
	return s.greet(s.relay.Told())
}

// confine has the client reach no other database than the one that the server
// name it asked for leads to. A client that names none, or whose database has
// the name of its role since libpq puts that in for none, gets that one.
func (s *session) confine(ask *startup) *login.Refusal {
	switch {
	case s.only == "" || s.only == ask.database && !ask.physical:
		return nil
	case ask.database == ask.user && !ask.physical:
		ask.database = s.only
		return nil
	}
	return login.Refuse(login.Rule, wire.Fatal(wire.CodeInvalidAuth, "the server name of this connection leads to one database, and not to the one asked for").
		WithHint(`Connect to the database that the host name in your DSN stands for, or by another host name.`))
}

// negotiate settles which version of the protocol is spoken, in the way that
// PostgreSQL 18 does: a client that asks for a newer one than ours, or for
// options that we do not know, is told so before it is asked for its secret.
func (s *session) negotiate(asked uint32, unknown []string) error {
	s.version = min(asked, wire.Version32)
	if s.version == asked && len(unknown) == 0 {
		return nil
	}
	return s.write(wire.AppendNegotiateProtocolVersion(nil, s.version, unknown))
}

// authenticate runs SCRAM-SHA-256 with a client, bound to its TLS connection
// where that has an endpoint hash and the client can do it. A role that is
// unknown goes through the same exchange and gets the same answer as a wrong
// password.
func (p *Server) authenticate(s *session) (auth.Credential, error) {
	credential, known, err := p.secrets.of(s)
	if err != nil {
		return auth.Credential{}, err
	}
	md5 := credential.MD5.Known() // as in PostgreSQL nobody can prove that by SCRAM
	exchange := auth.NewServerExchange(credential.Secret, known && !md5)
	exchange.Bind(s.endpointHash)
	if err := s.write(wire.AppendAuthenticationSASL(nil, exchange.Mechanisms()...)); err != nil {
		return auth.Credential{}, err
	}
	body, err := s.readPassword()
	if err != nil {
		return auth.Credential{}, err
	}
	mechanism, first, err := wire.ParseSASLInitialResponse(body)
	if err != nil {
		return auth.Credential{}, login.Violation("malformed SASL message")
	}
	if !exchange.Choose(mechanism) {
		return auth.Credential{}, login.Violation("client selected an invalid SASL authentication mechanism")
	}
	answer, err := exchange.First(first)
	if err != nil {
		return auth.Credential{}, scramError(err)
	}
	if err := s.write(wire.AppendSASLContinue(nil, answer)); err != nil {
		return auth.Credential{}, err
	}
	if body, err = s.readPassword(); err != nil {
		return auth.Credential{}, err
	}
	answer, err = exchange.Final(body)
	if err != nil && !errors.Is(err, auth.ErrWrongPassword) {
		return auth.Credential{}, scramError(err)
	}
	if err != nil {
		p.secrets.doubt(s)
	}
	if err := p.decideProof(s, login.WrongPassword, wrongSecret(err == nil, known, md5), wrongPasswordTold(s.user)); err != nil {
		return auth.Credential{}, err
	}
	credential.Keys = exchange.Keys()
	s.unsent = wire.AppendSASLFinal(nil, answer)
	return credential, nil
}

// write sends a message of the login.
func (s *session) write(b []byte) error {
	if _, err := s.conn.Write(b); err != nil {
		return login.Lost(err)
	}
	return nil
}

// readPassword reads a message that may only be of type 'p'.
func (s *session) readPassword() ([]byte, error) {
	typ, body, err := wire.ReadMessage(s.conn, nil, saslLimit)
	s.heard = time.Now()
	var length *wire.LengthError
	switch {
	case errors.As(err, &length):
		return nil, login.Violation("invalid message length")
	case err != nil:
		return nil, login.Lost(err)
	case typ != wire.Password:
		return nil, login.Violation("expected SASL response, got message type %d", typ)
	}
	return body, nil
}

// scramError is what a client is told whose exchange did not come to a proof.
func scramError(err error) error {
	if errors.Is(err, auth.ErrBinding) || errors.Is(err, auth.ErrBindingDowngrade) {
		return login.Refuse(login.ChannelBinding, wire.Fatal(wire.CodeInvalidAuth, err.Error()).WithCause(err))
	}
	var malformed *auth.ProtocolError
	if errors.As(err, &malformed) {
		return login.Violation("malformed SCRAM message").Why(err)
	}
	return login.Refuse(login.Internal, wire.AsError(err))
}

// wrongSecret is wrongPassword for a proof by SCRAM.
func wrongSecret(right, known, md5 bool) *guard.FailedProof {
	if known && md5 {
		return errMD5Secret
	}
	return wrongPassword(right, known)
}

// wrongPassword says what was wrong with a password's proof: nil if nothing.
func wrongPassword(right, known bool) *guard.FailedProof {
	switch {
	case !known:
		return errUnknownRole
	case !right:
		return errPassword
	}
	return nil
}

// refusedByPool refuses a client that can't have a server, or none that takes
// what it asks for. A Refusal stays as it is.
func refusedByPool(err error) *login.Refusal {
	if r, ok := err.(*login.Refusal); ok {
		return r
	}
	told, reason := wire.AsError(err), login.NoServer
	switch {
	case errors.Is(err, pool.ErrWaitTimeout):
		reason = login.Limit
	case errors.Is(err, pool.ErrClosed):
		reason = login.Shutdown
	case errors.Is(err, pool.ErrRemoved):
		reason = login.NoDatabase
	case told.Foreign:
		reason = login.ServerRefused
	}
	return login.Refuse(reason, told)
}

// refusedAtServer has a role's secret looked up again where the server refused
// the login: the password may have changed.
func (p *Server) refusedAtServer(s *session, r *login.Refusal) {
	if strings.HasPrefix(r.Told.Code, "28") { // class 28: invalid authorization
		p.secrets.doubt(s)
	}
}

// join finds the pool whose servers the client will use.
func (s *session) join(db *pool.Database, credential auth.Credential) error {
	as, fixed := db.FixedLogin()
	if !fixed {
		as = pool.Login{User: s.user, Password: credential.Password}
		if as.Password == "" {
			as.Keys, as.MD5 = credential.Keys, credential.MD5
		}
		if !as.Known() {
			return login.Refuse(login.NoServerLogin, wire.Fatal(wire.CodeInvalidAuth, `the connection pooler has no password to log in as "`+s.user+`"`).
				WithHint("Set user and password_file for the database, have the role log in by SCRAM, or give users_file its password."))
		}
	}
	if disabled := db.Disabled(); disabled != nil {
		return login.Refuse(login.Disabled, disabled)
	}
	var err error
	if s.pool, s.leavePool, err = s.proxy.manager.Admit(db, s.user, as); err != nil {
		return login.Refuse(login.Limit, wire.AsError(err))
	}
	s.db, s.mode = s.pool.Database(), s.pool.Mode()
	return nil
}

// newRelay settles how the session is followed from server to server. asked is
// what its startup packet asked for.
func (s *session) newRelay(asked []wire.Parameter) {
	defaults := s.proxy.settings.Load().Pool
	if i := indexFold(asked, applicationName); i >= 0 {
		asked = slices.Clone(asked)
		asked[i].Value = cleanApplicationName(asked[i].Value)
	}
	s.need.Startup = startupOf(asked)
	s.relay = relay.New(relay.Config{
		ID: s.id, User: s.pool.User(), Shared: s.mode != pool.SessionMode && !s.replication, Single: s.mode == pool.StatementMode,
		Stream: s.replication, Policy: defaults.SessionState, Reset: s.db.ResetQuery(), MaxCopies: defaults.MaxPrepared,
		Always: defaults.ServerResetQueryAlways, Statements: s.proxy.statements,
	}, asked)
}

// prepare works out what the session's parameters are. A server is needed for
// what only a server can check, and where none lives that could be asked.
func (s *session) prepare(asked []wire.Parameter) error {
	if err := s.pool.LastError(); err != nil {
		return err
	}
	s.newRelay(asked)
	if !s.relay.Asks() {
		if reported, known := s.pool.Parameters(); known {
			s.relay.Greet(reported)
			return nil
		}
		server, err := s.acquireNow()
		if err != nil {
			return err
		}
		s.relay.Greet(server.Defaults())
		s.pool.Release(server)
		return nil
	}
	for {
		s.look()
		server, err := s.acquireNow()
		if err != nil {
			return err
		}
		again, err := s.tryOut(server)
		if !again {
			return err
		}
	}
}

// greet lets the client in, and tells it of its session's parameters.
func (s *session) greet(told []wire.Parameter) error {
	s.proxy.keys.issue(s)
	out := wire.AppendAuthenticationOK(s.unsent)
	s.unsent = nil
	for _, param := range told {
		out = wire.AppendParameterStatus(out, param)
	}
	out = wire.AppendBackendKeyData(out, s.key)
	out = wire.AppendReadyForQuery(out, wire.StatusIdle)
	if err := s.write(out); err != nil {
		return err
	}
	s.proxy.Audit().login(s)
	s.proxy.loginCounts.Inc(login.OutcomeDone)
	s.proxy.log.Info("client logged in", append(s.fields(), zap.Duration("took", time.Since(s.since)))...)
	return nil
}
