package integration

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

func TestTheServersCertificateAndItsAuthorityAreReplacedUnderLoad(t *testing.T) {
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := ownPostgres(t, version)
			p := start(t, pg, options{})
			p.fill(t, "app", 1)
			observer := pg.direct(t, "app")
			running := startLoad(t, func() *exec.Cmd {
				return p.command(t, "pgbench", "app", nil, "-n", "-S", "-c", "8", "-T", "1")
			})
			next, err := devca.New("next authority of PostgreSQL "+version, 24*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			p.trust(t, 1, append(pg.ca.CertPEM(), next.CertPEM()...))

			pair := issue(t, next)
			if err := pg.WriteServerCert(pair.CertPEM, pair.KeyPEM); err != nil {
				t.Fatal(err)
			}
			if err := pg.Reload(soon(t)); err != nil {
				t.Fatal(err)
			}
			// Connections that began until now may have been made under the old
			// certificate, and all of them under the old trust.
			swapped := value(t, observer, "SELECT clock_timestamp()::text")
			p.trust(t, 2, next.CertPEM())
			eventually(t, patience, "all servers are new ones", func() bool {
				return backends(t, observer, fmt.Sprintf("backend_start < '%s'", swapped)) == 0
			})
			running.stop(t)
			if got := p.ask(t, "app", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "t" {
				t.Errorf("the server's connection has ssl %q", got)
			}
		})
	}
}

// trust replaces the file of the authorities that pgseal verifies PostgreSQL
// by, and waits until it says so for the nth time.
func (p *pgseal) trust(t *testing.T, nth int, pem []byte) {
	t.Helper()
	replace(t, p.pg.root, pem, 0o644)
	eventually(t, patience, "the new trust is in force", func() bool {
		return p.log.count("certificates reloaded", `"database app"`) == nth
	})
}
