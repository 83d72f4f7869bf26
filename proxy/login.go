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
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
)

// logIn brings a client from its first byte to a greeted session. surplus says
// that it came beyond max_client_conn.
func (p *Server) logIn(s *session, policy login.Policy, surplus bool) error {
	in := s.login
	opening, err := in.Negotiate(policy)
	s.tls, s.negotiation = opening.TLS, opening.Manner
	s.certify(opening)
	if err != nil {
		return err
	}
	if opening.Packet.Code == wire.CancelCode {
		p.cancel(s.addr, opening.Packet.Body)
		return errServed
	}
	ask, err := in.Read(opening)
	if err != nil {
		return err
	}
	s.mu.Lock() // its certificate may be judged anew meanwhile
	s.user, s.database = ask.User, ask.Database
	s.mu.Unlock()
	console := p.toConsole(s)
	if surplus && !console {
		return errTooManyClients
	}
	if err := in.AgreeVersion(ask); err != nil {
		return err
	}
	if !console {
		if err := p.awaitUnsuspend(in); err != nil {
			return err
		}
	}
	who, err := in.Authenticate(ask)
	s.method, s.rule = in.Rule()
	if err != nil {
		return err
	}
	s.identity = who.Name
	if console {
		in.Succeeded()
		return p.openConsole(s, ask)
	}
	db, ok := p.manager.Database(s.database)
	if !ok {
		return login.Refuse(login.NoDatabase, wire.Fatal(wire.CodeUndefinedDatabase, `database "`+s.database+`" does not exist`).
			WithHint("It is not among the databases of the connection pooler."))
	}
	in.Succeeded()
	if err := s.join(db, who.Credential); err != nil {
		return err
	}
	if ask.Replication != nil {
		err = s.replicate(s.label(ask.Replication))
	} else {
		err = s.prepare(s.label(ask.Params))
	}
	if err != nil {
		return s.refusedAtServer(err)
	}
	return s.greet(s.relay.Told())
}

// errServed says that a connection came for something else than a session,
// and got it.
var errServed = errors.New("served")

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

// refusedAtServer is refusedByPool that has a role's secret looked up again where
// the server refused the login: the password may have changed.
func (s *session) refusedAtServer(err error) *login.Refusal {
	r := refusedByPool(err)
	if r.Reason == login.ServerRefused && strings.HasPrefix(r.Told.Code, "28") { // class 28: invalid authorization
		s.login.Doubt()
	}
	return r
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
// what its startup packet asked for. mu is held.
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
	s.mu.Lock()
	s.newRelay(asked)
	s.mu.Unlock()
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
	s.proxy.keys.issue(s, s.login.Version())
	out := wire.AppendAuthenticationOK(nil)
	for _, param := range told {
		out = wire.AppendParameterStatus(out, param)
	}
	out = wire.AppendBackendKeyData(out, s.key)
	out = wire.AppendReadyForQuery(out, wire.StatusIdle)
	if err := s.login.Send(out); err != nil {
		return err
	}
	s.proxy.Audit().login(s)
	s.proxy.loginCounts.Inc(login.OutcomeDone)
	s.proxy.log.Info("client logged in", append(s.fields(), zap.Duration("took", time.Since(s.since)))...)
	return nil
}
