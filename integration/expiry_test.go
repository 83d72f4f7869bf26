package integration

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgseal/pgseal/internal/devca"
)

// shortLife is how long what expires in a test is valid: long enough for a
// login on a busy machine. Certificates have whole seconds.
const shortLife = 6 * time.Second

// comesAs connects with a certificate.
func (p *pgseal) comesAs(t *testing.T, pair devca.Pair) *pgx.Conn {
	t.Helper()
	dir := shortDir(t)
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := pair.WriteFiles(cert, key); err != nil {
		t.Fatal(err)
	}
	return p.pgx(t, "app", execMode+" sslcert="+cert+" sslkey="+key)
}

// passed waits until a moment is over.
func passed(t *testing.T, moment time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(moment) + 100*time.Millisecond):
	case <-t.Context().Done():
	}
}

const sessionEnds = "client certificate is no longer valid"

// onEachRecheck runs a test with client_cert_recheck end and keep.
func onEachRecheck(t *testing.T, f func(t *testing.T, a *clientAuthority, p *pgseal, ends bool)) {
	for _, version := range versions {
		for _, recheck := range []string{"end", "keep"} {
			t.Run("PostgreSQL "+version+", client_cert_recheck "+recheck, func(t *testing.T) {
				t.Parallel()
				a := newClientAuthority(t)
				p := start(t, sharedPostgres(t, version), options{tls: a.settings("require").with(settings{"client_cert_recheck": recheck})})
				f(t, a, p, recheck == "end")
			})
		}
	}
}

func TestASessionIsEndedOrKeptWhenItsClientCertificateExpires(t *testing.T) {
	t.Parallel()
	onEachRecheck(t, func(t *testing.T, a *clientAuthority, p *pgseal, ends bool) {
		request := devca.Request{CommonName: "app", Client: true, Life: time.Hour}
		longLived, err := a.middle.Issue(request)
		if err != nil {
			t.Fatal(err)
		}
		request.Life = shortLife
		shortLived, err := a.middle.Issue(request)
		if err != nil {
			t.Fatal(err)
		}
		idle, busy, other := p.comesAs(t, shortLived), p.comesAs(t, shortLived), p.comesAs(t, longLived)
		execute(t, busy, "BEGIN")
		passed(t, shortLived.Cert.NotAfter.Add(time.Second))
		p.judged(t, ends, "has expired", idle, busy)
		execute(t, other, "SELECT 1")
		// Who comes new is refused whatever becomes of those who are there.
		dir := shortDir(t)
		cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		if err := shortLived.WriteFiles(cert, key); err != nil {
			t.Fatal(err)
		}
		r := p.psql(t, "app", []string{"PGSSLCERT=" + cert, "PGSSLKEY=" + key}, "-c", "SELECT 1")
		if r.status != 2 || !strings.Contains(r.stderr, "alert certificate expired") {
			t.Errorf("psql ended with status %d: %s", r.status, r.stderr)
		}
	})
}

func TestASessionIsEndedOrKeptWhenTheCRLExpires(t *testing.T) {
	t.Parallel()
	onEachRecheck(t, func(t *testing.T, a *clientAuthority, p *pgseal, ends bool) {
		pair, env := a.client(t, a.middle, nil)
		end := time.Now().Add(shortLife).Truncate(time.Second)
		replace(t, a.crlFile(), joined(crl(t, a.root, time.Hour), crl(t, a.middle, time.Until(end))), 0o644)
		p.reload()
		idle, busy := p.comesAs(t, pair), p.comesAs(t, pair)
		execute(t, busy, "BEGIN")
		passed(t, end.Add(time.Second))
		// Its issuer can't say any more that it is not revoked.
		p.judged(t, ends, "CRL of CN=client middle in "+a.crlFile()+" expired on", idle, busy)
		r := p.psql(t, "app", env, "-c", "SELECT 1")
		if r.status != 2 {
			t.Errorf("psql ended with status %d: %s%s", r.status, r.stdout, r.stderr)
		}
		a.revoke(t)
		eventually(t, patience, "the next CRL lets clients in again", func() bool {
			return p.psql(t, "app", env, "-c", "SELECT 1").status == 0
		})
		if !ends {
			execute(t, idle, "SELECT 1")
		}
	})
}

// judged sees what has become of two sessions whose certificate counts no
// more, of which one is idle and one in a transaction.
func (p *pgseal) judged(t *testing.T, ends bool, reason string, idle, busy *pgx.Conn) {
	t.Helper()
	if !ends {
		execute(t, idle, "SELECT 1")
		execute(t, busy, "SELECT 1")
		execute(t, busy, "COMMIT")
		execute(t, busy, "SELECT 1")
		if n := p.log.count(sessionEnds); n != 0 {
			t.Errorf("%d sessions end", n)
		}
		return
	}
	eventually(t, patience, "the log tells of both", func() bool { return p.log.count(sessionEnds, reason) == 2 })
	wantState(t, lastWords(t, idle), "28000")
	execute(t, busy, "SELECT 1")
	execute(t, busy, "COMMIT")
	wantState(t, lastWords(t, busy), "28000")
}
