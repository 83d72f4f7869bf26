package integration

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/devca"
)

func TestOtherNamesOfACertificateLogIn(t *testing.T) {
	t.Parallel()
	a := newClientAuthority(t)
	named := func(edit func(*devca.Request)) (devca.Pair, []string) {
		return a.client(t, a.middle, func(r *devca.Request) {
			r.CommonName = "nobody"
			edit(r)
		})
	}
	_, dns := named(func(r *devca.Request) { r.Hosts = []string{"old.corp.example", "app.corp.example"} })
	_, star := named(func(r *devca.Request) { r.Hosts = []string{"*.corp.example"} })
	_, mail := named(func(r *devca.Request) { r.EmailAddresses = []string{"app@corp.example"} })
	_, otherMail := named(func(r *devca.Request) { r.EmailAddresses = []string{"app@corp.example.evil.example"} })
	_, uri := named(func(r *devca.Request) { r.URIs = []string{"spiffe://corp.example/ns/prod/sa/app"} })
	_, otherURI := named(func(r *devca.Request) { r.URIs = []string{"spiffe://evil.example/ns/prod/sa/app"} })
	pair, key := named(func(*devca.Request) {})
	_, otherKey := named(func(*devca.Request) {})
	hash := fmt.Sprintf("%x", sha256.Sum256(pair.Cert.RawSubjectPublicKeyInfo))
	ident := filepath.Join(a.dir, "pg_ident.conf")
	replace(t, ident, []byte(strings.Join([]string{
		"dns   app.corp.example                                  app",
		`mail  /^(.*)@corp\.example$                             \1`,
		`uri   /^spiffe://corp\.example/ns/prod/sa/([a-z]+)$     \1`,
		"key   " + hash + "                                      app", ""}, "\n")), 0o600)
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		login := settings{"user": "app", "password": appPassword, "stamp_identity": "true"}
		p := start(t, pg, options{
			tls:       a.settings("optional"),
			databases: map[string]settings{"dns": login, "mail": login, "uri": login, "key": login},
			auth: settings{"ident_file": ident, "rules": "['hostssl dns all all cert clientname=DNS map=dns', 'hostssl mail all all cert clientname=EMAIL map=mail', " +
				"'hostssl uri all all cert clientname=URI map=uri', 'hostssl key all all cert clientname=SHA256 map=key']"},
		})
		for _, test := range []struct {
			database string
			env      []string
			who      string // empty: psql is refused
		}{
			{"dns", dns, "psql [cert:app.corp.example]"}, {"dns", star, ""}, {"dns", uri, ""}, {"dns", key, ""},
			{"mail", mail, "psql [cert:app@corp.example]"}, {"mail", otherMail, ""}, {"mail", dns, ""},
			{"uri", uri, "psql [cert:spiffe://corp.example/ns/prod/sa/app]"}, {"uri", otherURI, ""}, {"uri", mail, ""},
			{"key", key, "[cert:" + hash[:56] + "]"}, {"key", otherKey, ""}, {"key", uri, ""},
			{"key", []string{"PGSSLCERT=/nonexistent"}, ""},
		} {
			r := p.psql(t, test.database, test.env, "-c", "SELECT current_setting('application_name')")
			switch got := strings.TrimSpace(r.stdout); {
			case test.who != "" && got != test.who:
				t.Errorf("%s: the client is %q, want %q (%s)", test.database, got, test.who, r.stderr)
			case test.who == "" && (r.status != 2 || !strings.Contains(r.stderr, "certificate")):
				t.Errorf("%s: psql ended with status %d: %s%s", test.database, r.status, r.stdout, r.stderr)
			}
			if r := p.psql(t, test.database, append(test.env, "PGUSER=postgres"), "-c", "SELECT 1"); r.status != 2 {
				t.Errorf("%s: the certificate logs in as postgres", test.database)
			}
		}
	})
}
