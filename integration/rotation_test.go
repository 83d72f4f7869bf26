package integration

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// rotationLimit is how soon a new certificate has to be shown.
const rotationLimit = 2 * time.Second

// halfReplaced is what pgseal says where it happens to look at a pair between
// the two renames that replace it: for that moment it does not match.
const halfReplaced = "reload failed, keeping the version in force"

func TestFiftyReplacedCertificatesCostNoConnection(t *testing.T) {
	const replacements = 50
	pg := sharedPostgres(t, "18")
	pg.database(t, "rotation")
	p := start(t, pg, options{
		databases: map[string]settings{"app": {"dbname": "rotation"}},
		listeners: []*listener{{symlinked: true}},
		errors:    []string{halfReplaced},
	})
	p.fill(t, "app", 1)
	var loads []*load
	for _, l := range p.listeners {
		loads = append(loads, startLoad(t, func() *exec.Cmd {
			return p.command(t, "pgbench", "app", []string{fmt.Sprintf("PGPORT=%d", l.port)}, "-n", "-C", "-S", "-c", "2", "-T", "1")
		}))
	}
	var longest time.Duration
	for i := range replacements {
		l := p.listeners[i%len(p.listeners)]
		l.rotate(t, p.ca)
		took := eventually(t, rotationLimit, fmt.Sprintf("replacement %d is shown", i), func() bool { return p.shows(t, l) })
		longest = max(longest, took)
	}
	for _, l := range loads {
		l.stop(t)
	}
	t.Logf("the slowest of %d replacements was shown after %v", replacements, longest)
	eventually(t, patience, "the log tells of each", func() bool { return p.log.count("certificates reloaded") == replacements })
	if n := p.log.count("TLS handshake failed"); n != 0 {
		t.Errorf("%d handshakes failed", n)
	}
}

func TestOpensslSeesEachNewCertificate(t *testing.T) {
	p := start(t, sharedPostgres(t, "18"), options{listeners: []*listener{{symlinked: true}}, errors: []string{halfReplaced}})
	for range 3 {
		for _, l := range p.listeners {
			l.rotate(t, p.ca)
			eventually(t, rotationLimit, "openssl sees the new certificate", func() bool {
				return opensslCertificate(t, p, l).SerialNumber.Cmp(l.pair.Cert.SerialNumber) == 0
			})
		}
	}
}

// opensslCertificate returns what openssl s_client is shown by a listener,
// verified by it.
func opensslCertificate(t *testing.T, p *pgseal, l *listener) *x509.Certificate {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-starttls", "postgres",
		"-connect", fmt.Sprintf("127.0.0.1:%d", l.port), "-CAfile", p.root,
		"-verify_return_error", "-verify_hostname", "localhost", "-alpn", "postgresql")
	cmd.Stdin = strings.NewReader("")
	r := runProgram(t, cmd)
	block, _ := pem.Decode([]byte(r.stdout))
	if r.status != 0 || block == nil {
		t.Fatalf("openssl ended with status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
