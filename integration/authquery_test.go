package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Messages of errors that tests of lookups provoke.
const (
	lookupFailed = "auth_query failed"
	openFailed   = "server connection could not be opened"
)

// lookupRecipe is the heading of the recipe in docs/authentication.md.
const lookupRecipe = "Secrets looked up: auth_query"

// lookup is a server with the function and the role of the recipe in database
// app, and what a pgseal needs to use them.
type lookup struct {
	*postgres
	admin    *pgx.Conn
	password string // file with that of the role
}

func newLookup(t *testing.T, pg *postgres) *lookup {
	t.Helper()
	l := &lookup{postgres: pg, admin: pg.direct(t, "app"), password: filepath.Join(shortDir(t), "lookup.password")}
	secret := rand.Text()
	if err := os.WriteFile(l.password, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, l.admin, strings.ReplaceAll(block(t, recipe(t, lookupRecipe)["sql"], "CREATE FUNCTION pgseal.lookup"), "...", secret))
	l.atEnd(t, "DROP SCHEMA pgseal CASCADE", "DROP ROLE pgseal_lookup")
	return l
}

// atEnd runs SQL after the test.
func (l *lookup) atEnd(t *testing.T, list ...string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, sql := range list {
			if _, err := l.admin.Exec(ctx, sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
}

// role creates a role, which is gone after the test.
func (l *lookup) role(t *testing.T, name, options string) {
	t.Helper()
	execute(t, l.admin, "CREATE ROLE "+name+" "+options)
	l.atEnd(t, "DROP ROLE "+name)
}

// auth is the recipe's block of the configuration.
func (l *lookup) auth(t *testing.T, more settings) settings {
	t.Helper()
	s := settings{}
	for line := range strings.Lines(block(t, recipe(t, lookupRecipe)["yaml"], "auth_query: SELECT")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			s[key] = value
		}
	}
	s["auth_password_file"] = l.password
	return s.with(more)
}

// asks runs a statement as a role with a password.
func (p *pgseal) asks(t *testing.T, role, password string) (answer, told string) {
	t.Helper()
	r := p.psql(t, "app", []string{"PGUSER=" + role, "PGPASSWORD=" + password}, "-c", "SELECT current_user")
	return strings.TrimSpace(r.stdout), r.stderr
}

func TestRolesLogInByAuthQueryAsPostgreSQLWouldHaveIt(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		l := newLookup(t, pg)
		secret := rand.Text()
		with := " PASSWORD '" + secret + "'"
		for name, options := range map[string]string{
			"looked": "LOGIN" + with, "ends": "LOGIN" + with + " VALID UNTIL 'infinity'", "later": "LOGIN" + with + " VALID UNTIL '2100-01-01'",
			"over": "LOGIN" + with + " VALID UNTIL '2020-01-01'", "shut": "NOLOGIN" + with, "empty": "LOGIN", `"Looked"`: "LOGIN",
		} {
			l.role(t, name, options)
		}
		for name, own := range map[string]settings{"the recipe": {}, "the default query": {"auth_user": "postgres", "auth_query": `""`}} {
			t.Run(name, func(t *testing.T) {
				if name == "the default query" {
					own["auth_password_file"] = filepath.Join(shortDir(t), "password")
					replace(t, own["auth_password_file"], []byte(superPassword), 0o600)
				}
				p := start(t, pg, options{auth: l.auth(t, own)})
				for _, role := range []string{"looked", "ends", "later"} {
					if answer, told := p.asks(t, role, secret); answer != role {
						t.Errorf("%s is told %q", role, told)
					}
				}
				for _, role := range []string{"over", "shut", "empty", "Looked", "nobody", "looked' OR true --", "postgres_"} {
					answer, told := p.asks(t, role, secret)
					if answer != "" || !strings.Contains(told, `password authentication failed for user "`+role+`"`) {
						t.Errorf("%s gets %q and is told %q", role, answer, told)
					}
				}
				if answer, told := p.asks(t, "looked", wrongPassword); answer != "" || !strings.Contains(told, "password authentication failed") {
					t.Errorf("with a wrong password: %q, %q", answer, told)
				}
			})
		}
	})
}

func TestAPasswordThatChangedOrExpiredWorksOrFailsSoon(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		l := newLookup(t, pg)
		first, second := rand.Text(), rand.Text()
		l.role(t, "changing", "LOGIN PASSWORD '"+first+"'")
		p := start(t, pg, options{auth: l.auth(t, settings{"auth_query_cache_ttl": "1h"}), errors: []string{openFailed}})
		if answer, told := p.asks(t, "changing", first); answer != "changing" {
			t.Fatalf("told %q", told)
		}
		execute(t, l.admin, "ALTER ROLE changing PASSWORD '"+second+"'")
		eventually(t, patience, "the new password logs in", func() bool {
			answer, _ := p.asks(t, "changing", second)
			return answer == "changing"
		})
		if answer, _ := p.asks(t, "changing", first); answer != "" {
			t.Error("the old password logs in")
		}
		execute(t, l.admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'changing'")
		eventually(t, patience, "a new server is logged in with the new keys", func() bool {
			answer, _ := p.asks(t, "changing", second)
			return answer == "changing"
		})
		// What is looked up is not kept beyond VALID UNTIL, whatever its life.
		l.role(t, "fading", "LOGIN PASSWORD '"+first+"' VALID UNTIL '"+time.Now().Add(8*time.Second).UTC().Format(time.RFC3339)+"'")
		if answer, told := p.asks(t, "fading", first); answer != "fading" {
			t.Fatalf("told %q", told)
		}
		eventually(t, patience, "the role expires", func() bool {
			_, told := p.asks(t, "fading", first)
			return strings.Contains(told, "password authentication failed")
		})
	})
}

// A search_path of a client's must not reach lookups (CVE-2025-12819), nor may
// one client's session share a server with them.
func TestNoSettingOfAClientReachesALookup(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		l := newLookup(t, pg)
		secret := rand.Text()
		l.role(t, "victim", "LOGIN PASSWORD '"+secret+"'")
		execute(t, l.admin, `CREATE SCHEMA evil;
			CREATE TABLE evil.called (by text);
			CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'INSERT INTO evil.called VALUES (session_user); SELECT pg_catalog.now()';
			CREATE FUNCTION evil.eq(name, text) RETURNS boolean LANGUAGE sql AS 'INSERT INTO evil.called VALUES (session_user); SELECT true';
			CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.eq);
			CREATE VIEW evil.pg_authid AS SELECT 'victim'::name AS rolname, 'x' AS rolpassword, true AS rolcanlogin, NULL::timestamptz AS rolvaliduntil;
			GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA evil TO PUBLIC`)
		// Nor would one that the role of the lookups has itself.
		execute(t, l.admin, "ALTER ROLE postgres IN DATABASE app SET search_path = evil, pg_catalog")
		l.atEnd(t, "ALTER ROLE postgres IN DATABASE app RESET search_path", "DROP SCHEMA evil CASCADE")
		file := filepath.Join(shortDir(t), "password")
		replace(t, file, []byte(superPassword), 0o600)
		p := start(t, pg, options{auth: settings{"auth_user": "postgres", "auth_password_file": file, "auth_query_cache_ttl": "0s",
			"rules": "['hostssl all +victim all scram-sha-256']"}})
		for _, setting := range []string{"search_path=evil,pg_catalog", "statement_timeout=100"} {
			conn, err := p.tryPgx(soon(t), "app", "user=victim password="+secret+" options='-c "+setting+"'")
			if err != nil {
				t.Fatal(err)
			}
			conn.Close(soon(t))
			conn = p.pgx(t, "app", "user=victim password="+secret+" "+simpleMode)
			execute(t, conn, "SET "+strings.Replace(setting, "=", " = ", 1))
		}
		if answer, told := p.asks(t, "victim", secret); answer != "victim" {
			t.Errorf("told %q", told)
		}
		if got := value(t, l.admin, "SELECT coalesce(string_agg(by, ','), 'nobody') FROM evil.called WHERE by <> 'victim'"); got != "nobody" {
			t.Errorf("a hostile function was called by %s", got)
		}
		if got := value(t, l.admin, "SELECT string_agg(DISTINCT usename, ',') FROM pg_stat_activity WHERE application_name = 'pgseal' AND query LIKE '%rolname%'"); got != "postgres" {
			t.Errorf("lookups run as %s", got)
		}
	})
}

func TestRulesForGroupsDecideAsPostgreSQLWould(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		l := newLookup(t, pg)
		secret := rand.Text()
		for _, role := range []string{"g_staff", "g_team", "g_super"} {
			l.role(t, role, "")
		}
		for name, options := range map[string]string{
			"m_direct": "IN ROLE g_staff", "m_indirect": "NOINHERIT IN ROLE g_team", "m_none": "", "m_super": "SUPERUSER",
		} {
			l.role(t, name, "LOGIN PASSWORD '"+secret+"' "+options)
		}
		execute(t, l.admin, "GRANT g_staff TO g_team")
		file := filepath.Join(shortDir(t), "password")
		replace(t, file, []byte(superPassword), 0o600)
		p := start(t, pg, options{auth: settings{"auth_user": "postgres", "auth_password_file": file,
			"rules": "['hostssl app +g_staff all scram-sha-256']"}})
		for role, want := range map[string]bool{"m_direct": true, "m_indirect": true, "m_none": false, "m_super": false, "nobody": false, "g_staff": false} {
			answer, told := p.asks(t, role, secret)
			if in := answer == role; in != want {
				t.Errorf("%s comes in: %v (%s)", role, in, told)
			}
			if !want && role != "g_staff" && !strings.Contains(told, "no pg_hba.conf entry") {
				t.Errorf("%s is told %q", role, told)
			}
		}
		execute(t, l.admin, "GRANT g_staff TO m_none")
		eventually(t, patience, "a new member comes in", func() bool {
			answer, _ := p.asks(t, "m_none", secret)
			return answer == "m_none"
		})
	})
}

func TestAServerThatIsGoneIsNoWrongPassword(t *testing.T) {
	t.Parallel()
	pg := ownPostgres(t, versions[len(versions)-1])
	l := newLookup(t, pg)
	secret := rand.Text()
	execute(t, l.admin, "CREATE ROLE seen LOGIN PASSWORD '"+secret+"'; CREATE ROLE unseen LOGIN PASSWORD '"+secret+"'")
	l.atEnd(t, "DROP ROLE seen, unseen")
	p := start(t, pg, options{auth: l.auth(t, settings{"auth_query_cache_ttl": "1s"}), errors: []string{lookupFailed, openFailed}})
	if answer, told := p.asks(t, "seen", secret); answer != "seen" {
		t.Fatalf("told %q", told)
	}
	execute(t, l.admin, "ALTER ROLE pgseal_lookup NOLOGIN")
	execute(t, l.admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pgseal_lookup'")
	_, err := p.tryPgx(soon(t), "app", "user=unseen password="+secret)
	wantState(t, err, "57P03")
	if strings.Contains(err.Error(), "pgseal_lookup") {
		t.Errorf("the client is told %v", err)
	}
	eventually(t, patience, "the answer is not fresh any more", func() bool {
		before := p.log.count(lookupFailed)
		if answer, told := p.asks(t, "seen", secret); answer != "seen" {
			t.Fatalf("what is known does not serve: %q", told)
		}
		return p.log.count(lookupFailed) > before
	})
	if answer, told := p.asks(t, "seen", wrongPassword); answer != "" || !strings.Contains(told, "password authentication failed") {
		t.Errorf("with a wrong password: %q, %q", answer, told)
	}
	execute(t, l.admin, "ALTER ROLE pgseal_lookup LOGIN")
	eventually(t, patience, "lookups work again", func() bool {
		answer, _ := p.asks(t, "unseen", secret)
		return answer == "unseen"
	})
}

// A password that changed fails everybody who waits for a server after one
// attempt to log in: more of them would look like an attack, and may lock the
// role out.
func TestQueuedClientsFailTogetherAfterOneAttemptWhenThePasswordChanged(t *testing.T) {
	t.Parallel()
	const many = 20
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		l := newLookup(t, pg)
		first, second := rand.Text(), rand.Text()
		l.role(t, "queued", "LOGIN PASSWORD '"+first+"'")
		p := start(t, pg, options{auth: l.auth(t, nil), errors: []string{openFailed}})
		var clients []*pgx.Conn
		for range many {
			clients = append(clients, p.pgx(t, "app", "user=queued password="+first+" "+simpleMode))
		}
		failures := func() int { return strings.Count(pg.log.String(), `password authentication failed for user "queued"`) }
		before := failures()
		execute(t, l.admin, "ALTER ROLE queued PASSWORD '"+second+"'")
		execute(t, l.admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'queued'")
		eventually(t, patience, "no server is left", func() bool {
			return value(t, l.admin, "SELECT count(*)::text FROM pg_stat_activity WHERE usename = 'queued'") == "0"
		})
		began := time.Now()
		states := make(chan string, many)
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				_, err := c.Exec(soon(t), "SELECT 1")
				states <- sqlState(err)
			})
		}
		all.Wait()
		close(states)
		for state := range states {
			if state != "28P01" {
				t.Errorf("a client got %s", state)
			}
		}
		if took := time.Since(began); took > patience/2 {
			t.Errorf("it took %v", took)
		}
		eventually(t, patience, "the server tells of the attempt", func() bool { return failures() > before })
		if n := failures() - before; n != 1 {
			t.Errorf("%d attempts to log in for %d clients", n, many)
		}
		eventually(t, patience, "the new password logs in", func() bool {
			answer, _ := p.asks(t, "queued", second)
			return answer == "queued"
		})
	})
}

func TestCheckTriesAuthQuery(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		l := newLookup(t, pg)
		secret, err := os.ReadFile(l.password)
		if err != nil {
			t.Fatal(err)
		}
		ids := func(password, lookup string) map[string]string {
			return checkUp(t, fmt.Sprintf("host: localhost, port: %d, dbname: app, sslrootcert: DIR/root.crt, auth_password_file: DIR/password, %s", pg.Port(), lookup),
				map[string]string{"password": password, "root.crt": string(pg.ca.CertPEM())}).ids
		}
		const query = "auth_query: 'SELECT * FROM pgseal.lookup($1)'"
		for name, test := range map[string]struct {
			password, lookup string
			want             []string
		}{
			"the recipe":       {string(secret), "auth_user: pgseal_lookup, " + query, nil},
			"a wrong password": {wrongPassword, "auth_user: pgseal_lookup, " + query, []string{"server-auth-query"}},
			"no privilege":     {string(secret), "auth_user: pgseal_lookup", []string{"server-auth-query"}},
			"no such function": {string(secret), "auth_user: pgseal_lookup, auth_query: 'SELECT * FROM nowhere($1)'", []string{"auth-query-unqualified", "server-auth-query"}},
			"a superuser":      {superPassword, "auth_user: postgres", []string{"server-auth-user-superuser"}},
		} {
			found := ids(test.password, test.lookup)
			for _, id := range []string{"auth-query-unqualified", "server-auth-query", "server-auth-user-superuser"} {
				if (found[id] != "") != slices.Contains(test.want, id) {
					t.Errorf("%s: %s says %q", name, id, found[id])
				}
			}
		}
	})
}
