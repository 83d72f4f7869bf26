package login

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/guard"
)

const password = "pässword-sekrit"

// directory is what a server knows of roles, and how often it was asked.
type directory struct {
	mu        sync.Mutex
	databases map[string]pool.LookupConfig // that are configured
	passwords map[string]string            // of their auth_user
	rows      map[string][]wire.Row
	fails     error
	asked     map[string]int
}

func (d *directory) LookupConfig(database string) (c pool.LookupConfig, password string, exists bool) {
	c, exists = d.databases[database]
	return c, d.passwords[database], exists
}

func (d *directory) RunLookup(_ context.Context, _ string, _ pool.Login, _ int, _ string, args ...string) ([]wire.Row, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[args[0]]++
	return d.rows[args[0]], d.fails
}

// newDirectory returns a directory that knows carol, and the Logins that ask it as
// looker. users_file has alice.
func newDirectory(t *testing.T, edit ...func(*Settings)) (*directory, *Logins) {
	t.Helper()
	secret, err := auth.NewSecret(password, 64)
	ok(t, err)
	d := &directory{
		databases: map[string]pool.LookupConfig{"app": {}, "sess": {}}, passwords: map[string]string{}, asked: map[string]int{},
		rows: map[string][]wire.Row{},
	}
	for _, role := range []string{"carol", "alice", "kept out"} {
		d.rows[role] = []wire.Row{{{Text: role}, {Text: secret.Encode()}}}
	}
	settings := Settings{Auth: DefaultConfig(), AuthPass: password}
	settings.Auth.AuthUser = "looker"
	settings.Users, err = auth.ParseUsers("users", []byte(`"alice" "`+password+`"`+"\n"+`"kept out" ""`), auth.NewMocker(nil), nil)
	ok(t, err)
	for _, f := range edit {
		f(&settings)
	}
	p := New(zap.NewNop(), d, guard.NewHandshakeLimiter(), guard.NewFailedLoginLimiter())
	p.Configure(settings)
	t.Cleanup(p.Stop)
	return d, p
}

// knows asks for the secret of a role as its login does.
func (p *Logins) knows(t *testing.T, role string) (known bool, err error) {
	_, known, err = p.secrets.of(t.Context(), "app", role)
	return known, err
}

func TestUsersFileComesBeforeAuthQuery(t *testing.T) {
	d, p := newDirectory(t)
	for role, want := range map[string]bool{"alice": true, "kept out": false, "carol": true} {
		if known, err := p.knows(t, role); known != want || err != nil {
			t.Errorf("%s is known: %v, %v; want %v", role, known, err, want)
		}
	}
	if d.asked["alice"]+d.asked["kept out"] != 0 {
		t.Error("roles of users_file were looked up")
	}
}

func TestManyLoginsOfOneRoleCauseOneLookup(t *testing.T) {
	d, p := newDirectory(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if known, err := p.knows(t, "carol"); !known || err != nil {
				t.Errorf("carol is known: %v, %v", known, err)
			}
		})
	}
	all.Wait()
	if n := d.asked["carol"]; n != 1 {
		t.Errorf("carol was looked up %d times", n)
	}
	p.knows(t, "nobody")
	p.knows(t, "nobody")
	if n := d.asked["nobody"]; n != 1 {
		t.Errorf("a role that is unknown was looked up %d times", n)
	}
}

func TestWhatIsKnownServesWhileTheServerIsGoneAndNobodyElseIsToldOfAWrongPassword(t *testing.T) {
	d, p := newDirectory(t, func(s *Settings) { s.Auth.AuthQueryCacheTTL = 0 })
	if known, err := p.knows(t, "carol"); !known || err != nil {
		t.Fatalf("carol is known: %v, %v", known, err)
	}
	p.knows(t, "nobody")
	d.mu.Lock()
	d.fails = wire.Fatal(wire.CodeAdminShutdown, "it is gone")
	d.mu.Unlock()
	if known, err := p.knows(t, "carol"); !known || err != nil {
		t.Errorf("without a server carol is known: %v, %v", known, err)
	}
	for _, role := range []string{"nobody", "newcomer"} {
		_, err := p.knows(t, role)
		if told, refused := err.(*Refusal); !refused || told.Reason != Lookup || told.Told.Code != wire.CodeCannotConnectNow || told.Cause == nil {
			t.Errorf("%s is told %v", role, err)
		}
	}
}

func TestALookupThatALoginCannotWaitForIsNotToldAsAFailure(t *testing.T) {
	d, p := newDirectory(t)
	d.fails = errors.New("it is slow")
	for _, want := range []*Refusal{ErrTimeout, ErrShutdown} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(want)
		if _, _, err := p.secrets.of(ctx, "app", "carol"); err != want {
			t.Errorf("got %v, want %v", err, want)
		}
		if _, err := p.secrets.member(ctx, "app", "carol", "staff"); err != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestADatabasesOwnLookupComesBeforeThatOfAll(t *testing.T) {
	d, p := newDirectory(t, func(s *Settings) { s.Auth.AuthDBName, s.Auth.AuthQuery = "sess", "SELECT all_of($1)" })
	d.databases["app"] = pool.LookupConfig{AuthUser: "own", AuthQuery: "SELECT own($1)", AuthDBName: "other"}
	d.passwords["app"] = "secret"
	for database, want := range map[string]origin{
		"app": {"other", "own", "SELECT own($1)"}, "sess": {"sess", "looker", "SELECT all_of($1)"},
		"not configured": {"sess", "looker", "SELECT all_of($1)"},
	} {
		from, login, found := p.secrets.origin(database)
		if !found || from != want || login.User != want.user {
			t.Errorf("clients of %s: %v, %v, %v; want %v", database, from, login, found, want)
		}
	}
	_, p = newDirectory(t)
	if _, _, found := p.secrets.origin("not configured"); found {
		t.Error("a client chooses where it is looked up")
	}
	_, p = newDirectory(t, func(s *Settings) { s.Auth.AuthUser, s.AuthPass = "alice", "" })
	if _, login, _ := p.secrets.origin("sess"); login.Password != password {
		t.Error("the password of auth_user in users_file is not used")
	}
}

func TestASecretIsKeptNoLongerThanItIsValid(t *testing.T) {
	secret, err := auth.NewSecret("x", 64)
	ok(t, err)
	c := Config{AuthQueryCacheTTL: time.Minute, AuthQueryMaxStale: time.Hour}
	for third, want := range map[string][2]time.Duration{
		"1.5": {1500 * time.Millisecond, 1500 * time.Millisecond}, "90": {time.Minute, 90 * time.Second},
		"1e300": {time.Minute, time.Hour + time.Minute}, "": {time.Minute, time.Hour + time.Minute},
	} {
		row := wire.Row{{Text: "carol"}, {Text: secret.Encode()}, {Text: third, Null: third == ""}}
		a, reason, err := c.parseLookup("carol", []wire.Row{row})
		if err != nil || reason != "" || !a.Value.known || a.Fresh != want[0] || a.Usable != want[1] {
			t.Errorf("valid for %q seconds: %v, %v; want %v (%s, %v)", third, a.Fresh, a.Usable, want, reason, err)
		}
	}
	if _, _, err := c.parseLookup("carol", []wire.Row{{{Text: "carol"}, {Text: "x"}, {Text: "NaN"}}}); err == nil {
		t.Error("NaN is taken for a number of seconds")
	}
}

func TestNamesWithoutASchemaAreSeenInAQuery(t *testing.T) {
	for query, want := range map[string]bool{
		DefaultAuthQuery: true, "": true, memberQuery: false, // up is its own
		"SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1": true,
		"SELECT usename, passwd FROM pg_shadow WHERE usename = $1":            false,
		"SELECT * FROM pgseal.lookup($1)":                                     true,
		"select * from lookup($1)":                                            false,
		`SELECT * FROM "a "" b" . "c"`:                                        true,
		"SELECT * FROM a.b JOIN c ON true":                                    false,
		"SELECT * FROM ONLY pg_shadow":                                        false,
	} {
		if got := IsQualified(query); got != want {
			t.Errorf("%q is qualified: %v", query, got)
		}
	}
}
