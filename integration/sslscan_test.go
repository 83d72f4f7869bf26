package integration

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// A scanner that knows nothing of pgseal looks at a listener as it is by
// default.
func TestSslscanFindsNothingWeakInADefaultListener(t *testing.T) {
	t.Parallel()
	p := start(t, sharedPostgres(t, "18"), options{})
	r := runProgram(t, exec.CommandContext(t.Context(), "sslscan", "--no-colour", "--starttls-psql", fmt.Sprintf("127.0.0.1:%d", p.port())))
	if r.status != 0 {
		t.Fatalf("sslscan ended with status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	for _, line := range []string{
		`SSLv2 +disabled`, `SSLv3 +disabled`, `TLSv1\.0 +disabled`, `TLSv1\.1 +disabled`,
		`TLSv1\.2 +enabled`, `TLSv1\.3 +enabled`, `TLSv1\.2 not vulnerable to heartbleed`,
	} {
		if !regexp.MustCompile("(?m)^" + line + "$").MatchString(r.stdout) {
			t.Errorf("no line %q", line)
		}
	}
	ciphers := 0
	for line := range strings.Lines(r.stdout) {
		if !strings.HasPrefix(line, "Preferred") && !strings.HasPrefix(line, "Accepted") {
			continue
		}
		ciphers++
		if !strings.Contains(line, "GCM") && !strings.Contains(line, "CHACHA20") {
			t.Errorf("a suite without AEAD: %s", line)
		}
	}
	if ciphers < 6 {
		t.Errorf("%d suites were found", ciphers)
	}
	if t.Failed() {
		t.Log(r.stdout)
	}
}
