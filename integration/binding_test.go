package integration

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
)

func TestBothLegsAreBoundToTheirCertificates(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{databases: map[string]settings{"app": {"channel_binding": "require"}}})
		r := p.psql(t, "app", []string{"PGCHANNELBINDING=require"}, "-c", "SELECT 1")
		if r.status != 0 {
			t.Fatalf("psql ended with status %d: %s", r.status, r.stderr)
		}
		if !p.log.tells("server opened", `"bound":true`) {
			t.Error("the server's login was not bound")
		}
		// The certificate is the one of the connection, after a rotation too.
		p.listeners[0].rotate(t, p.ca)
		p.reload()
		if r := p.psql(t, "app", []string{"PGCHANNELBINDING=require"}, "-c", "SELECT 1"); r.status != 0 {
			t.Errorf("after a rotation psql ended with status %d: %s", r.status, r.stderr)
		}
	})
}

func TestPgxBeginsWithTLS(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, pg *postgres) {
		p := start(t, pg, options{})
		conn := p.pgx(t, "app", "sslnegotiation=direct "+execMode)
		if got := value(t, conn, "SELECT 'direct'"); got != "direct" {
			t.Errorf("got %q", got)
		}
	})
}

func TestPgsealBeginsWithTLSTowardsPostgreSQLFrom17On(t *testing.T) {
	t.Parallel()
	direct := options{databases: map[string]settings{"app": {"sslnegotiation": "direct"}}, errors: []string{notOpened}}
	p := start(t, sharedPostgres(t, "18"), direct)
	if got := p.ask(t, "app", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "t" {
		t.Errorf("the server's connection has ssl %q", got)
	}
	p = start(t, sharedPostgres(t, "15"), direct)
	refused(t, p, "app", "", "08006")
}

// upstreamFiles lays out a client pair and a CRL for pgseal's leg to pg.
func upstreamFiles(t *testing.T, pg *postgres, revoked ...*x509.Certificate) settings {
	t.Helper()
	dir := shortDir(t)
	pair, err := pg.ca.Issue(devca.Request{CommonName: "app", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	cert, key, crl := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "crl.pem")
	if err := pair.WriteFiles(cert, key); err != nil {
		t.Fatal(err)
	}
	list, err := pgfake.CRLPEM(pg.ca, time.Now().Add(time.Hour), revoked...)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(crl, list, 0o644); err != nil {
		t.Fatal(err)
	}
	return settings{"sslcert": cert, "sslkey": key, "sslcrl": crl}
}

func TestPostgreSQLIsShownAClientCertificateAndItsOwnMayBeRevoked(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			pg := ownPostgres(t, version)
			pg.asksForCertificates(t)
			p := start(t, pg, options{databases: map[string]settings{"app": upstreamFiles(t, pg)}})
			if got := p.ask(t, "app", "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "/CN=app" {
				t.Errorf("PostgreSQL was shown %q", got)
			}
			shown, err := pg.ca.Issue(serverRequest())
			if err != nil {
				t.Fatal(err)
			}
			if err := pg.WriteServerCert(shown.CertPEM, shown.KeyPEM); err != nil {
				t.Fatal(err)
			}
			if err := pg.Reload(soon(t)); err != nil {
				t.Fatal(err)
			}
			p = start(t, pg, options{databases: map[string]settings{"app": upstreamFiles(t, pg, shown.Cert)}, errors: []string{notOpened}})
			refused(t, p, "app", "", "08006")
			eventually(t, patience, "the log says why", func() bool { return p.log.count(notOpened, "was revoked on") > 0 })
		})
	}
}
