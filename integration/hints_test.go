package integration

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
)

func TestTheLogSaysWhatToDoAboutAClientThatDoesNotTrustTheCertificate(t *testing.T) {
	t.Parallel()
	pg := sharedPostgres(t, debianVersion)
	p := start(t, pg, options{})
	r := p.psql(t, "app", []string{"PGSSLROOTCERT=" + pg.root}, "-c", "SELECT 1")
	if !strings.Contains(r.stderr, "certificate verify failed") {
		t.Fatalf("psql says %q", r.stderr)
	}
	eventually(t, patience, "the log says what to do", func() bool {
		return p.log.count("TLS handshake failed", "the client rejected the server certificate", "sslrootcert") == 1
	})
}

func TestTheLogSaysThatASecretIsNotTheServers(t *testing.T) {
	t.Parallel()
	secret, err := auth.NewSecret(appPassword, 4096) // its salt is not the server's
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ password, users, hint string }{
		"a secret":         {"", secret.Encode(), "copy rolpassword from the server's pg_authid"},
		"a fixed password": {wrongPassword, appPassword, "password_file may differ"},
	} {
		t.Run(name, func(t *testing.T) {
			database := settings{}
			if c.password != "" {
				database = settings{"user": "app", "password": c.password}
			}
			p := start(t, sharedPostgres(t, debianVersion), options{
				databases: map[string]settings{"app": database}, users: map[string]string{"app": c.users}, errors: []string{notOpened}})
			r := p.psql(t, "app", nil, "-c", "SELECT 1")
			if !strings.Contains(r.stderr, `password authentication failed for user "app"`) {
				t.Errorf("psql says %q", r.stderr)
			}
			if !p.log.tellsOnce(notOpened, `"database":"app"`, `"user":"app"`, c.hint) {
				t.Errorf("the log does not say what to do:\n%s", p.log.tail())
			}
		})
	}
}
