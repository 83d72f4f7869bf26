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
	"github.com/pgseal/pgseal/tlsconf"
)

var errTooManyClients = login.Refuse(login.Limit, wire.Fatal(wire.CodeTooManyConnections, "sorry, too many clients already (max_client_conn)").
	WithHint("Raise max_client_conn of the connection pooler."))

// arrival is a client's way in, from its first byte to a greeted session or to a
// refusal. A goroutine of its own runs it, and it ends with the login.
type arrival struct {
	proxy     *Server
	session   *session
	login     *login.Login
	surplus   bool         // the client came beyond max_client_conn
	dedicated *pool.Server // a replication connection's
}

// run brings the client to a greeted session.
func (a *arrival) run(policy login.Policy) error {
	p, s, in := a.proxy, a.session, a.login
	opening, err := in.Negotiate(policy)
	s.conn.tls, s.conn.negotiation = opening.TLS, opening.Manner
	s.certify(opening)
	if err != nil {
		return err
	}
	if opening.Packet.Code == wire.CancelCode {
		p.cancel(s.conn.addr, opening.Packet.Body)
		return errServed
	}
	ask, err := in.Read(opening)
	if err != nil {
		return err
	}
	s.mu.Lock() // its certificate may be judged anew meanwhile
	s.conn.user, s.conn.database = ask.User, ask.Database
	s.mu.Unlock()
	console := p.consoles.owns(ask.Database)
	if a.surplus && !console {
		return errTooManyClients
	}
	if err := in.AgreeVersion(ask); err != nil {
		return err
	}
	if !console {
		if err := p.suspension.await(in); err != nil {
			return err
		}
	}
	who, err := in.Authenticate(ask)
	s.conn.method, s.conn.rule = in.Rule()
	if err != nil {
		return err
	}
	s.conn.identity = who.Name
	if console {
		in.Succeeded()
		return a.openConsole(ask)
	}
	return a.open(ask, who.Credential)
}

// open opens a session with a database.
func (a *arrival) open(ask login.Startup, credential auth.Credential) error {
	db, ok := a.proxy.manager.Database(ask.Database)
	if !ok {
		return login.Refuse(login.NoDatabase, wire.Fatal(wire.CodeUndefinedDatabase, `database "`+ask.Database+`" does not exist`).
			WithHint("It is not among the databases of the connection pooler."))
	}
	auto := db.Auto()
	if !auto {
		a.login.Succeeded()
	}
	if err := a.join(db, credential); err != nil {
		return err
	}
	if err := a.prepare(ask); err != nil {
		return a.refusedAtServer(err)
	}
	if auto { // PostgreSQL has said by now that there is such a database
		a.login.Succeeded()
	}
	return a.greet(a.session.talk.reported())
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

// refusedAtServer is refusedByPool that has a role's secret looked up again if
// the server refused the login: the password may have changed.
func (a *arrival) refusedAtServer(err error) *login.Refusal {
	r := refusedByPool(err)
	if r.Reason == login.ServerRefused && strings.HasPrefix(r.Told.Code, "28") { // class 28: invalid authorization
		a.login.Doubt()
	}
	return r
}

// join finds the pool whose servers the client will use.
func (a *arrival) join(db *pool.Database, credential auth.Credential) error {
	s := a.session
	as, fixed := db.FixedLogin()
	if !fixed {
		as = pool.Login{User: s.conn.user, Password: credential.Password}
		if as.Password == "" {
			as.Keys, as.MD5 = credential.Keys, credential.MD5
		}
		if !as.Known() {
			return login.Refuse(login.NoServerLogin, wire.Fatal(wire.CodeInvalidAuth, `cannot log in to the server as user "`+s.conn.user+`": no stored password or SCRAM keys`).
				WithHint("Set user and password_file for the database, have the role log in by SCRAM, or give users_file its password."))
		}
	}
	if disabled := db.Disabled(); disabled != nil {
		return login.Refuse(login.Disabled, disabled)
	}
	joined, leave, err := a.proxy.manager.Admit(db, s.conn.user, as)
	if err != nil {
		return login.Refuse(login.Limit, wire.AsError(err))
	}
	s.talk.pool, s.leavePool = joined, leave
	return nil
}

// prepare works out what the session's parameters are, or gets a replication
// connection its server.
func (a *arrival) prepare(ask login.Startup) error {
	asked := ask.Params
	if ask.Replication != nil {
		asked = ask.Replication
	}
	if a.session.talk.pool.Database().StampsIdentity() {
		asked = label(asked, a.session.conn.identity)
	}
	if ask.Replication != nil {
		return a.replicate(asked)
	}
	return a.settleParameters(asked)
}

// follow settles how the session is followed from server to server. asked is
// what its startup packet asked for; own says that it gets a server of its own.
func (a *arrival) follow(asked []wire.Parameter, own bool) *relay.Relay {
	defaults, talk := a.proxy.settings.Load().Pool, &a.session.talk
	if i := indexFold(asked, applicationName); i >= 0 {
		asked = slices.Clone(asked)
		asked[i].Value = cleanApplicationName(asked[i].Value)
	}
	talk.wait.need.Startup = startupOf(asked)
	mode := talk.pool.Mode()
	r := relay.New(relay.Config{
		ID: a.session.conn.id, User: talk.pool.User(), Shared: mode != pool.SessionMode && !own, Single: mode == pool.StatementMode,
		Stream: own, Policy: defaults.SessionState, Reset: talk.pool.Database().ResetQuery(), MaxCopies: defaults.MaxPrepared,
		Always: defaults.ServerResetQueryAlways, Statements: a.proxy.statements,
	}, asked)
	talk.follow(r, own)
	return r
}

// greet completes the login and reports the session's parameters.
func (a *arrival) greet(told []wire.Parameter) error {
	conn := &a.session.conn
	a.proxy.keys.issue(a.session, a.login.Version())
	out := wire.AppendAuthenticationOK(nil)
	for _, param := range told {
		out = wire.AppendParameterStatus(out, param)
	}
	out = wire.AppendBackendKeyData(out, conn.key)
	out = wire.AppendReadyForQuery(out, wire.StatusIdle)
	if err := a.login.Send(out); err != nil {
		return err
	}
	a.proxy.Audit().login(conn)
	a.proxy.counters.logins.Inc(login.OutcomeDone)
	a.proxy.log.Info("client logged in", append(conn.fields(), zap.Duration("took", time.Since(conn.since)))...)
	return nil
}

// refuse ends a connection that did not become a session.
func (a *arrival) refuse(err error) {
	log, logins, conn := a.proxy.log, &a.proxy.counters.logins, &a.session.conn
	r, refused := err.(*login.Refusal)
	switch {
	case err == errServed:
		return
	case errors.Is(err, login.ErrProbe):
		log.Debug("client left before its startup packet", conn.fields()...)
		return
	case !refused:
		logins.Inc(login.OutcomeClientLeft)
		log.Info("client left during login", conn.fields()...)
		return
	case r.Told == nil:
		logins.Inc(r.Outcome())
		a.proxy.Audit().refusal(conn, r)
		log.Warn("TLS handshake failed", append(append(conn.fields(), zap.Error(r.Cause)), tlsconf.HandshakeFields(r.Cause)...)...)
		return
	}
	last := *r.Told // it may be shared with other sessions
	last.Severity = "FATAL"
	logins.Inc(r.Outcome())
	a.proxy.counters.errors.note(conn, r.Told, nil)
	a.login.AwaitAnswer(r)
	conn.sendFinal(func() { a.login.Send(last.Append(nil)) })
	// Only now, so that the time that a client sees does not tell what is logged.
	a.proxy.Audit().refusal(conn, r)
	fields := append(conn.fields(), zap.String("sqlstate", r.Told.Code), zap.String("reason", r.Told.Message))
	if r.Cause != nil {
		fields = append(fields, zap.Error(r.Cause))
	}
	log.Warn("login refused", fields...)
	conn.drainAndClose()
}

// startupOf returns the parameters of a startup packet by which servers that
// were opened with them are known: sorted by name, and without
// application_name, which every session is given.
func startupOf(asked []wire.Parameter) (list []wire.Parameter) {
	for _, p := range asked {
		p.Name = strings.ToLower(p.Name)
		if p.Name == applicationName {
			continue
		}
		if i := slices.IndexFunc(list, func(q wire.Parameter) bool { return q.Name == p.Name }); i >= 0 {
			list[i] = p
		} else {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b wire.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return list
}
