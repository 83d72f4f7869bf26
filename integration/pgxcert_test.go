package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

func TestPgxLearnsWhyItsCertificateIsNotTakenHoweverItBegins(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		a := newClientAuthority(t)
		p := start(t, pg, options{tls: a.settings("require")})
		revoked, revokedEnv := a.client(t, a.middle, nil)
		a.revoke(t, revoked)
		p.reload()
		files := func(env []string) string {
			return strings.ToLower(strings.ReplaceAll(env[0], "PGSSLCERT", "sslcert") + " " + strings.ReplaceAll(env[1], "PGSSLKEY", "sslkey"))
		}
		of := func(ca *devca.CA, edit func(*devca.Request)) string {
			_, env := a.client(t, ca, edit)
			return files(env)
		}
		for _, negotiation := range []string{"postgres", "direct"} {
			for _, test := range []struct{ name, certificate, says string }{
				{"good", of(a.middle, nil), ""},
				{"none", "", "connection requires a valid client certificate"},
				{"revoked", files(revokedEnv), "bad certificate"},
				{"expired", of(a.root, func(r *devca.Request) { r.NotBefore, r.Life = time.Now().Add(-2*time.Hour), time.Hour }), "expired certificate"},
				// crypto/tls shows a certificate only to who names its authority.
				{"of a stranger", of(authority(t, "stranger"), nil), "connection requires a valid client certificate"},
			} {
				conn, err := p.tryPgx(soon(t), "app", fmt.Sprintf("%s sslnegotiation=%s channel_binding=require %s", test.certificate, negotiation, execMode))
				if err == nil {
					if got := value(t, conn, "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "true" {
						t.Errorf("the server's connection has ssl %q", got)
					}
					conn.Close(soon(t))
				}
				if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s, sslnegotiation %s: %v, want %q", test.name, negotiation, err, test.says)
				}
			}
		}
	})
}
