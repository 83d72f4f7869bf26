package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/answers"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

const (
	// maxRemembered is how many answers about roles are kept, of each kind.
	maxRemembered = 10_000
	// unknownFresh is how long a role stays unknown that was created meanwhile.
	// It is the same for known roles after a wrong password, so that an attacker
	// sees the same lookups for all names.
	unknownFresh = answers.DoubtAfter
)

// secrets finds the secrets of roles, in users_file or else by auth_query.
type secrets struct {
	logins  *Logins
	servers Servers
	ctx     context.Context // ends with the logins
	stop    context.CancelFunc

	credentials *answers.Book[secretQuestion, lookedUp]
	members     *answers.Book[memberQuestion, bool]
}

// origin is where a role's secret is looked up, and as which role.
type origin struct{ database, user, query string }

type secretQuestion struct {
	origin origin
	role   string
}

type memberQuestion struct {
	origin      origin
	role, group string
}

// lookedUp is the result of a lookup: known is false for a role that cannot log in with
// a password.
type lookedUp struct {
	credential auth.Credential
	known      bool
}

func newSecrets(p *Logins, servers Servers) *secrets {
	s := &secrets{
		logins:      p,
		servers:     servers,
		credentials: answers.NewBook[secretQuestion, lookedUp](maxRemembered),
		members:     answers.NewBook[memberQuestion, bool](maxRemembered),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// of returns the secret of a role for clients of a database, and with false the mock
// secret of one that cannot log in with a password. The error is a Refusal:
// the lookup failed. It may block, and ends with ctx, which is that of the
// login. If nothing is looked up its steps are the same for all roles, so that
// their time tells nothing.
func (s *secrets) of(ctx context.Context, database, role string) (auth.Credential, bool, error) {
	settings := s.logins.settings.Load()
	credential, known := settings.Users.Find(role, settings.Mocker)
	held := settings.Users.Holds(role)
	from, as, asks := s.origin(database)
	if known || held || !asks {
		return credential, known, nil
	}
	f, err := s.credentials.Ask(ctx, secretQuestion{from, role}, func() (answers.Answer[lookedUp], error) {
		return s.askSecret(from, as, role)
	})
	if err != nil {
		return auth.Credential{}, false, noLookup(ctx, err)
	}
	if f.known {
		credential = f.credential
	}
	return credential, f.known, nil
}

// doubt says that the server refused the credentials of a role: they are looked up
// again, in case they changed.
func (s *secrets) doubt(database, role string) {
	if from, _, ok := s.origin(database); ok {
		s.credentials.Doubt(secretQuestion{from, role})
	}
}

// member reports whether a role is a member of a group, as PostgreSQL has it
// for access rules: directly or through other roles, and superusers only where
// they are made members. A role is a member of itself.
func (s *secrets) member(ctx context.Context, database, role, group string) (bool, error) {
	from, as, ok := s.origin(database)
	if !ok {
		return false, nil // there is no such database, so nobody gets in
	}
	is, err := s.members.Ask(ctx, memberQuestion{from, role, group}, func() (answers.Answer[bool], error) {
		return s.askMember(from, as, role, group)
	})
	if err != nil {
		return false, noLookup(ctx, err)
	}
	return is, nil
}

// origin returns where the roles of a database's clients are looked up, and
// false if they are not.
func (s *secrets) origin(database string) (origin, pool.Login, bool) {
	settings := s.logins.settings.Load()
	all := settings.Auth.LookupConfig
	c, password, exists := s.servers.LookupConfig(database)
	if c.AuthUser == "" {
		c.AuthUser, password = all.AuthUser, settings.AuthPass
	}
	if c.AuthDBName = cmp.Or(c.AuthDBName, all.AuthDBName); c.AuthDBName == "" && exists {
		c.AuthDBName = database
	}
	if c.AuthUser == "" || c.AuthDBName == "" {
		return origin{}, pool.Login{}, false
	}
	if password == "" {
		credential, _ := settings.Users.Lookup(c.AuthUser)
		password = credential.Password
	}
	query := cmp.Or(c.AuthQuery, all.AuthQuery, DefaultAuthQuery)
	return origin{c.AuthDBName, c.AuthUser, query}, pool.Login{User: c.AuthUser, Password: password}, true
}

// askSecret runs auth_query for one role.
func (s *secrets) askSecret(from origin, as pool.Login, role string) (a answers.Answer[lookedUp], err error) {
	// A second row is one too many, so there is no need for a third.
	rows, err := s.servers.RunLookup(s.ctx, from.database, as, 2, from.query, role)
	if err == nil || isNoName(err) {
		var reason string
		if a, reason, err = s.logins.settings.Load().Auth.parseLookup(role, rows); reason != "" {
			s.logins.log.Warn("auth_query returned no usable secret", zap.String("user", role),
				zap.String("database", from.database), zap.String("reason", reason))
		}
	}
	if err != nil {
		s.failed(from, err)
	}
	return a, err
}

// parseLookup reads the result of auth_query for a role. Anything but one row with
// this role's name and a valid secret is no secret; reason is for the log. An error
// says that the query itself is wrong.
func (c Config) parseLookup(role string, rows []wire.Row) (a answers.Answer[lookedUp], reason string, err error) {
	a.Fresh = min(unknownFresh, c.AuthQueryCacheTTL)
	switch {
	case len(rows) == 0:
		return a, "", nil
	case len(rows[0]) < 2:
		return a, "", fmt.Errorf("auth_query returned %d columns, expected role name and secret", len(rows[0]))
	case len(rows) > 1:
		return a, "more than one row returned", nil
	case rows[0][0].Null || rows[0][0].Text != role:
		return a, "row of another role returned", nil
	case rows[0][1].Null:
		return a, "role has no password, or an expired one", nil
	}
	valid, err := validity(rows[0])
	if err != nil {
		return a, "", err
	}
	secret, err := auth.ParseSecret(rows[0][1].Text)
	switch {
	case err != nil:
		return a, "not a valid SCRAM secret", nil
	case valid <= 0:
		return a, "role has an expired password", nil
	}
	a.Value = lookedUp{auth.Credential{Secret: secret}, true}
	a.Fresh, a.Usable = min(c.AuthQueryCacheTTL, valid), min(c.AuthQueryCacheTTL+c.AuthQueryMaxStale, valid)
	return a, "", nil
}

// forever is longer than any result is cached.
const forever = 1 << 62

// validity returns for how long a secret is valid, by the third column, if
// there is one: a number of seconds, or NULL.
func validity(row wire.Row) (time.Duration, error) {
	if len(row) < 3 || row[2].Null {
		return forever, nil
	}
	seconds, err := strconv.ParseFloat(row[2].Text, 64)
	switch {
	case err != nil || seconds != seconds:
		return 0, errors.New("third column of auth_query is not a number of seconds")
	case seconds > float64(forever/time.Second):
		return forever, nil
	case seconds < 0:
		return 0, nil
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// askMember asks whether a role is a member of a group.
func (s *secrets) askMember(from origin, as pool.Login, role, group string) (a answers.Answer[bool], err error) {
	rows, err := s.servers.RunLookup(s.ctx, from.database, as, 1, memberQuery, role, group)
	if err != nil && !isNoName(err) {
		s.failed(from, err)
		return a, err
	}
	c := s.logins.settings.Load().Auth
	a.Value = len(rows) > 0
	a.Fresh, a.Usable = c.AuthQueryCacheTTL, c.AuthQueryCacheTTL+c.AuthQueryMaxStale
	if !a.Value {
		a.Fresh = min(a.Fresh, unknownFresh)
	}
	return a, nil
}

func (s *secrets) failed(from origin, err error) {
	if s.ctx.Err() != nil {
		return // it is the end
	}
	s.logins.log.Error("auth_query failed", zap.String("database", from.database),
		zap.String("user", from.user), zap.NamedError("error", err))
}

// noLookup is the Refusal after a failed lookup: the client is told to try again, not
// that its password is wrong. ctx is that of its wait.
func noLookup(ctx context.Context, cause error) *Refusal {
	if over, ends := context.Cause(ctx).(*Refusal); ends {
		return over
	}
	return Refuse(Lookup, wire.Fatal(wire.CodeCannotConnectNow, "auth_query failed; try again later").
		WithHint("See the connection pooler's log.")).Why(cause)
}

// SQLSTATEs of names that the encoding of the database does not have: no role
// there has such a name.
const (
	notInRepertoire = "22021"
	untranslatable  = "22P05"
)

func isNoName(err error) bool {
	var refused *wire.Error
	return errors.As(err, &refused) && (refused.Code == notInRepertoire || refused.Code == untranslatable)
}
