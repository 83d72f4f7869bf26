package tlsconf

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

func newUpstream(t testing.TB, mode, rootCert string) *Upstream {
	t.Helper()
	c := DefaultUpstreamConfig()
	c.SSLMode, c.SSLRootCert = mode, rootCert
	s, err := NewUpstreamStore("database test", c)
	ok(t, err)
	return s.Load()
}

func rootFile(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	write(t, path, content, 0o644)
	return path
}

// postgres is the TLS configuration of a server with a pair.
func postgres(t testing.TB, pair devca.Pair) *tls.Config {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	ok(t, err)
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"}}
}

// dial shakes hands with a server as u wants it and asserts the outcome, as a
// connection to a server does.
func dial(t testing.TB, u *Upstream, host string, server *tls.Config) error {
	t.Helper()
	client, _, err, _ := shake(t, u.ClientConfig(host), server)
	if err != nil {
		return err
	}
	return u.Assert(host, client)
}

func TestVerifyFullTakesTheNamesOfTheCertificateAndNoOthers(t *testing.T) {
	ca := newCA(t)
	u := newUpstream(t, SSLModeVerifyFull, rootFile(t, ca.CertPEM()))
	config := postgres(t, issue(t, ca, devca.Request{
		CommonName: "cn.internal",
		Hosts:      []string{"db.internal", "*.pool.internal", "10.0.0.1", "fd00::1"},
	}))
	for host, want := range map[string]bool{
		"db.internal":       true,
		"db.internal.":      true,
		"DB.Internal":       true,
		"a.pool.internal":   true,
		"a.pool.internal.":  true,
		"10.0.0.1":          true,
		"fd00::1":           true,
		"[fd00::1]":         true,
		"fd00::1%eth0":      true,
		"fd00:0:0:0:0:0::1": true,
		"other.internal":    false,
		"internal":          false,
		"pool.internal":     false,
		"a.b.pool.internal": false,
		"cn.internal":       false, // Names other than alternative ones do not count.
		"10.0.0.2":          false,
		"fd00::2":           false,
		"":                  false,
	} {
		if err := dial(t, u, host, config); (err == nil) != want {
			t.Errorf("host %q: error %v, want success %v", host, err, want)
		}
	}
}

// crypto/tls has read the dot in different ways from release to release.
func TestAHostIsAskedForAsCertificatesSpellIt(t *testing.T) {
	u := newUpstream(t, SSLModeRequire, "")
	for host, want := range map[string]string{
		"db.internal": "db.internal", "db.internal.": "db.internal", "10.0.0.1": "10.0.0.1",
		"fd00::1": "fd00::1", "[fd00::1]": "fd00::1", "fe80::1%eth0": "fe80::1", "": "",
	} {
		if got := u.ClientConfig(host).ServerName; got != want {
			t.Errorf("host %q: asked for %q, want %q", host, got, want)
		}
	}
}

func TestVerifyCATakesAnyNameButNotAnyChain(t *testing.T) {
	ca, stranger := newCA(t), newCA(t)
	u := newUpstream(t, SSLModeVerifyCA, rootFile(t, ca.CertPEM()))
	ok(t, dial(t, u, "other.internal", postgres(t, server(t, ca, "db"))))
	ok(t, dial(t, u, "10.9.9.9", postgres(t, server(t, ca, "db"))))
	wantError(t, dial(t, u, "db.internal", postgres(t, server(t, stranger, "db"))), "unknown authority")
}

func TestRequireEncryptsAndVerifiesNothingUnlessItHasRoots(t *testing.T) {
	ca, stranger := newCA(t), newCA(t)
	config := postgres(t, server(t, stranger, "db"))
	u := newUpstream(t, SSLModeRequire, "")
	ok(t, dial(t, u, "anything", config))
	if u.Mode() != "require" || u.Verification() != "require" {
		t.Errorf("mode %s, verification %s", u.Mode(), u.Verification())
	}
	// libpq's rule: with roots, require is verify-ca.
	u = newUpstream(t, SSLModeRequire, rootFile(t, ca.CertPEM()))
	wantError(t, dial(t, u, "db.internal", config), "unknown authority")
	ok(t, dial(t, u, "anything", postgres(t, server(t, ca, "db"))))
	if u.Mode() != "require" || u.Verification() != "verify-ca" {
		t.Errorf("mode %s, verification %s", u.Mode(), u.Verification())
	}
}

func TestDisableHasNoConfiguration(t *testing.T) {
	u := newUpstream(t, SSLModeDisable, "/nonexistent/ignored")
	if u.ClientConfig("db.internal") != nil {
		t.Error("a configuration for plaintext")
	}
	if u.Assert("db.internal", tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13}) == nil {
		t.Error("a TLS connection passes though there can be none")
	}
}

func TestNoVerifyingModeTakesABadServer(t *testing.T) {
	ca, stranger := newCA(t), newCA(t)
	root := mint(t, "root", newECKey(t), nil, authority)
	inner := mint(t, "inner", newECKey(t), root, authority)
	now := time.Now()
	path := rootFile(t, slices.Concat(ca.CertPEM(), bundle(root)))
	host := []string{"db.internal"}
	for _, test := range []struct {
		name string
		pair devca.Pair
		want string // "" for success
	}{
		{"good", server(t, ca, "db"), ""},
		{"good, with its intermediate", mint(t, "db", newECKey(t), inner, nil).pair(t, inner), ""},
		{"intermediate missing", mint(t, "db", newECKey(t), inner, nil).pair(t), "unknown authority"},
		{"of another authority", server(t, stranger, "db"), "unknown authority"},
		{"self-signed", mint(t, "db", newECKey(t), nil, nil).pair(t), "unknown authority"},
		{"expired", issue(t, ca, devca.Request{Hosts: host, NotBefore: now.Add(-2 * time.Hour), Life: time.Hour}), "expired"},
		{"not yet valid", issue(t, ca, devca.Request{Hosts: host, NotBefore: now.Add(time.Hour)}), "not yet valid"},
		{"for clients", issue(t, ca, devca.Request{Hosts: host, Client: true}), "key usage"},
	} {
		for _, mode := range []string{SSLModeVerifyFull, SSLModeVerifyCA} {
			err := dial(t, newUpstream(t, mode, path), "db.internal", postgres(t, test.pair))
			if test.want == "" {
				ok(t, err)
				continue
			}
			wantError(t, err, test.want)
		}
	}
}

func TestTheSystemsRootsVerifyInFull(t *testing.T) {
	u := newUpstream(t, SSLModeVerifyFull, SystemRoots)
	ok(t, dial(t, u, "db.internal", postgres(t, server(t, systemCA, "db"))))
	wantError(t, dial(t, u, "db.internal", postgres(t, server(t, newCA(t), "db"))), "unknown authority")
	wantError(t, dial(t, u, "other.internal", postgres(t, server(t, systemCA, "db"))), "other.internal")
}

// The system trusts systemCA here: only a configuration that forgot its roots
// would take it.
func TestTheSystemsRootsAreNotTrustedUnlessAskedFor(t *testing.T) {
	path := rootFile(t, newCA(t).CertPEM())
	config := postgres(t, server(t, systemCA, "db"))
	for _, mode := range []string{SSLModeVerifyFull, SSLModeVerifyCA} {
		wantError(t, dial(t, newUpstream(t, mode, path), "db.internal", config), "unknown authority")
	}
	for _, mode := range []string{SSLModeVerifyFull, SSLModeVerifyCA, "", "allow"} {
		// Built without validation, and without roots.
		u, err := buildUpstream(UpstreamConfig{SSLMode: mode, MinVersion: "TLSv1.2"}, nil)
		ok(t, err)
		wantError(t, dial(t, u, "db.internal", config), "unknown authority")
	}
}

func TestTheNameIsSentInEveryModeAndAddressesInNone(t *testing.T) {
	ca := newCA(t)
	path := rootFile(t, ca.CertPEM())
	pair := issue(t, ca, devca.Request{Hosts: []string{"db.internal", "127.0.0.1", "::1"}})
	for _, u := range []*Upstream{
		newUpstream(t, SSLModeVerifyFull, path), newUpstream(t, SSLModeVerifyCA, path), newUpstream(t, SSLModeRequire, ""),
	} {
		for host, want := range map[string]string{
			"db.internal": "db.internal", "db.internal.": "db.internal", "127.0.0.1": "", "::1": "", "[::1]": "",
		} {
			got := "nothing was asked"
			config := postgres(t, pair)
			config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				got = hello.ServerName
				return nil, nil
			}
			ok(t, dial(t, u, host, config))
			if got != want {
				t.Errorf("%s to %s: SNI %q, want %q", u.Mode(), host, got, want)
			}
		}
	}
}

func TestTheMinimumVersionHoldsOnTheWireOfBothLegs(t *testing.T) {
	ca := newCA(t)
	pair := server(t, ca, "db")
	for _, test := range []struct {
		minimum string
		peer    uint16 // The highest version that the other side speaks.
		want    uint16 // 0 for refused
	}{
		{"1.2", tls.VersionTLS13, tls.VersionTLS13},
		{"1.2", tls.VersionTLS12, tls.VersionTLS12},
		{"1.2", tls.VersionTLS11, 0},
		{"1.3", tls.VersionTLS13, tls.VersionTLS13},
		{"1.3", tls.VersionTLS12, 0},
	} {
		c := newPairDir(t, pair).config()
		c.MinVersion = test.minimum
		s, err := NewListenerStore("listener test", c)
		ok(t, err)
		client := &tls.Config{RootCAs: ca.Pool(), ServerName: "db.internal", MinVersion: tls.VersionTLS10, MaxVersion: test.peer}
		state, _, err, _ := shake(t, client, s.Load().Config)
		checkVersion(t, "listener", test.minimum, state.Version, err, test.want)

		uc := upstreamWith(SSLModeVerifyFull, rootFile(t, ca.CertPEM()), "TLSv"+test.minimum)
		us, err := NewUpstreamStore("database test", uc)
		ok(t, err)
		config := postgres(t, pair)
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, test.peer
		state, _, err, _ = shake(t, us.Load().ClientConfig("db.internal"), config)
		checkVersion(t, "upstream", test.minimum, state.Version, err, test.want)
	}
}

func checkVersion(t *testing.T, leg, minimum string, got uint16, err error, want uint16) {
	t.Helper()
	if want == 0 && err == nil || want != 0 && (err != nil || got != want) {
		t.Errorf("%s, at least %s: got %s and error %v, want %s", leg, minimum, tls.VersionName(got), err, tls.VersionName(want))
	}
}

func TestProtocolNegotiationAnswersPostgreSQLOnly(t *testing.T) {
	ca := newCA(t)
	l := newPairDir(t, server(t, ca, "db")).store(t).Load()
	for _, test := range []struct {
		offer []string
		want  string
		fails bool
	}{
		{nil, "", false},
		{[]string{"postgresql"}, "postgresql", false},
		{[]string{"http/1.1", "postgresql"}, "postgresql", false},
		{[]string{"http/1.1"}, "", true},
	} {
		client := &tls.Config{RootCAs: ca.Pool(), ServerName: "db.internal", NextProtos: test.offer}
		_, state, err, _ := shake(t, client, l.Config)
		if (err != nil) != test.fails || state.NegotiatedProtocol != test.want {
			t.Errorf("offer %q: %q, %v", test.offer, state.NegotiatedProtocol, err)
		}
	}
	u := newUpstream(t, SSLModeVerifyFull, rootFile(t, ca.CertPEM()))
	_, state, err, _ := shake(t, u.ClientConfig("db.internal"), l.Config)
	ok(t, err)
	if state.NegotiatedProtocol != "postgresql" {
		t.Errorf("upstream negotiated %q", state.NegotiatedProtocol)
	}
}

func TestNoSessionIsEverResumed(t *testing.T) {
	ca := newCA(t)
	l := newPairDir(t, server(t, ca, "db")).store(t).Load()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{RootCAs: ca.Pool(), ServerName: "db.internal", MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		for range 3 {
			state, _, err, _ := shake(t, client, l.Config)
			ok(t, err)
			if state.DidResume {
				t.Errorf("%s session resumed", tls.VersionName(version))
			}
		}
	}
	if config := newUpstream(t, SSLModeRequire, "").ClientConfig("h"); config.ClientSessionCache != nil {
		t.Error("sessions with servers are cached")
	}
}

func TestAssertRefusesWhateverWasNotVerified(t *testing.T) {
	ca, stranger := newCA(t), newCA(t)
	path := rootFile(t, ca.CertPEM())
	// What a connection looks like that somebody made with a careless config.
	careless := func(host string, pair devca.Pair) tls.ConnectionState {
		state, _, err, _ := shake(t, &tls.Config{InsecureSkipVerify: true, ServerName: host}, postgres(t, pair))
		ok(t, err)
		return state
	}
	full, chain := newUpstream(t, SSLModeVerifyFull, path), newUpstream(t, SSLModeVerifyCA, path)
	good, bad := careless("db.internal", server(t, ca, "db")), careless("db.internal", server(t, stranger, "db"))

	wantError(t, full.Assert("db.internal", good), "not verified")
	wantError(t, full.Assert("db.internal", bad), "not verified")
	ok(t, chain.Assert("db.internal", good))
	wantError(t, chain.Assert("db.internal", bad), "unknown authority")

	// Verified, but by other roots or for another name.
	verified, _, err, _ := shake(t, &tls.Config{RootCAs: stranger.Pool(), ServerName: "db.internal"},
		postgres(t, server(t, stranger, "db")))
	ok(t, err)
	wantError(t, full.Assert("db.internal", verified), "unknown authority")
	verified, _, err, _ = shake(t, full.ClientConfig("db.internal"), postgres(t, server(t, ca, "db")))
	ok(t, err)
	ok(t, full.Assert("db.internal", verified))
	wantError(t, full.Assert("other.internal", verified), "other.internal")

	for _, u := range []*Upstream{full, chain, newUpstream(t, SSLModeRequire, "")} {
		wantError(t, u.Assert("db.internal", tls.ConnectionState{Version: tls.VersionTLS13}), "not complete")
		old := verified
		old.Version = tls.VersionTLS11
		wantError(t, u.Assert("db.internal", old), "TLS 1.1")
	}
	empty := tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13}
	wantError(t, full.Assert("db.internal", empty), "not verified")
	wantError(t, chain.Assert("db.internal", empty), "no certificate")
}

func TestATrustFileIsTakenWholeOrNotAtAll(t *testing.T) {
	ca := newCA(t)
	pair := server(t, ca, "db")
	for _, test := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"garbage", []byte("garbage"), "no certificate"},
		{"empty", nil, "empty"},
		{"a key behind the root", slices.Concat(ca.CertPEM(), pair.KeyPEM), "block 2"},
		{"cut off", slices.Concat(ca.CertPEM(), ca.CertPEM()[:80]), "block 2"},
	} {
		path := rootFile(t, test.content)
		_, err := NewUpstreamStore("database app", upstreamWith(SSLModeVerifyFull, path, "TLSv1.2"))
		wantError(t, err, "database app", path, test.want)
		noPEM(t, err.Error(), pair)
	}
}

func TestOddRootsAreAcceptedWithAWarning(t *testing.T) {
	pinned := mint(t, "pinned", newECKey(t), nil, nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	ok(t, err)
	expired := mint(t, "expired", rsaKey, nil, func(c *x509.Certificate) {
		authority(c)
		c.NotAfter = time.Now().Add(-time.Minute)
	})
	good := mint(t, "good", newECKey(t), nil, authority)
	u := newUpstream(t, SSLModeVerifyFull, rootFile(t, bundle(good, pinned, expired)))
	text := strings.Join(u.Warnings, "\n")
	if len(u.Warnings) != 2 || len(u.Roots) != 3 ||
		!strings.Contains(text, "2 (CN=pinned) is not a CA certificate") ||
		!strings.Contains(text, "3 (CN=expired) expired on") {
		t.Errorf("%d roots, warnings %q", len(u.Roots), text)
	}
	// A server's own certificate as its root: libpq takes that too.
	ok(t, dial(t, u, "db.internal", postgres(t, pinned.pair(t))))
}

func TestTrustChangesForNewConnectionsOnly(t *testing.T) {
	before, after := newCA(t), newCA(t)
	path := rootFile(t, before.CertPEM())
	s, err := NewUpstreamStore("database test", upstreamWith(SSLModeVerifyFull, path, "TLSv1.2"))
	ok(t, err)
	taken := s.Load()

	// The way to change an authority: both, then the new one.
	oldServer, newServer := postgres(t, server(t, before, "db")), postgres(t, server(t, after, "db"))
	write(t, path, slices.Concat(before.CertPEM(), after.CertPEM()), 0o644)
	reloaded(t, s, true)
	ok(t, dial(t, s.Load(), "db.internal", oldServer))
	ok(t, dial(t, s.Load(), "db.internal", newServer))
	write(t, path, after.CertPEM(), 0o644)
	reloaded(t, s, true)
	wantError(t, dial(t, s.Load(), "db.internal", oldServer), "unknown authority")
	ok(t, dial(t, s.Load(), "db.internal", newServer))
	ok(t, dial(t, taken, "db.internal", oldServer))

	ok(t, os.Remove(path))
	refused(t, s)
	ok(t, dial(t, s.Load(), "db.internal", newServer))
}

func TestEachConnectionHasItsOwnClientConfig(t *testing.T) {
	u := newUpstream(t, SSLModeVerifyFull, rootFile(t, newCA(t).CertPEM()))
	u.ClientConfig("a").ServerName = "changed"
	if got := u.ClientConfig("a").ServerName; got != "a" {
		t.Errorf("server name %q", got)
	}
}

func TestTheLogFieldsOfAnUpstreamTellItsFirstExpiry(t *testing.T) {
	late := mint(t, "late", newECKey(t), nil, authority)
	soon := mint(t, "soon", newECKey(t), nil, func(c *x509.Certificate) {
		authority(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Minute)
	})
	u := newUpstream(t, SSLModeVerifyCA, rootFile(t, bundle(late, soon)))
	log, logs := newLog()
	log.Info("m", u.LogFields()...)
	fields := logs.All()[0].ContextMap()
	if fields["sslmode"] != "verify-ca" || fields["roots"] != int64(2) || fields["subject"] != "CN=soon" ||
		fields["not_after"] != soon.cert.NotAfter.UTC().Format(time.RFC3339) || fields["warnings"] == nil {
		t.Errorf("fields %v", fields)
	}
}
