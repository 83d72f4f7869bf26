package devca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func testCA(t *testing.T) *CA {
	t.Helper()
	ca, err := New("test authority", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *CA, req Request) Pair {
	t.Helper()
	pair, err := ca.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func verify(ca *CA, cert *x509.Certificate, host string, usage x509.ExtKeyUsage) error {
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:     ca.Pool(),
		DNSName:   host,
		KeyUsages: []x509.ExtKeyUsage{usage},
	})
	return err
}

func TestAServerCertificateIsTrustedForEachOfItsHostsAndNoOther(t *testing.T) {
	ca := testCA(t)
	cert := issue(t, ca, Request{Hosts: []string{"db.internal", "*.pool.internal", "127.0.0.1", "::1"}}).Cert
	for _, host := range []string{"db.internal", "DB.internal", "a.pool.internal", "127.0.0.1", "::1"} {
		if err := verify(ca, cert, host, x509.ExtKeyUsageServerAuth); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"other.internal", "pool.internal", "a.b.pool.internal", "127.0.0.2"} {
		var wrong x509.HostnameError
		if err := verify(ca, cert, host, x509.ExtKeyUsageServerAuth); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v, want a host name error", host, err)
		}
	}
}

func TestAnIPAddressIsNeverWrittenAsADNSName(t *testing.T) {
	cert := issue(t, testCA(t), Request{Hosts: []string{"10.0.0.1", "::ffff:10.0.0.2", "2001:db8::1"}}).Cert
	if len(cert.DNSNames) != 0 {
		t.Errorf("DNS names are %q, want none", cert.DNSNames)
	}
	want := []net.IP{net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 2), net.ParseIP("2001:db8::1")}
	if !slices.EqualFunc(cert.IPAddresses, want, net.IP.Equal) {
		t.Errorf("addresses are %v, want %v", cert.IPAddresses, want)
	}
}

func TestAHostThatIsNeitherANameNorAnAddressIsAnError(t *testing.T) {
	ca := testCA(t)
	for _, host := range []string{
		"", ".", "*", "*.", "a..b", "db.internal.", "-db", "db-", "a b", "db:5432", "[::1]", "fe80::1%eth0",
		"w*.internal", "*.*.internal", "300.1.1.1", "1.2.3", "bücher.example", "a\x00b",
		strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a",
	} {
		_, err := ca.Issue(Request{Hosts: []string{"ok.internal", host}})
		if !errors.Is(err, ErrHost) {
			t.Errorf("%q: got %v, want ErrHost", host, err)
		}
	}
}

func TestNamesOfEveryAcceptedShapeAreIssued(t *testing.T) {
	hosts := []string{"localhost", "a", "db_1.net", "3com.com", "xn--bcher-kva.example", strings.Repeat("a", 63), "*.x.1a"}
	cert := issue(t, testCA(t), Request{Hosts: hosts}).Cert
	if !slices.Equal(cert.DNSNames, hosts) {
		t.Errorf("DNS names are %q, want %q", cert.DNSNames, hosts)
	}
}

func TestAClientCertificateServesClientsOnly(t *testing.T) {
	ca := testCA(t)
	cert := issue(t, ca, Request{CommonName: "app", Client: true}).Cert
	if cert.Subject.CommonName != "app" {
		t.Errorf("common name is %q", cert.Subject.CommonName)
	}
	if err := verify(ca, cert, "", x509.ExtKeyUsageClientAuth); err != nil {
		t.Errorf("as a client: %v", err)
	}
	if err := verify(ca, cert, "", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("it also passed as a server")
	}
}

func TestAServerCertificateDoesNotPassAsAClient(t *testing.T) {
	ca := testCA(t)
	cert := issue(t, ca, Request{CommonName: "db", Hosts: []string{"db"}}).Cert
	if err := verify(ca, cert, "", x509.ExtKeyUsageClientAuth); err == nil {
		t.Error("it passed as a client")
	}
}

func TestALeafCannotSignOthers(t *testing.T) {
	leaf := issue(t, testCA(t), Request{Hosts: []string{"db"}}).Cert
	if leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0 {
		t.Errorf("IsCA %v, key usage %b", leaf.IsCA, leaf.KeyUsage)
	}
}

func TestAnotherAuthorityOfTheSameNameIsNotTrusted(t *testing.T) {
	cert := issue(t, testCA(t), Request{Hosts: []string{"db"}}).Cert
	if err := verify(testCA(t), cert, "db", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("trusted by an authority that did not sign it")
	}
}

func TestEmailAddressesAndURIsBecomeAlternativeNames(t *testing.T) {
	cert := issue(t, testCA(t), Request{
		EmailAddresses: []string{"dba@example.com"}, URIs: []string{"spiffe://example.com/app"}, Client: true,
	}).Cert
	if !slices.Equal(cert.EmailAddresses, []string{"dba@example.com"}) {
		t.Errorf("e-mail addresses are %q", cert.EmailAddresses)
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != "spiffe://example.com/app" {
		t.Errorf("URIs are %v", cert.URIs)
	}
}

func TestARequestThatCannotBeMetIsRefused(t *testing.T) {
	ca := testCA(t)
	for name, req := range map[string]Request{
		"no name":                 {},
		"bad URI":                 {URIs: []string{"http://%zz"}},
		"negative life":           {CommonName: "x", Life: -time.Second},
		"begins after its CA":     {CommonName: "x", NotBefore: time.Now().Add(48 * time.Hour)},
		"e-mail outside of ASCII": {EmailAddresses: []string{"ü@example.com"}},
	} {
		if _, err := ca.Issue(req); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestACertificateBeginsOneHourAgoAndEndsAfterItsLife(t *testing.T) {
	cert := issue(t, testCA(t), Request{CommonName: "x", Life: 2 * time.Hour}).Cert
	near(t, "not before", cert.NotBefore, time.Now().Add(-time.Hour))
	near(t, "not after", cert.NotAfter, time.Now().Add(2*time.Hour))
}

func TestLifeRunsFromAGivenBeginningSoThatExpiredCertificatesCanBeMade(t *testing.T) {
	ca := testCA(t)
	begin := time.Now().Add(-3 * time.Hour)
	cert := issue(t, ca, Request{Hosts: []string{"db"}, NotBefore: begin, Life: time.Hour}).Cert
	near(t, "not before", cert.NotBefore, begin)
	near(t, "not after", cert.NotAfter, begin.Add(time.Hour))
	var invalid x509.CertificateInvalidError
	err := verify(ca, cert, "db", x509.ExtKeyUsageServerAuth)
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("got %v, want expired", err)
	}
}

func TestACertificateNeverOutlivesItsAuthority(t *testing.T) {
	ca := testCA(t)
	cert := issue(t, ca, Request{CommonName: "x"}).Cert
	if !cert.NotAfter.Equal(ca.cert.NotAfter) {
		t.Errorf("ends at %v, its authority at %v", cert.NotAfter, ca.cert.NotAfter)
	}
}

func TestTheDefaultLifeIsNinetyDays(t *testing.T) {
	ca, err := New("long", 1000*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert := issue(t, ca, Request{CommonName: "x"}).Cert
	near(t, "not after", cert.NotAfter, time.Now().Add(90*24*time.Hour))
}

func TestAnAuthorityNeedsAPositiveLife(t *testing.T) {
	for _, life := range []time.Duration{0, -time.Hour} {
		if _, err := New("x", life); err == nil {
			t.Errorf("made one with life %v", life)
		}
	}
}

func near(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want).Abs(); d > time.Minute {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestKeysArePKCS8AndOfCurveP256(t *testing.T) {
	ca := testCA(t)
	caKey, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range map[string][]byte{"authority": caKey, "leaf": issue(t, ca, Request{CommonName: "x"}).KeyPEM} {
		block, rest := pem.Decode(encoded)
		if block == nil || block.Type != "PRIVATE KEY" || len(rest) != 0 {
			t.Fatalf("%s: not one PRIVATE KEY block", name)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if k, ok := key.(*ecdsa.PrivateKey); !ok || k.Curve != elliptic.P256() {
			t.Errorf("%s: key is a %T", name, key)
		}
	}
}

// RFC 5280, section 4.1.2.2: positive, and of at most 20 bytes.
func TestSerialNumbersAreRandomAndFitACertificate(t *testing.T) {
	ca := testCA(t)
	seen := map[string]bool{}
	longest := 0
	for range 64 {
		serial := issue(t, ca, Request{Hosts: []string{"db"}}).Cert.SerialNumber
		if serial.Sign() <= 0 || seen[serial.String()] {
			t.Fatalf("serial number %v", serial)
		}
		seen[serial.String()] = true
		longest = max(longest, serial.BitLen())
	}
	if longest < 120 || longest > 159 {
		t.Errorf("the longest of 64 has %d bits", longest)
	}
}

func TestAPairAndItsPoolMakeATLSConnection(t *testing.T) {
	ca := testCA(t)
	pair := issue(t, ca, Request{Hosts: []string{"db"}})
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	served := make(chan error, 1)
	go func() { served <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake() }()
	client := tls.Client(near, &tls.Config{RootCAs: ca.Pool(), ServerName: "db"})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	// net.Pipe does not buffer: take the session ticket the server sends last.
	go client.Read(make([]byte, 1))
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

func TestALoadedAuthorityIssuesWhatTheFirstOneTrusts(t *testing.T) {
	ca, dir := testCA(t), t.TempDir()
	crt, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	if err := ca.WriteFiles(crt, key); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(crt, key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(loaded.CertPEM(), ca.CertPEM()) {
		t.Error("the certificate changed on its way through the file")
	}
	cert := issue(t, loaded, Request{Hosts: []string{"db"}}).Cert
	if err := verify(ca, cert, "db", x509.ExtKeyUsageServerAuth); err != nil {
		t.Error(err)
	}
}

func TestLoadRefusesWhatIsNoAuthority(t *testing.T) {
	ca, dir := testCA(t), t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := ca.WriteFiles(in("ca.crt"), in("ca.key")); err != nil {
		t.Fatal(err)
	}
	if err := issue(t, ca, Request{CommonName: "x"}).WriteFiles(in("leaf.crt"), in("leaf.key")); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][2]string{
		"a leaf":                {"leaf.crt", "leaf.key"},
		"another's key":         {"ca.crt", "leaf.key"},
		"a missing file":        {"none.crt", "ca.key"},
		"key for a certificate": {"ca.key", "ca.key"},
	} {
		if _, err := Load(in(files[0]), in(files[1])); err == nil {
			t.Errorf("%s: loaded", name)
		} else if strings.Contains(err.Error(), "-----") {
			t.Errorf("%s: the error shows PEM", name)
		}
	}
	if _, err := Load(in("none.crt"), in("none.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v, want fs.ErrNotExist", err)
	}
}

func TestWrittenFilesHaveTheirModesAndNothingIsLeftBeside(t *testing.T) {
	ca, dir := testCA(t), t.TempDir()
	crt, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	// A second run is a rotation: it replaces files, whatever their mode was.
	for range 2 {
		if err := issue(t, ca, Request{CommonName: "x"}).WriteFiles(crt, key); err != nil {
			t.Fatal(err)
		}
		wantMode(t, key, 0o600)
		wantMode(t, crt, 0o644)
		if err := os.Chmod(key, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, dir, "server.crt", "server.key")
	if _, err := tls.LoadX509KeyPair(crt, key); err != nil {
		t.Error(err)
	}
}

func TestARotationDoesNotTouchTheOldFileThatAReaderHolds(t *testing.T) {
	ca, dir := testCA(t), t.TempDir()
	crt, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	first := issue(t, ca, Request{CommonName: "first"})
	if err := first.WriteFiles(crt, key); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(crt)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := issue(t, ca, Request{CommonName: "second"}).WriteFiles(crt, key); err != nil {
		t.Fatal(err)
	}
	old := make([]byte, len(first.CertPEM)+1)
	if n, _ := held.Read(old); !bytes.Equal(old[:n], first.CertPEM) {
		t.Error("the old file was written over")
	}
}

func TestAFailedWriteLeavesTheOldPairAlone(t *testing.T) {
	ca, dir := testCA(t), t.TempDir()
	crt, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	if err := issue(t, ca, Request{CommonName: "old"}).WriteFiles(crt, key); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	err = issue(t, ca, Request{CommonName: "new"}).WriteFiles(filepath.Join(dir, "missing", "a.crt"), key)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if after, _ := os.ReadFile(key); !bytes.Equal(before, after) {
		t.Error("the key was replaced without its certificate")
	}
	wantFiles(t, dir, "a.crt", "a.key")
}

func wantMode(t *testing.T, name string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", filepath.Base(name), got, want)
	}
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the directory holds %q, want %q", got, want)
	}
}

func FuzzIssueNeverWritesAHostThatDoesNotVerify(f *testing.F) {
	for _, host := range []string{"db.internal", "*.a", "10.0.0.1", "::1", "1.2.3", "a\x00b", "ü", "-a", "xn--a", "*"} {
		f.Add(host)
	}
	ca, err := New("fuzz", time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host string) {
		pair, err := ca.Issue(Request{Hosts: []string{host}})
		if err != nil {
			return
		}
		if err := verify(ca, pair.Cert, strings.Replace(host, "*", "any", 1), x509.ExtKeyUsageServerAuth); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	})
}
