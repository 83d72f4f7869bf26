package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// certs runs "pgseal certs args..." and returns what it printed.
func certs(args ...string) (stdout string, err error) {
	var out bytes.Buffer
	err = runCerts(&cli{stdout: &out, stderr: &out}, args)
	return out.String(), err
}

func mustCerts(t *testing.T, args ...string) string {
	t.Helper()
	out, err := certs(args...)
	if err != nil {
		t.Fatalf("certs %q: %v", args, err)
	}
	return out
}

// newCADir returns a directory that holds an authority.
func newCADir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	mustCerts(t, "ca", "--out", dir)
	return dir
}

func loadPair(t *testing.T, dir, base string) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(pairFiles(dir, base))
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func trust(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	ca, err := devca.Load(pairFiles(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return ca.Pool()
}

func TestCertsCAThenServerMakesAPairThatItsAuthorityVouchesFor(t *testing.T) {
	dir := newCADir(t)
	mustCerts(t, "server", "--ca", dir, "--host", "db.internal,*.db.internal", "--host", "127.0.0.1")
	leaf := loadPair(t, dir, "server")
	for _, host := range []string{"db.internal", "a.db.internal", "127.0.0.1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: trust(t, dir), DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if leaf.Subject.CommonName != "db.internal" {
		t.Errorf("common name is %q, want the first host", leaf.Subject.CommonName)
	}
}

func TestTwoAuthoritiesInARowHaveNamesThatTellThemApart(t *testing.T) {
	var names []string
	for range 2 {
		dir := t.TempDir()
		mustCerts(t, "ca", "--out", dir)
		cert := loadPair(t, dir, "ca")
		if names = append(names, cert.Subject.CommonName); !strings.HasPrefix(names[0], "pgseal development CA ") {
			t.Errorf("the name is %q", names[0])
		}
	}
	if names[0] == names[1] {
		t.Errorf("both are called %q", names[0])
	}
}

func TestCertsServerLeavesOutACommonNameThatWouldBeTooLong(t *testing.T) {
	dir := newCADir(t)
	host := strings.Repeat("a", 40) + "." + strings.Repeat("b", 40)
	mustCerts(t, "server", "--ca", dir, "--host", host)
	if cn := loadPair(t, dir, "server").Subject.CommonName; cn != "" {
		t.Errorf("common name is %q", cn)
	}
}

func TestCertsClientPutsTheRoleIntoTheCommonName(t *testing.T) {
	dir := newCADir(t)
	mustCerts(t, "client", "--ca", dir, "--user", "app user")
	leaf := loadPair(t, dir, "client")
	if leaf.Subject.CommonName != "app user" {
		t.Errorf("common name is %q", leaf.Subject.CommonName)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: trust(t, dir), KeyUsages: usages}); err != nil {
		t.Error(err)
	}
}

func TestCertsOutAndNameSayWhereThePairGoes(t *testing.T) {
	dir := newCADir(t)
	out := filepath.Join(dir, "new", "tls")
	mustCerts(t, "server", "--ca", dir, "--out", out, "--name", "tls", "--host", "db")
	loadPair(t, out, "tls")
	for path, want := range map[string]os.FileMode{
		filepath.Join(dir, "new"):     0o700,
		out:                           0o700,
		filepath.Join(out, "tls.key"): 0o600,
		filepath.Join(dir, "ca.key"):  0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestCertsWorkInTheCurrentDirectoryWhenNoneIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	mustCerts(t, "ca")
	mustCerts(t, "client", "--user", "app")
	mustCerts(t, "server", "--host", "localhost")
	loadPair(t, ".", "client")
	loadPair(t, ".", "server")
}

func TestCertsCANeverReplacesAnAuthorityUnlessForced(t *testing.T) {
	for _, existing := range []string{"ca.key", "ca.crt"} {
		dir := t.TempDir()
		file := filepath.Join(dir, existing)
		if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := certs("ca", "--out", dir)
		if err == nil || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s there: got %v, want an error that names --force", existing, err)
		}
		if isUsage(err) {
			t.Errorf("%s there: told as a usage error", existing)
		}
		if got, _ := os.ReadFile(file); string(got) != "precious" {
			t.Errorf("%s was written over", existing)
		}
		mustCerts(t, "ca", "--out", dir, "--force")
		loadPair(t, dir, "ca")
	}
}

func TestCertsServerRunAgainRotatesThePair(t *testing.T) {
	dir := newCADir(t)
	mustCerts(t, "server", "--ca", dir, "--host", "db")
	first := loadPair(t, dir, "server")
	mustCerts(t, "server", "--ca", dir, "--host", "db")
	second := loadPair(t, dir, "server")
	if first.SerialNumber.Cmp(second.SerialNumber) == 0 || bytes.Equal(first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo) {
		t.Error("the second run kept the certificate or its key")
	}
}

func TestCertsPrintWhatTheyWrote(t *testing.T) {
	dir := newCADir(t)
	out := mustCerts(t, "server", "--ca", dir, "--host", "db.internal,10.0.0.1", "--days", "30")
	leaf := loadPair(t, dir, "server")
	for _, want := range []string{
		filepath.Join(dir, "server.crt"),
		filepath.Join(dir, "server.key"),
		"CN=db.internal",
		"db.internal, 10.0.0.1",
		leaf.NotAfter.UTC().Format("2006-01-02 15:04 UTC") + " (30 days)",
		fmt.Sprintf("%x", sha256.Sum256(leaf.Raw)),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "-----BEGIN") {
		t.Error("PEM was printed")
	}
}

func TestCertsDaysSetTheLifeOfEachKind(t *testing.T) {
	dir := t.TempDir()
	mustCerts(t, "ca", "--out", dir, "--days", "20", "--name", "my authority")
	mustCerts(t, "server", "--ca", dir, "--host", "db", "--days", "5")
	mustCerts(t, "client", "--ca", dir, "--user", "app", "--days", "400")
	for base, days := range map[string]int{"ca": 20, "server": 5, "client": 20 /* no longer than its authority */} {
		want := time.Now().Add(time.Duration(days) * day)
		if got := loadPair(t, dir, base).NotAfter; got.Sub(want).Abs() > time.Minute {
			t.Errorf("%s ends %v, want %v", base, got, want)
		}
	}
	if cn := loadPair(t, dir, "ca").Subject.CommonName; cn != "my authority" {
		t.Errorf("the authority is called %q", cn)
	}
}

func TestCertsTellAWrongCommandLineFromAFailure(t *testing.T) {
	dir := newCADir(t)
	for _, args := range [][]string{
		{},
		{"root"},
		{"ca", "--bits", "2048"},
		{"ca", "--days", "0"},
		{"ca", "--days", "-1"},
		{"ca", "--days", "999999999"},
		{"ca", "--days", "ten"},
		{"ca", "--name", ""},
		{"ca", "extra"},
		{"server", "--ca", dir},
		{"server", "--ca", dir, "--host", ""},
		{"server", "--ca", dir, "--host", "a,,b"},
		{"server", "--ca", dir, "--host", "not a host"},
		{"server", "--ca", dir, "--host", "db", "--name", "../server"},
		{"server", "--ca", dir, "--host", "db", "--name", ""},
		{"server", "--ca", dir, "--host", "db", "--name", ".."},
		{"server", "--ca", dir, "--host", "db", "--name", "ca"},
		{"client", "--ca", dir, "--user", "app", "--name", "CA"},
		{"client", "--ca", dir},
		{"client", "--ca", dir, "--user", strings.Repeat("x", 64)},
		{"client", "--ca", dir, "--user", "a\x00b"},
		{"client", "--ca", dir, "--user", "\xff"},
	} {
		if _, err := certs(args...); !isUsage(err) {
			t.Errorf("certs %q: got %v, want a usage error", args, err)
		}
	}
	empty := t.TempDir()
	_, err := certs("server", "--ca", empty, "--host", "db")
	if err == nil || isUsage(err) || !strings.Contains(err.Error(), "pgseal certs ca --out "+empty) {
		t.Errorf("without an authority: got %v, want a failure that says how to make one", err)
	}
}

func TestCertsWriteNothingWhenTheCommandLineIsWrong(t *testing.T) {
	dir := newCADir(t)
	certs("server", "--ca", dir, "--out", filepath.Join(dir, "new"), "--host", "not a host")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"ca.crt", "ca.key"}) {
		t.Errorf("the directory holds %q", names)
	}
}

func TestCertsHelpShowsFlagsAndAnExample(t *testing.T) {
	for _, row := range []struct {
		args []string
		want []string
	}{
		{[]string{"--help"}, []string{"Example:", "pgseal certs ca --out certs"}},
		{[]string{"help"}, []string{"Example:"}},
		{[]string{"ca", "--help"}, []string{"-force", "-days N"}},
		{[]string{"server", "-h"}, []string{"-host name", "-ca DIR"}},
		{[]string{"client", "--help"}, []string{"-user role"}},
	} {
		out, err := certs(row.args...)
		if !errors.Is(err, errHelp) {
			t.Errorf("certs %q: got %v, want errHelp", row.args, err)
		}
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("certs %q: %q is missing in:\n%s", row.args, want, out)
			}
		}
	}
}

func isUsage(err error) bool {
	var usage usageError
	return errors.As(err, &usage)
}
