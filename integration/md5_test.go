package integration

import (
	"fmt"
	"strings"
	"testing"
)

// weakPostgres starts a cluster that asks the role old by md5, whose secret is
// returned, and the role clear for its password.
func weakPostgres(t *testing.T, version string) (pg *postgres, secret string) {
	t.Helper()
	pg = ownPostgres(t, version)
	admin := pg.direct(t, "app")
	execute(t, admin, "CREATE ROLE clear LOGIN PASSWORD '"+appPassword+"'")
	execute(t, admin, "CREATE ROLE old LOGIN")
	execute(t, admin, "SET password_encryption = md5")
	secret = storedSecret(t, admin, "old", appPassword)
	writeHBA(t, pg, "pg_hba.conf", "hostssl all old all md5\nhostssl all clear all password\nhostssl all all all scram-sha-256\n")
	if err := pg.Reload(soon(t)); err != nil {
		t.Fatal(err)
	}
	return pg, secret
}

func TestAnMD5SecretLogsInOnBothLegsWhereThatIsWrittenOut(t *testing.T) {
	t.Parallel()
	const opened = "server connection could not be opened"
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg, secret := weakPostgres(t, version)
			p := start(t, pg, options{
				users: map[string]string{"old": secret},
				databases: map[string]settings{
					"app": {"require_auth": "'scram-sha-256,md5'"}, "safe": {}, "bound": {"require_auth": "md5", "channel_binding": "require"}},
				auth:   settings{"rules": "['hostssl all old all md5', 'hostssl all all all scram-sha-256']"},
				errors: []string{opened},
			})
			r := p.psql(t, "app", []string{"PGUSER=old"}, "-c", "SELECT current_user")
			if strings.TrimSpace(r.stdout) != "old" {
				t.Errorf("psql ended with status %d: %s", r.status, r.stderr)
			}
			if got := p.ask(t, "app", "SELECT current_user"); got != "app" { // by SCRAM, on both legs
				t.Errorf("app is %q", got)
			}
			for _, password := range []string{wrongPassword, secret, ""} {
				r = p.psql(t, "app", []string{"PGUSER=old", "PGPASSWORD=" + password, "PGPASSFILE=/nonexistent"}, "-w", "-c", "SELECT 1")
				if r.status != 2 {
					t.Errorf("with another password psql ended with status %d: %s", r.status, r.stderr)
				}
			}
			for database, says := range map[string]string{
				"safe":  `authentication method requirement \"scram-sha-256,none\" failed: server requested MD5 authentication`,
				"bound": "channel binding required but not supported by server's authentication request: server requested MD5 authentication",
			} {
				r = p.psql(t, database, []string{"PGUSER=old"}, "-c", "SELECT 1")
				if r.status != 2 || strings.Contains(r.stderr, "md5") {
					t.Errorf("%s: psql ended with status %d: %s", database, r.status, r.stderr)
				}
				if !p.log.tellsOnce(opened, says) {
					t.Errorf("%s: the log does not say that the server %s", database, says)
				}
			}
			if p.log.count("weak access rule", "md5") != 1 || p.log.count("weak login", "require_auth allows md5") != 2 {
				t.Error("nobody was warned")
			}
		})
	}
}

func TestAnMD5SecretIsNoUseUnderARuleOfSCRAM(t *testing.T) {
	t.Parallel()
	pg, secret := weakPostgres(t, "18")
	p := start(t, pg, options{users: map[string]string{"old": secret}, databases: map[string]settings{"app": {"require_auth": "md5"}}})
	told := func(role string) string {
		r := p.psql(t, "app", []string{"PGUSER=" + role}, "-c", "SELECT 1")
		return strings.ReplaceAll(r.stderr, role, "ROLE")
	}
	if known, unknown := told("old"), told("new"); known != unknown || !strings.Contains(known, `password authentication failed for user "ROLE"`) {
		t.Errorf("old is told\n%s, an unknown role\n%s", known, unknown)
	}
	if !p.log.tellsOnce("login refused", `"user":"old"`, "role does not have a valid SCRAM secret") {
		t.Error("the log does not say why")
	}
}

func TestAPasswordIsToldToAVerifiedServerThatAsksForItWhereThatIsWrittenOut(t *testing.T) {
	t.Parallel()
	const opened = "server connection could not be opened"
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg, _ := weakPostgres(t, version)
			login := settings{"user": "clear", "password": appPassword}
			p := start(t, pg, options{
				databases: map[string]settings{"app": login.with(settings{"require_auth": "password"}), "safe": login, "all": login.with(settings{"require_auth": "'!none'"})},
				errors:    []string{opened},
			})
			for _, database := range []string{"app", "all"} {
				if got := p.ask(t, database, "SELECT current_user"); got != "clear" {
					t.Errorf("%s: the server sees %q", database, got)
				}
			}
			if r := p.psql(t, "safe", nil, "-c", "SELECT 1"); r.status != 2 {
				t.Errorf("psql ended with status %d", r.status)
			}
			if !p.log.tellsOnce(opened, `authentication method requirement \"scram-sha-256,none\" failed: server requested a cleartext password`) {
				t.Error("the log does not say what the server asked for")
			}
			if p.log.count("weak login", "require_auth allows password") != 2 {
				t.Error("nobody was warned")
			}
		})
	}
}

func TestTheSettingsThatWouldTellAPasswordToStrangersAreRefused(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, "18")
	p := start(t, pg, options{errors: []string{configRefused}})
	for database, says := range map[string]string{
		"{host: localhost, sslmode: require, require_auth: password}":                      "password is sent in cleartext",
		"{host: localhost, sslmode: verify-full, sslrootcert: system, require_auth: '!x'}": "invalid value",
		"{host: localhost, user: app, set_role: true}":                                     "no longer supported",
		"{host: localhost, stamp_identity: audit.who}":                                     "it no longer names a parameter",
	} {
		p.writeFile(p.configFile(), fmt.Sprintf("listen: [{address: 'unix:%s/x'}]\ndatabases:\n  app: %s\nauth: {users_file: %s}\n", p.dir, database, p.usersFile()))
		p.reload()
		if p.log.count(configRefused, says) != 1 {
			t.Errorf("%s: the log does not say %q", database, says)
		}
	}
}
