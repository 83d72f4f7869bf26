package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/devca"
)

// stamped are options by which clients with a certificate, and with a password,
// share servers that are told who they are.
func stamped(a *clientAuthority, servers int, more settings) options {
	base := settings{"user": "app", "password": appPassword, "stamp_identity": "true", "pool_size": fmt.Sprint(servers)}
	return options{
		databases: map[string]settings{"app": base.with(more)},
		users:     map[string]string{"amy": appPassword},
		tls:       a.settings("optional"),
		auth:      settings{"rules": "['hostssl all app all cert', 'hostssl all amy all scram-sha-256']"},
	}
}

// dsnOf turns libpq's environment of a client certificate into parts of a DSN.
func dsnOf(env []string) (dsn string) {
	for _, v := range env {
		name, value, _ := strings.Cut(strings.TrimPrefix(v, "PG"), "=")
		dsn += " " + strings.ToLower(name) + "=" + value
	}
	return dsn
}

const (
	applicationName = "SELECT current_setting('application_name')"
	seenByOthers    = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
)

func TestServersAreToldWhoTheirClientIs(t *testing.T) {
	t.Parallel()
	a := newClientAuthority(t)
	_, env := a.client(t, a.root, nil)
	const byCertificate, byPassword = "mine [cert:CN=app]", "[scram-sha-256:amy]"
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		for _, servers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d servers", servers), func(t *testing.T) {
				p := start(t, pg, stamped(a, servers, nil))
				app, amy := p.simple(t, dsnOf(env)+" application_name=mine"), p.pgx(t, "app", "user=amy "+execMode)
				check := func(want string) {
					t.Helper()
					for range 3 {
						for _, sql := range []string{applicationName, seenByOthers} {
							stranger(t, app, sql, want)
							stranger(t, amy, sql, byPassword)
						}
					}
				}
				check(byCertificate)
				for _, sql := range []string{"RESET ALL", "DISCARD ALL", "SET statement_timeout = '7s'", "BEGIN; SET application_name = 'x'; ROLLBACK"} {
					execute(t, app, sql)
					check(byCertificate)
				}
				execute(t, app, "SET application_name = 'other'") // it is a label
				check("other")
				execute(t, app, "RESET application_name")
				check(byCertificate)
			})
		}
	})
}

func TestInSessionModeAndForReplicationServersAreToldToo(t *testing.T) {
	t.Parallel()
	a := newClientAuthority(t)
	_, env := a.client(t, a.root, nil)
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		o := stamped(a, 2, settings{"pool_mode": "session"})
		o.databases["stream"] = o.databases["app"].with(settings{"user": "streamer", "dbname": "app"})
		p := start(t, pg, o)
		for range 2 { // the second finds the server of the first
			if got := strings.TrimSpace(p.psql(t, "app", env, "-c", applicationName).stdout); got != "psql [cert:CN=app]" {
				t.Errorf("the client is %q", got)
			}
			if got := strings.TrimSpace(p.psql(t, "app", []string{"PGUSER=amy", "PGAPPNAME=mine"}, "-c", applicationName).stdout); got != "mine [scram-sha-256:amy]" {
				t.Errorf("the client is %q", got)
			}
		}
		r := p.psql(t, "stream", []string{"PGUSER=amy", "PGAPPNAME=walreceiver"}, "-d", "replication=database dbname=stream", "-c", applicationName)
		if strings.TrimSpace(r.stdout) != "walreceiver [scram-sha-256:amy]" {
			t.Errorf("the replication connection is %q: %s", r.stdout, r.stderr)
		}
	})
}

func TestHostileNamesAreStampedAsPlainText(t *testing.T) {
	t.Parallel()
	a := newClientAuthority(t)
	pg := sharedPostgres(t, "18")
	ident := a.dir + "/pg_ident.conf"
	replace(t, ident, []byte("any /^. app\n"), 0o600)
	o := stamped(a, 1, nil)
	o.auth = settings{"ident_file": ident, "rules": "['hostssl all all all cert map=any']"}
	p := start(t, pg, o)
	for cn, want := range map[string]string{
		`o'neil "x" \ ; DROP TABLE t --`: `psql [cert:CN=o'neil \"x\" \\ \; DROP TABLE t --]`,
		"line\nbreak\ttab":               `psql [cert:CN=line\0Abreak\09tab]`,
		"Münz 😀":                         `psql [cert:CN=M\C3\BCnz \F0\9F\98\80]`,
		strings.Repeat("x", 50):          "ps [cert:CN=" + strings.Repeat("x", 50) + "]",
		strings.Repeat("y", 400):         "[cert:CN=" + strings.Repeat("y", 53) + "]",
	} {
		_, env := a.client(t, a.root, func(r *devca.Request) { r.CommonName = cn })
		r := p.psql(t, "app", env, "-c", applicationName)
		if got := strings.TrimSuffix(r.stdout, "\n"); got != want {
			t.Errorf("%q is stamped\n%q, want\n%q (%s)", cn, got, want, r.stderr)
		}
	}
	_, env := a.client(t, a.root, func(r *devca.Request) { r.CommonName = "app\x00x" })
	if r := p.psql(t, "app", env, "-c", "SELECT 1"); r.status != 2 || !strings.Contains(r.stderr, "certificate authentication failed") {
		t.Errorf("a name with a zero byte: psql ended with status %d: %s", r.status, r.stderr)
	}
}
