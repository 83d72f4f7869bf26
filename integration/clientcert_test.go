package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
)

// clientAuthority signs certificates of clients and lays out the files that a
// listener verifies them by.
type clientAuthority struct {
	dir          string
	root, middle *devca.CA
}

func newClientAuthority(t *testing.T) *clientAuthority {
	t.Helper()
	a := &clientAuthority{dir: shortDir(t)}
	var err error
	if a.root, err = devca.NewRoot("client root", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if a.middle, err = a.root.Intermediate("client middle", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	replace(t, a.caFile(), a.root.CertPEM(), 0o644)
	a.revoke(t)
	return a
}

func (a *clientAuthority) caFile() string  { return filepath.Join(a.dir, "ca.crt") }
func (a *clientAuthority) crlFile() string { return filepath.Join(a.dir, "ca.crl") }

func (a *clientAuthority) settings(how string) settings {
	return settings{"client_ca_file": a.caFile(), "client_crl_file": a.crlFile(), "client_cert": how}
}

// revoke replaces the CRLs.
func (a *clientAuthority) revoke(t *testing.T, pairs ...devca.Pair) {
	t.Helper()
	next := time.Now().Add(time.Hour)
	list, err := pgfake.CRLPEM(a.root, next)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range pairs {
		more, err := pgfake.CRLPEM(a.middle, next, pair.Cert)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, more...)
	}
	if len(pairs) == 0 {
		more, err := pgfake.CRLPEM(a.middle, next)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, more...)
	}
	replace(t, a.crlFile(), list, 0o644)
}

// client issues a certificate, and returns the environment by which libpq shows
// it.
func (a *clientAuthority) client(t *testing.T, ca *devca.CA, edit func(*devca.Request)) (devca.Pair, []string) {
	t.Helper()
	req := devca.Request{CommonName: "app", Client: true, Life: time.Hour}
	if edit != nil {
		edit(&req)
	}
	pair, err := ca.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(a.dir, "client")
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := pair.WriteFiles(cert, key); err != nil {
		t.Fatal(err)
	}
	return pair, []string{"PGSSLCERT=" + cert, "PGSSLKEY=" + key}
}

func TestClientCertificatesAreJudgedAndBothSidesLearnWhy(t *testing.T) {
	t.Parallel()
	onEachVersion(t, judgesClientCertificates)
}

func judgesClientCertificates(t *testing.T, pg *postgres) {
	a := newClientAuthority(t)
	stranger, err := devca.New("stranger", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, pg, options{tls: a.settings("require")})
	revoked, revokedEnv := a.client(t, a.middle, nil)
	a.revoke(t, revoked)
	p.reload()
	env := func(ca *devca.CA, edit func(*devca.Request)) []string {
		_, env := a.client(t, ca, edit)
		return env
	}
	for _, test := range []struct {
		name string
		env  []string
		psql string // what psql says; empty: it gets in
		log  string
	}{
		{"of the intermediate", env(a.middle, nil), "", ""},
		{"of the root", env(a.root, nil), "", ""},
		{"none", []string{"PGSSLCERT=/nonexistent"}, "connection requires a valid client certificate", ""},
		{"revoked", revokedEnv, "alert bad certificate", "was revoked on"},
		{"expired", env(a.root, func(r *devca.Request) { r.NotBefore = time.Now().Add(-59 * time.Minute); r.Life = time.Minute }),
			"alert certificate expired", "has expired"},
		{"of a stranger", env(stranger, nil), "alert unknown ca", "unknown authority"},
		{"meant for servers", env(a.root, func(r *devca.Request) { r.Client = false }), "alert bad certificate", "key usage"},
	} {
		r := p.psql(t, "app", test.env, "-c", "SELECT 1")
		if test.psql == "" {
			if r.status != 0 {
				t.Errorf("%s: psql ended with status %d: %s", test.name, r.status, r.stderr)
			}
			continue
		}
		if r.status != 2 || !strings.Contains(r.stderr, test.psql) {
			t.Errorf("%s: psql ended with status %d: %s", test.name, r.status, r.stderr)
		}
		if test.log != "" {
			eventually(t, patience, test.name+": the log says why", func() bool {
				return p.log.count("TLS handshake failed", test.log, `"peer_subject":"CN=app"`) == 1
			})
		}
	}
}

func TestASessionEndsInWordsWhenItsClientCertificateIsRevoked(t *testing.T) {
	t.Parallel()
	onEachVersion(t, endsRevoked)
}

func endsRevoked(t *testing.T, pg *postgres) {
	a := newClientAuthority(t)
	p := start(t, pg, options{tls: a.settings("require")})
	connect := func() (devca.Pair, *pgx.Conn) {
		pair, env := a.client(t, a.middle, nil)
		more := execMode
		for _, v := range env {
			name, path, _ := strings.Cut(strings.TrimPrefix(v, "PG"), "=")
			more += " " + strings.ToLower(name) + "=" + path
		}
		return pair, p.pgx(t, "app", more)
	}
	revoked, ends := connect()
	_, stays := connect()
	execute(t, ends, "SELECT 1")
	a.revoke(t, revoked)
	eventually(t, patience, "the log tells of it", func() bool {
		return p.log.count("client certificate is no longer valid", "was revoked on") == 1
	})
	_, err := ends.Exec(soon(t), "SELECT 1")
	if sqlState(err) != "28000" && !ends.IsClosed() {
		t.Errorf("the session goes on: %v", err)
	}
	execute(t, stays, "SELECT 1")
}
