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
	// It is as long as that of an answer that proved wrong, so that who guesses
	// sees the same names asked for again at the same pace.
	unknownFresh = answers.DoubtAfter
)

// secrets tells what is known of roles: users_file has it, or else auth_query.
type secrets struct {
	logins  *Logins
	servers Servers
	ctx     context.Context // ends with the logins
	stop    context.CancelFunc

	credentials *answers.Book[secretQuestion, lookedUp]
	members     *answers.Book[memberQuestion, bool]
}

// origin is where a role's secret is looked up, and as whom.
type origin struct{ database, user, query string }

type secretQuestion struct {
	origin origin
	role   string
}

type memberQuestion struct {
	origin      origin
	role, group string
}

// lookedUp is what a lookup brought: known is false for a role that may not log in
// by a password.
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

// of returns what is known of a role of a database's clients, and with false the
// mock secret of one that can't log in by a password. The error is a Refusal:
// nobody can tell at present. It may block, and ends with ctx, which is that of the
// login. Where nothing is looked up its steps are the same for all roles, so that
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

// doubt says that a client could not log in with what is known of its role: a
// secret that changed is looked up again.
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
// false where they are not.
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
		var whyNot string
		if a, whyNot, err = s.logins.settings.Load().Auth.judge(role, rows); whyNot != "" {
			s.logins.log.Warn("auth_query gave no secret to log in with", zap.String("user", role),
				zap.String("database", from.database), zap.String("reason", whyNot))
		}
	}
	if err != nil {
		s.failed(from, err)
	}
	return a, err
}

// judge reads what auth_query returned of a role. Whatever is not one row that
// names this very role and holds a secret that can be used is no secret;
// whyNot tells the log of what should not be. An error says that the query is
// not of the right form.
func (c Config) judge(role string, rows []wire.Row) (a answers.Answer[lookedUp], whyNot string, err error) {
	a.Fresh = min(unknownFresh, c.AuthQueryCacheTTL)
	switch {
	case len(rows) == 0:
		return a, "", nil
	case len(rows[0]) < 2:
		return a, "", fmt.Errorf("auth_query returned %d columns, and it takes the role and its secret", len(rows[0]))
	case len(rows) > 1:
		return a, "it returned more than one row", nil
	case rows[0][0].Null || rows[0][0].Text != role:
		return a, "it returned the row of another role", nil
	case rows[0][1].Null:
		return a, "the role has no password, or one that expired", nil
	}
	valid, err := validity(rows[0])
	if err != nil {
		return a, "", err
	}
	secret, err := auth.ParseSecret(rows[0][1].Text)
	switch {
	case err != nil:
		return a, "it is not a usable SCRAM-SHA-256 secret", nil
	case valid <= 0:
		return a, "the role's password expired", nil
	}
	a.Value = lookedUp{auth.Credential{Secret: secret}, true}
	a.Fresh, a.Usable = min(c.AuthQueryCacheTTL, valid), min(c.AuthQueryCacheTTL+c.AuthQueryMaxStale, valid)
	return a, "", nil
}

// forever is longer than any answer is remembered.
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
		return 0, errors.New("the third column of auth_query is no number of seconds")
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
	s.logins.log.Error("roles could not be looked up", zap.String("database", from.database),
		zap.String("user", from.user), zap.NamedError("error", err))
}

// noLookup refuses a client of whom nobody can say whether it may log in: it is
// told to try again, not that its password is wrong. ctx is that of its wait.
func noLookup(ctx context.Context, cause error) *Refusal {
	if over, ends := context.Cause(ctx).(*Refusal); ends {
		return over
	}
	return Refuse(Lookup, wire.Fatal(wire.CodeCannotConnectNow, "the connection pooler cannot look up roles at present").
		WithHint("The pooler's log says why.")).Why(cause)
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
