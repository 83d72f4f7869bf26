package integration

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// onOwnPostgres runs a test with a cluster of its own of every version.
func onOwnPostgres(t *testing.T, f func(t *testing.T, pg *postgres)) {
	for _, version := range versions {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			t.Parallel()
			f(t, ownPostgres(t, version))
		})
	}
}

// shows has the server show another certificate.
func (pg *postgres) shows(t *testing.T, pair devca.Pair) {
	t.Helper()
	if err := pg.WriteServerCert(pair.CertPEM, pair.KeyPEM); err != nil {
		t.Fatal(err)
	}
	if err := pg.Reload(soon(t)); err != nil {
		t.Fatal(err)
	}
}

// loginsSeen is how often the server was asked to let somebody in.
func (pg *postgres) loginsSeen() int {
	return strings.Count(pg.log.String(), "connection authorized: user=app ")
}

func TestARealServerThatCannotBeTrustedIsSentNoLoginUntilItIsMended(t *testing.T) {
	t.Parallel()
	onOwnPostgres(t, func(t *testing.T, pg *postgres) {
		issued := func(ca *devca.CA, edit func(*devca.Request)) devca.Pair {
			request := serverRequest()
			edit(&request)
			pair, err := ca.Issue(request)
			if err != nil {
				t.Fatal(err)
			}
			return pair
		}
		asIs := func(*devca.Request) {}
		good, revoked := issued(pg.ca, asIs), issued(pg.ca, asIs)
		dir := shortDir(t)
		list := filepath.Join(dir, "servers.crl")
		replace(t, list, crl(t, pg.ca, time.Hour, revoked.Cert), 0o644)
		p := start(t, pg, options{
			databases: map[string]settings{"app": {"sslcrl": list, "server_lifetime": "1ms"}, "held": {"pool_mode": "session"}},
			pool:      settings{"server_login_retry": "0s"},
			errors:    []string{notOpened},
		})
		held := p.pgx(t, "held", execMode)
		execute(t, held, "SELECT 1")
		super := pg.direct(t, "postgres")
		switchTLS := func(to string) {
			execute(t, super, "ALTER SYSTEM SET ssl = "+to)
			if err := pg.Reload(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		for _, fault := range []struct {
			name string
			put  func()
			says string
		}{
			{"the wrong name", func() {
				pg.shows(t, issued(pg.ca, func(r *devca.Request) { r.Hosts = []string{"db.example.org"} }))
			}, "certificate is valid for db.example.org, not localhost"},
			{"another authority", func() { pg.shows(t, issued(authority(t, "stranger"), asIs)) }, "unknown authority"},
			{"expired", func() {
				pg.shows(t, issued(pg.ca, func(r *devca.Request) { r.NotBefore, r.Life = time.Now().Add(-2*time.Hour), time.Hour }))
			}, "certificate has expired"},
			{"not meant for servers", func() { pg.shows(t, issued(pg.ca, func(r *devca.Request) { r.Client = true })) }, "incompatible key usage"},
			{"revoked", func() { pg.shows(t, revoked) }, "was revoked on"},
			{"no TLS", func() { switchTLS("off") }, "server does not support SSL, but SSL was required (sslmode verify-full)"},
		} {
			fault.put()
			logins := pg.loginsSeen()
			if err := loginAndQuery(soon(t), p); sqlState(err) != "08006" {
				t.Errorf("%s: a client is told %v", fault.name, err)
			}
			if !poll(patience, func() bool { return p.log.count(notOpened, fault.says) > 0 }) {
				t.Errorf("%s: the log does not say %q", fault.name, fault.says)
			}
			if n := pg.loginsSeen(); n != logins {
				t.Errorf("%s: the server was sent %d logins", fault.name, n-logins)
			}
			execute(t, held, "SELECT 1")
			if fault.name == "no TLS" {
				switchTLS("on")
			}
			pg.shows(t, good)
			if got := p.ask(t, "app", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "t" {
				t.Errorf("%s, mended: got %q", fault.name, got)
			}
		}
	})
}

func TestServersAreKeptAndNoneIsOpenedWhenTheCRLOfADatabaseExpires(t *testing.T) {
	t.Parallel()
	onOwnPostgres(t, func(t *testing.T, pg *postgres) {
		list := filepath.Join(shortDir(t), "servers.crl")
		end := time.Now().Add(shortLife).Truncate(time.Second)
		replace(t, list, crl(t, pg.ca, time.Until(end)), 0o644)
		p := start(t, pg, options{
			databases: map[string]settings{"app": {"sslcrl": list}, "new": {"sslcrl": list}},
			pool:      settings{"server_login_retry": "0s"},
			errors:    []string{notOpened},
		})
		conn := p.pgx(t, "app", execMode)
		pid := value(t, conn, "SELECT pg_backend_pid()::text")
		passed(t, end.Add(time.Second))
		refused(t, p, "new", "", "08006")
		eventually(t, patience, "the log names the CRL", func() bool {
			return p.log.count(notOpened, "CRL of CN="+pg.ca.Cert().Subject.CommonName+" in "+list+" expired on") > 0
		})
		if got := value(t, conn, "SELECT pg_backend_pid()::text"); got != pid {
			t.Errorf("the server is %s, was %s", got, pid)
		}
		replace(t, list, crl(t, pg.ca, time.Hour), 0o644)
		eventually(t, patience, "the next CRL is taken", func() bool { return p.log.count("certificates reloaded", `"database new"`) == 1 })
		if got := p.ask(t, "new", "SELECT 'trusted'"); got != "trusted" {
			t.Errorf("got %q", got)
		}
	})
}

// A server of version 15 tells by a TLS alert, as one of version 18 does, why
// it does not take the certificate of pgseal: pgseal hears of it only after its
// own part of the handshake is done.
func TestTheLogSaysWhyPostgreSQLDoesNotTakeTheClientCertificate(t *testing.T) {
	t.Parallel()
	onOwnPostgres(t, func(t *testing.T, pg *postgres) {
		pg.asksForCertificates(t)
		dir := shortDir(t)
		pair := func(name string, ca *devca.CA, edit func(*devca.Request)) (settings, *x509.Certificate) {
			request := devca.Request{CommonName: "app", Client: true, Life: time.Hour}
			if edit != nil {
				edit(&request)
			}
			pair, err := ca.Issue(request)
			if err != nil {
				t.Fatal(err)
			}
			cert, key := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
			if err := pair.WriteFiles(cert, key); err != nil {
				t.Fatal(err)
			}
			return settings{"sslcert": cert, "sslkey": key}, pair.Cert
		}
		databases, certs := map[string]settings{"none": {}}, map[string]*x509.Certificate{}
		databases["good"], _ = pair("good", pg.ca, nil)
		databases["revoked"], certs["revoked"] = pair("revoked", pg.ca, nil)
		databases["strange"], _ = pair("strange", authority(t, "stranger"), nil)
		databases["expired"], _ = pair("expired", pg.ca, func(r *devca.Request) { r.NotBefore, r.Life = time.Now().Add(-2*time.Hour), time.Hour })

		list := filepath.Join(pg.dir, "clients.crl")
		replace(t, list, crl(t, pg.ca, time.Hour, certs["revoked"]), 0o644)
		hba := "local all all scram-sha-256\nhostssl all app all scram-sha-256 clientcert=verify-ca\nhostssl all all all scram-sha-256\n"
		if err := os.WriteFile(filepath.Join(pg.DataDir(), "pg_hba.conf"), []byte(hba), 0o600); err != nil {
			t.Fatal(err)
		}
		pg.set(t, "ssl_crl_file", list)

		p := start(t, pg, options{databases: databases, errors: []string{notOpened}})
		for database, says := range map[string]string{
			"revoked": "revoked", "strange": "unknown certificate authority", "expired": "expired certificate",
		} {
			refused(t, p, database, "", "08006")
			if !poll(patience, func() bool { return p.log.count(notOpened, fmt.Sprintf("%q", database), says) > 0 }) {
				t.Errorf("%s: the log does not say %q", database, says)
			}
		}
		if e := refused(t, p, "none", "", "28000"); e.Message != "connection requires a valid client certificate" {
			t.Errorf("without a certificate the client is told %q", e.Message)
		}
		if got := p.ask(t, "good", "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "/CN=app" {
			t.Errorf("PostgreSQL was shown %q", got)
		}
	})
}
