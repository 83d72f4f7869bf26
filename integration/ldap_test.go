package integration

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ldapRecipe returns the rules that docs/authentication.md shows, leading to
// the directory of the test: first with simple bind for the database app, then
// with search and bind for reports.
func ldapRecipe(t *testing.T, s *slapd) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## LDAP\n")
	_, block, _ := strings.Cut(section, "```\n")
	block, _, _ = strings.Cut(block, "```")
	var rules []string
	for line := range strings.Lines(block) {
		port := s.port
		if strings.Contains(line, "ldapscheme=ldaps") {
			port = s.ports
		}
		if !strings.HasPrefix(line, "#") {
			rules = append(rules, strings.NewReplacer("10.0.0.0/8", "127.0.0.1/32", `ldapbindpasswd="..."`, "ldapbindpasswd="+findPassword,
				"ldapserver=ldap.example.org", fmt.Sprintf("ldapserver=localhost ldapport=%d", port)).Replace(strings.TrimSpace(line)))
		}
	}
	if len(rules) != 2 {
		t.Fatalf("the recipe has %d rules: %q", len(rules), rules)
	}
	return rules
}

// startLDAP runs a pgseal whose clients are let in by these rules. Its database
// own has no login of its own: there users_file has the role's.
func startLDAP(t *testing.T, ca string, errs []string, rules ...string) *pgseal {
	t.Helper()
	var quoted []string
	for _, rule := range rules {
		quoted = append(quoted, "'"+rule+"'")
	}
	shared := settings{"user": "app", "password": appPassword}
	return start(t, sharedPostgres(t, debianVersion), options{
		databases: map[string]settings{"app": shared, "reports": shared, "own": {}},
		auth:      settings{"rules": "[" + strings.Join(quoted, ", ") + "]", "ldap_ca_file": ca},
		errors:    errs,
	})
}

// enter logs in with psql and returns what it says, empty where it gets in.
func (p *pgseal) enter(t *testing.T, database, role, password string) string {
	t.Helper()
	r := p.psql(t, database, []string{"PGUSER=" + role, "PGPASSWORD=" + password}, "-c", "SELECT current_user")
	if r.status == 0 && strings.TrimSpace(r.stdout) == "app" {
		return ""
	}
	return r.stderr
}

// failed is what PostgreSQL tells whoever an LDAP server does not let in.
func failed(role string) string {
	return `LDAP authentication failed for user "` + role + `"`
}

func TestTheLDAPRecipeServesPsql(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	rules := append(ldapRecipe(t, s), fmt.Sprintf(`hostssl own all all ldap ldapurl="ldap://localhost:%d/ou=people,dc=example,dc=org?mail?one?(mail=$username@example.org)" ldaptls=1`, s.port))
	rules[2] = strings.Replace(rules[2], "?mail?", "??", 1) + ` ldapbinddn="cn=search,dc=example,dc=org" ldapbindpasswd=` + findPassword
	p := startLDAP(t, s.ca, nil, rules...)
	for _, database := range []string{"app", "reports", "own"} {
		if told := p.enter(t, database, "app", ldapPassword); told != "" {
			t.Errorf("%s: psql says %q", database, told)
		}
		for _, c := range []struct{ role, password string }{
			{"app", wrongPassword}, {"app", appPassword}, {"mario", ldapPassword}, {"*", ldapPassword}, {"app)(uid=*", ldapPassword},
			{"app,ou=people,dc=example,dc=org", ldapPassword}, {"app+sn=App", ldapPassword}, {"APP ", wrongPassword},
		} {
			if told := p.enter(t, database, c.role, c.password); !strings.Contains(told, failed(c.role)) {
				t.Errorf("%s: as %q psql says %q", database, c.role, told)
			}
		}
	}
	if told := p.enter(t, "reports", "otto", ldapPassword); !strings.Contains(told, failed("otto")) {
		t.Errorf("psql says %q", told)
	}
	for _, why := range []string{"Invalid Credentials", "LDAP user does not exist", "more than one entry", "invalid character in user name"} {
		if !p.log.tells("login refused", why, "auth.rules:") {
			t.Errorf("the log does not tell %q", why)
		}
	}
	for _, e := range p.log.all() {
		if strings.Contains(e.line, ldapPassword) || strings.Contains(e.line, findPassword) {
			t.Errorf("the log tells a password: %s", e.line)
		}
	}
}

func TestALDAPServerThatIsNotVerifiedLearnsNoPassword(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	p := startLDAP(t, s.stranger, nil, ldapRecipe(t, s)...)
	for _, database := range []string{"app", "reports"} {
		if told := p.enter(t, database, "app", ldapPassword); !strings.Contains(told, failed("app")) {
			t.Errorf("%s: psql says %q", database, told)
		}
	}
	eventually(t, patience, "the log says why", func() bool {
		return p.log.count("login refused", "LDAP server localhost", "unknown authority") == 2
	})
	if strings.Contains(s.log.String(), " BIND ") {
		t.Errorf("the server was asked:\n%s", s.log)
	}
}

// saying returns SQLSTATE and message of a refused login.
func saying(err error) string {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return fmt.Sprint(err)
	}
	return refused.Severity + " " + refused.Code + " " + refused.Message
}

func TestAClientIsToldOfLDAPWhatPostgreSQLTellsIt(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	server := fmt.Sprintf("ldapserver=127.0.0.1 ldapport=%d", s.port)
	bySearch := server + ` ldapbasedn="dc=example,dc=org" ldapbinddn="cn=search,dc=example,dc=org" ldapbindpasswd=` + findPassword
	byName := server + ` ldapprefix="uid=" ldapsuffix=",ou=people,dc=example,dc=org"`
	pg := ownPostgres(t, debianVersion)
	writeHBA(t, pg, "pg_hba.conf", "hostssl app all 127.0.0.1/32 ldap "+bySearch+"\nhostssl postgres all 127.0.0.1/32 ldap "+byName+"\n")
	if err := pg.Reload(soon(t)); err != nil {
		t.Fatal(err)
	}
	p := startLDAP(t, s.ca, nil, "hostssl app all all ldap "+bySearch, "hostssl reports all all ldap "+byName)
	if n := p.log.count("weak access rule", "in plaintext"); n != 2 {
		t.Errorf("%d warnings of LDAP in plaintext", n)
	}
	compare := func(role, password string) {
		t.Helper()
		for theirs, ours := range map[string]string{"app": "app", "postgres": "reports"} {
			as := fmt.Sprintf(" user='%s' password='%s'", role, password)
			conn, err := pgx.Connect(soon(t), pg.dsn(theirs)+as)
			if err == nil {
				conn.Close(soon(t))
			}
			conn, err2 := p.tryPgx(soon(t), ours, execMode+as)
			if err2 == nil {
				conn.Close(soon(t))
			}
			if they, we := saying(err), saying(err2); they != we {
				t.Errorf("%q in %s: PostgreSQL says %q, we say %q", role, ours, they, we)
			}
		}
	}
	compare("app", ldapPassword)
	compare("app", wrongPassword)
	compare("mario", ldapPassword)
	compare("app)(uid=*", ldapPassword)
	s.stop()
	compare("app", ldapPassword)
	eventually(t, patience, "the log tells that the server is down", func() bool {
		return p.log.count("login refused", "LDAP server 127.0.0.1", "connection refused") == 2
	})
}
