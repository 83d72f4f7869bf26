package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// testsslChecks are all that testssl.sh looks at by itself, but for HTTP and
// for which browsers could connect: protocols, cipher categories, forward
// secrecy, preferences, certificate, and vulnerabilities by name.
var testsslChecks = []string{"-p", "-s", "-f", "-P", "-S", "-U"}

// testsslAccepted are findings that are not pgseal's to mend, by their id, with
// the reason.
var testsslAccepted = map[string]string{
	"cert_revocation": "the certificate is of a small authority that publishes no CRL and answers no OCSP",
	"engine_problem":  "the openssl that testssl.sh runs has no GOST engine, so it can't offer the ciphers of that; pgseal has none of them",
}

// finding is one of the entries that testssl.sh writes.
type finding struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Finding  string `json:"finding"`
}

func TestTestsslFindsNothingToComplainOfInADefaultListener(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	// testssl.sh complains of a certificate that ends within 60 days, and those
	// of the other tests end today.
	const life = 90 * 24 * time.Hour
	ca, err := devca.New("authority for a scanner", 2*life)
	if err != nil {
		t.Fatal(err)
	}
	l := p.listeners[0]
	if l.pair, err = ca.Issue(devca.Request{CommonName: "localhost", Hosts: []string{"localhost", "127.0.0.1"}, Life: life}); err != nil {
		t.Fatal(err)
	}
	if err := l.pair.WriteFiles(l.certFile(), l.keyFile()); err != nil {
		t.Fatal(err)
	}
	p.reload()

	dir := t.TempDir()
	root, report := filepath.Join(dir, "root.crt"), filepath.Join(dir, "report.json")
	replace(t, root, ca.CertPEM(), 0o644)
	args := append(testsslChecks, "--starttls", "postgres", "--warnings", "batch", "--color", "0", "--nodns", "none",
		"--openssl-timeout", "20", "--add-ca", root, "--jsonfile", report, fmt.Sprintf("127.0.0.1:%d", l.port))
	r := runProgram(t, exec.CommandContext(t.Context(), "testssl", args...))
	var findings []finding
	data, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(data, &findings)
	}
	if err != nil {
		t.Fatalf("testssl.sh ended with status %d and no report: %v\n%s%s", r.status, err, r.stdout, r.stderr)
	}
	severity := map[string]string{}
	for _, f := range findings {
		severity[f.ID] = f.Severity
		switch f.Severity {
		case "OK", "INFO", "DEBUG":
		default:
			if testsslAccepted[f.ID] == "" {
				t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
			}
		}
	}
	// A scan that broke off finds nothing to complain of either.
	for _, id := range []string{
		"SSLv2", "SSLv3", "TLS1_2", "TLS1_3", "cipherlist_NULL", "cipherlist_LOW", "cipherlist_STRONG", "PFS", "cipher_order",
		"cert_trust", "cert_chain_of_trust", "cert_keySize", "heartbleed", "secure_client_renego", "SWEET32", "BEAST", "RC4",
	} {
		if severity[id] != "OK" {
			t.Errorf("%s is %q, want OK", id, severity[id])
		}
	}
	if t.Failed() {
		t.Log(r.stdout)
	}
}
