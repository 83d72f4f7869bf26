package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

// Login is the role that a pool's servers log in as, and its secret.
type Login = backend.Login

// target is where connections to the database of that name lead, which log in as
// login with startup in the startup packet.
func (s *Spec) target(name string, login Login, startup ...wire.Parameter) backend.Target {
	if s.DBName != "" {
		name = s.DBName
	}
	return backend.Target{
		Hosts: backend.Addresses(s.Host, s.Port), Timeout: s.Defaults.ServerConnectTimeout, Trust: s.Trust.Load(),
		RequireAuth: s.RequireAuth, Login: login, Database: name, Startup: startup,
	}
}

// dial opens a server, with startup in the startup packet, beside the role and the
// database. Its errors are *wire.Error: the server's own if it refused the
// login, else one that tells the client little and keeps the cause for the log.
func (m *Manager) dial(ctx context.Context, d *Database, login Login, startup []wire.Parameter) (*Server, *backend.Conn, error) {
	// The epoch first: a server must not be taken for newer than the
	// settings it was opened with.
	s := &Server{origin: origin{epoch: d.epoch()}, done: make(chan struct{})}
	spec := d.spec.Load()
	target := spec.target(d.Name, login, startup...)
	target.Ready = func(c *backend.Conn) error {
		s.ID = m.lastID.Add(1)
		return m.greet(c, s.ID, d, spec.ConnectQuery)
	}
	conn, err := m.dialer.Dial(ctx, target)
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return nil, nil, explainRefusal(refused)
	case err != nil:
		return nil, nil, wire.Fatal(wire.CodeConnectionFailure, `could not connect to server for database "`+d.Name+`"`).
			WithHint("See the log of the connection pooler.").WithCause(err)
	}
	s.Peer, s.Created = conn.Peer, time.Now()
	s.params, s.defaults = conn.Parameters, conn.Parameters
	s.origin.trust, s.origin.expires = spec.Trust, expiry(s.Created, spec.lifetime())
	m.servers.Add(1)
	m.log.Info("server opened", zap.Uint64("server", s.ID), zap.String("database", d.Name), zap.String("user", login.User),
		zap.String("addr", s.Addr), zap.String("tls", s.TLS), zap.String("verified", s.Verified), zap.Bool("bound", s.Bound), zap.Duration("took", conn.Took))
	return s, conn, nil
}

// greet runs connect_query on a connection that has just logged in. As in
// PgBouncer an error of the server is logged and nothing more.
func (m *Manager) greet(conn *backend.Conn, id uint64, d *Database, sql string) error {
	if sql == "" {
		return nil
	}
	refused, err := conn.RunConnectQuery(sql)
	if refused != nil {
		m.log.Warn("connect_query failed", zap.Uint64("server", id), zap.String("database", d.Name), zap.String("sqlstate", refused.Code))
	}
	if err != nil {
		return fmt.Errorf("connect_query: %w", err)
	}
	return nil
}

// refusalHint is for a client if the server refused pgseal's login: the client
// knows only of its own login at the pooler, and that one succeeded.
const refusalHint = "The client was authenticated; the server refused the login of the connection pooler."

// explainRefusal adds the hint to a server's refusal of a login.
func explainRefusal(e *wire.Error) *wire.Error {
	if e.Hint != "" || !strings.HasPrefix(e.Code, "28") { // class 28: invalid authorization
		return e
	}
	return e.WithHint(refusalHint)
}

// advice is a hint for the log if the server does not accept the secret that we
// logged in with.
func (d *Database) advice(login Login, refused *wire.Error) zap.Field {
	if refused.Code != wire.CodeInvalidPassword {
		return zap.Skip()
	}
	fixed, ok := d.FixedLogin()
	hint := "the role's line in users_file may differ from the server: copy rolpassword from the server's pg_authid there again"
	switch {
	case ok && fixed.User == login.User:
		hint = "the database's user and password_file may differ from the server"
	case login.Password != "":
		hint = "the role's password in users_file may differ from the server"
	}
	return zap.String("hint", hint)
}
