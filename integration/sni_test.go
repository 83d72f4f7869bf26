package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgseal/pgseal/internal/devca"
)

// named is a certificate of a listener that is shown to who asks for one of its
// names. Each has an authority of its own, so that a client that trusts it can
// have been shown no other.
type named struct {
	names []string
	ca    *devca.CA
	dir   string
	pair  devca.Pair
}

func newNamed(t *testing.T, names ...string) *named {
	t.Helper()
	n := &named{names: names, ca: authority(t, "authority of "+names[0]), dir: shortDir(t)}
	replace(t, n.root(), n.ca.CertPEM(), 0o644)
	n.renew(t)
	return n
}

func (n *named) root() string { return filepath.Join(n.dir, "root.crt") }
func (n *named) cert() string { return filepath.Join(n.dir, "tls.crt") }
func (n *named) key() string  { return filepath.Join(n.dir, "tls.key") }

// renew replaces the pair.
func (n *named) renew(t *testing.T) {
	t.Helper()
	var err error
	if n.pair, err = n.ca.Issue(devca.Request{CommonName: n.names[0], Hosts: n.names}); err != nil {
		t.Fatal(err)
	}
	if err := n.pair.WriteFiles(n.cert(), n.key()); err != nil {
		t.Fatal(err)
	}
}

// certificatesOf is the value of the key certificates.
func certificatesOf(list ...*named) string {
	var entries []string
	for _, n := range list {
		entries = append(entries, fmt.Sprintf("{server_names: ['%s'], cert_file: %s, key_file: %s}", strings.Join(n.names, "', '"), n.cert(), n.key()))
	}
	return "[" + strings.Join(entries, ", ") + "]"
}

// visit logs in with psql and pgx by a host name, and returns who failed to
// verify that in full with the authority of a file.
func (p *pgseal) visit(t *testing.T, host, root string) (failed []string) {
	t.Helper()
	r := p.psql(t, "app", []string{"PGHOST=" + host, "PGHOSTADDR=127.0.0.1", "PGSSLROOTCERT=" + root}, "-c", "SELECT 1")
	if r.status != 0 {
		failed = append(failed, "psql: "+r.stderr)
	}
	for _, negotiation := range []string{"postgres", "direct"} {
		config, err := pgx.ParseConfig(p.dsn("app", fmt.Sprintf("host=%s sslrootcert=%s sslnegotiation=%s", host, root, negotiation)))
		if err != nil {
			t.Fatal(err)
		}
		config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
		conn, err := pgx.ConnectConfig(soon(t), config)
		if err != nil {
			failed = append(failed, fmt.Sprintf("pgx, sslnegotiation %s: %v", negotiation, err))
			continue
		}
		conn.Close(soon(t))
	}
	return failed
}

// shownTo returns the serial number that a client is shown who asks for a name.
func (p *pgseal) shownTo(t *testing.T, name string) string {
	t.Helper()
	conn, err := p.dialTLS(p.listeners[0], func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = name, true })
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
}

func TestClientsAreShownTheCertificateOfTheNameTheyAskFor(t *testing.T) {
	t.Parallel()
	exact, wild, late := newNamed(t, "db.example.net"), newNamed(t, "*.example.org"), newNamed(t, "late.example.org")
	p := start(t, sharedPostgres(t, "18"), options{tls: settings{"certificates": certificatesOf(exact, wild)}})
	welcome := func(when, host, root string) {
		t.Helper()
		for _, failed := range p.visit(t, host, root) {
			t.Errorf("%s, %s: %s", when, host, failed)
		}
	}
	welcome("at first", "localhost", p.root)
	welcome("at first", "db.example.net", exact.root())
	welcome("at first", "late.example.org", wild.root())
	if failed := p.visit(t, "db.example.net", wild.root()); len(failed) != 3 {
		t.Errorf("a client verified another name's certificate, only these did not: %q", failed)
	}
	// sslsni=0: the client asks for no name and is shown the listener's own.
	r := p.psql(t, "app", []string{"PGHOST=db.example.net", "PGHOSTADDR=127.0.0.1", "PGSSLSNI=0", "PGSSLROOTCERT=" + p.root}, "-c", "SELECT 1")
	if r.status != 2 || !strings.Contains(r.stderr, `server certificate for "localhost"`) {
		t.Errorf("without SNI psql ended with status %d: %s", r.status, r.stderr)
	}
	old := p.pgx(t, "app", execMode)

	// A renewed file of one pair.
	exact.renew(t)
	eventually(t, rotationLimit, "the renewed certificate is shown", func() bool {
		return p.shownTo(t, "db.example.net") == exact.pair.Cert.SerialNumber.Text(16)
	})
	welcome("after a renewal", "db.example.net", exact.root())
	welcome("after a renewal", "late.example.org", wild.root())

	// Another list in the configuration: one more, one fewer.
	p.listeners[0].tls = settings{"certificates": certificatesOf(wild, late)}
	p.writeConfig()
	p.reload()
	welcome("after SIGHUP", "late.example.org", late.root())
	welcome("after SIGHUP", "early.example.org", wild.root())
	own := p.listeners[0].pair.Cert.SerialNumber.Text(16)
	if got := p.shownTo(t, "db.example.net"); got != own {
		t.Errorf("after SIGHUP a name without a certificate is shown %s, want the listener's own, %s", got, own)
	}
	late.renew(t)
	eventually(t, rotationLimit, "the new entry's files are watched", func() bool {
		return p.shownTo(t, "late.example.org") == late.pair.Cert.SerialNumber.Text(16)
	})
	execute(t, old, "SELECT 1")

	// An entry that can't be used leaves the whole list as it was.
	missing := &named{names: []string{"none.example.org"}, dir: filepath.Join(wild.dir, "nowhere")}
	p.options.errors = []string{configRefused, halfReplaced}
	p.listeners[0].tls = settings{"certificates": certificatesOf(missing, exact)}
	p.writeConfig()
	p.reload()
	eventually(t, patience, "the log names the file that is missing", func() bool { return p.log.count(configRefused, missing.cert()) == 1 })
	welcome("after a refusal", "late.example.org", late.root())
}
