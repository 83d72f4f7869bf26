package tlsconf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/setting"
)

func TestAListenerHoldsAllThatDependsOnItsCertificate(t *testing.T) {
	pair := server(t, newCA(t), "one")
	l := newPairDir(t, pair).store(t).Load()
	if !l.Leaf.Equal(pair.Cert) || len(l.Chain) != 1 || !l.Chain[0].Equal(pair.Cert) {
		t.Error("another certificate")
	}
	cert, spki := sha256.Sum256(pair.Cert.Raw), sha256.Sum256(pair.Cert.RawSubjectPublicKeyInfo)
	if l.Fingerprint != hex.EncodeToString(cert[:]) || l.SPKIFingerprint != hex.EncodeToString(spki[:]) {
		t.Errorf("fingerprints %s and %s", l.Fingerprint, l.SPKIFingerprint)
	}
	if !bytes.Equal(l.EndpointHash, cert[:]) {
		t.Errorf("endpoint hash %x, want SHA-256", l.EndpointHash)
	}
	if len(l.Warnings) != 0 {
		t.Errorf("warnings about a flawless certificate: %q", l.Warnings)
	}
	c := l.Config
	if !c.SessionTicketsDisabled || !c.DynamicRecordSizingDisabled || c.MinVersion != tls.VersionTLS12 ||
		!slices.Equal(c.NextProtos, []string{"postgresql"}) || len(c.Certificates) != 1 ||
		c.GetCertificate != nil || c.GetConfigForClient != nil {
		t.Error("the configuration is not the one intended")
	}
}

func TestTheWholeChainIsServedInTheOrderOfTheFile(t *testing.T) {
	root := mint(t, "root", newECKey(t), nil, authority)
	outer := mint(t, "outer", newECKey(t), root, authority)
	inner := mint(t, "inner", newECKey(t), outer, authority)
	leaf := mint(t, "leaf", newECKey(t), inner, nil)
	l := newPairDir(t, leaf.pair(t, inner, outer)).store(t).Load()

	// A client that knows only the root must find its way.
	client, _, err, _ := shake(t, &tls.Config{RootCAs: PoolOf([]*x509.Certificate{root.cert}), ServerName: "db.internal"}, l.Config)
	ok(t, err)
	if len(client.PeerCertificates) != 3 || !client.PeerCertificates[2].Equal(outer.cert) {
		t.Errorf("%d certificates were sent", len(client.PeerCertificates))
	}
}

func TestMistakesInACertificateFileAreNamed(t *testing.T) {
	root := mint(t, "root", newECKey(t), nil, authority)
	outer := mint(t, "outer", newECKey(t), root, authority)
	inner := mint(t, "inner", newECKey(t), outer, authority)
	leaf := mint(t, "leaf", newECKey(t), inner, nil)
	impostor := mint(t, "inner", newECKey(t), outer, authority)
	pair := leaf.pair(t)
	other := mint(t, "other", newECKey(t), inner, nil).pair(t)
	for _, test := range []struct {
		name      string
		cert, key []byte
		words     []string
	}{
		{"authority first", bundle(inner, leaf), pair.KeyPEM, []string{"tls.crt", "number 2", "must come first"}},
		{"intermediates swapped", bundle(leaf, outer, inner), pair.KeyPEM,
			[]string{"tls.crt", "out of order", "certificate 3 (CN=inner)", "after certificate 1 (CN=leaf)"}},
		{"a link missing", bundle(leaf, outer), pair.KeyPEM,
			[]string{"tls.crt", "certificate 2 (CN=outer) did not issue certificate 1 (CN=leaf)"}},
		{"a stranger at the end", bundle(leaf, inner, leaf), pair.KeyPEM,
			[]string{"tls.crt", "certificate 3 (CN=leaf) did not issue certificate 2 (CN=inner)"}},
		{"the right name with another key", bundle(leaf, impostor), pair.KeyPEM,
			[]string{"tls.crt", "certificate 2 (CN=inner) did not issue certificate 1"}},
		{"a key of another certificate", pair.CertPEM, other.KeyPEM,
			[]string{"tls.key", "does not match", "tls.crt"}},
		{"files mixed up", pair.KeyPEM, pair.CertPEM, []string{"tls.crt", "block 1 is a private key"}},
	} {
		d := newPairDir(t, devca.Pair{CertPEM: test.cert, KeyPEM: test.key})
		_, err := NewListenerStore("listener test", d.config())
		wantError(t, err, append(test.words, "listener test")...)
		noPEM(t, err.Error(), pair, other)
	}
}

func TestARootAtTheEndOfTheChainIsAccepted(t *testing.T) {
	root := mint(t, "root", newECKey(t), nil, authority)
	leaf := mint(t, "leaf", newECKey(t), root, nil)
	if l := newPairDir(t, leaf.pair(t, root)).store(t).Load(); len(l.Chain) != 2 {
		t.Errorf("%d certificates", len(l.Chain))
	}
}

func TestAPairThatCouldNeverShakeHandsIsRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	ok(t, err)
	d := newPairDir(t, mint(t, "p224", key, nil, nil).pair(t))
	_, err = NewListenerStore("listener test", d.config())
	wantError(t, err, "tls.crt", "cannot be used for TLS")
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	d := newPairDir(t, server(t, newCA(t), "one"))
	ok(t, os.Chmod(d.key(), 0o644))
	_, err := NewListenerStore("listener test", d.config())
	wantError(t, err, d.key(), "permissions")
}

func TestTheEndpointHashFollowsTheSignatureOfTheCertificate(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	ok(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ok(t, err)
	sha256sum := func(b []byte) []byte { sum := sha256.Sum256(b); return sum[:] }
	sha384sum := func(b []byte) []byte { sum := sha512.Sum384(b); return sum[:] }
	sha512sum := func(b []byte) []byte { sum := sha512.Sum512(b); return sum[:] }
	undefined := func([]byte) []byte { return nil }
	rsaRoot := mint(t, "root", rsaKey, nil, authority)
	edRoot := mint(t, "root", edKey, nil, authority)
	ecRoot := mint(t, "root", p384, nil, authority)
	for _, test := range []struct {
		issuer    *minted
		algorithm x509.SignatureAlgorithm
		want      func([]byte) []byte
	}{
		{rsaRoot, x509.SHA1WithRSA, sha256sum},
		{rsaRoot, x509.SHA256WithRSA, sha256sum},
		{rsaRoot, x509.SHA384WithRSA, sha384sum},
		{rsaRoot, x509.SHA512WithRSA, sha512sum},
		{rsaRoot, x509.SHA256WithRSAPSS, sha256sum},
		{rsaRoot, x509.SHA512WithRSAPSS, sha512sum},
		{ecRoot, x509.ECDSAWithSHA256, sha256sum},
		{ecRoot, x509.ECDSAWithSHA384, sha384sum},
		{ecRoot, x509.ECDSAWithSHA512, sha512sum},
		{edRoot, x509.PureEd25519, undefined},
	} {
		// The key of the certificate itself must not matter.
		leaf := mint(t, "leaf", newECKey(t), test.issuer, func(c *x509.Certificate) {
			c.SignatureAlgorithm = test.algorithm
		})
		if got := EndpointHash(leaf.cert); !bytes.Equal(got, test.want(leaf.cert.Raw)) {
			t.Errorf("%v: hash %x", test.algorithm, got)
		}
	}
	// Nobody signs with MD5 any more, not even this test.
	old := &x509.Certificate{Raw: []byte("der"), SignatureAlgorithm: x509.MD5WithRSA}
	if got := EndpointHash(old); !bytes.Equal(got, sha256sum(old.Raw)) {
		t.Errorf("MD5: hash %x, want SHA-256", got)
	}
}

func TestOddCertificatesAreAcceptedWithAWarning(t *testing.T) {
	day := 24 * time.Hour
	now := time.Now()
	root := mint(t, "root", newECKey(t), nil, authority)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	edRoot := mint(t, "root", edKey, nil, authority)
	smallRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	ok(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	ok(t, err)
	rsaRoot := mint(t, "root", rsaKey, nil, authority)
	weakInner := mint(t, "inner", newECKey(t), rsaRoot, func(c *x509.Certificate) {
		authority(c)
		c.SignatureAlgorithm = x509.SHA1WithRSA
	})
	dyingInner := mint(t, "inner", newECKey(t), root, func(c *x509.Certificate) {
		authority(c)
		c.NotBefore, c.NotAfter = now.Add(-50*day), now.Add(day)
	})
	leaf := func(edit func(*x509.Certificate)) []*minted {
		return []*minted{mint(t, "leaf", newECKey(t), root, edit)}
	}
	for _, test := range []struct {
		name  string
		chain []*minted
		want  string // "" for no warning
	}{
		{"flawless", leaf(nil), ""},
		{"expired", leaf(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), "certificate expired on"},
		{"not yet valid", leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), "not valid before"},
		{"13 days left", leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(-50 * day); c.NotAfter = now.Add(13 * day) }), "expires soon"},
		{"15 days left", leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(-50 * day); c.NotAfter = now.Add(15 * day) }), ""},
		{"lives a day, half is left", leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(-day / 2); c.NotAfter = now.Add(day / 2) }), ""},
		{"lives a day, an hour is left", leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(-23 * time.Hour); c.NotAfter = now.Add(time.Hour) }), "expires soon"},
		{"only a common name", leaf(func(c *x509.Certificate) { c.DNSNames = nil }), "no subject alternative name"},
		{"an authority", leaf(func(c *x509.Certificate) { c.IsCA = true }), "is a CA certificate"},
		{"for clients", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "not valid for server authentication"},
		{"for something unknown", leaf(func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		}), "not valid for server authentication"},
		{"for anything", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), ""},
		{"for nothing in particular", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), ""},
		{"a short RSA key", []*minted{mint(t, "leaf", smallRSA, root, nil)}, "certificate 1 has an RSA key of 1024 bits"},
		{"signed with Ed25519", []*minted{mint(t, "leaf", newECKey(t), edRoot, nil)}, "no channel binding"},
		{"a chain with SHA-1", []*minted{mint(t, "leaf", newECKey(t), weakInner, nil), weakInner}, "certificate 2 is signed with SHA1-RSA"},
		{"a chain that ends before it", []*minted{mint(t, "leaf", newECKey(t), dyingInner, nil), dyingInner}, "certificate 2 expires soon"},
		{"a root with SHA-1", []*minted{mint(t, "leaf", newECKey(t), rsaRoot, nil),
			mint(t, "root", rsaKey, nil, func(c *x509.Certificate) { authority(c); c.SignatureAlgorithm = x509.SHA1WithRSA })}, ""},
	} {
		l := newPairDir(t, test.chain[0].pair(t, test.chain[1:]...)).store(t).Load()
		switch text := strings.Join(l.Warnings, "; "); {
		case test.want == "" && text != "":
			t.Errorf("%s: unexpected warning %q", test.name, text)
		case test.want != "" && (len(l.Warnings) != 1 || !strings.Contains(text, test.want)):
			t.Errorf("%s: warnings %q, want one with %q", test.name, text, test.want)
		}
	}
}

func TestAReloadDoesNotPutAnExpiredCertificateInPlaceOfAValidOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA(t)
		life := func(from, to time.Duration) devca.Pair {
			return issue(t, ca, devca.Request{Hosts: []string{"db.internal"}, NotBefore: time.Now().Add(from), Life: to - from})
		}
		good := life(-time.Hour, 48*time.Hour)
		d := newPairDir(t, good)
		s := d.store(t)

		d.write(t, life(-2*time.Hour, -time.Hour))
		if !refused(t, s) {
			t.Error("not told")
		}
		wantError(t, s.Status().LastError, "expired on", "while the current one is valid")

		next := life(24*time.Hour, 96*time.Hour)
		d.write(t, next)
		refused(t, s)
		wantError(t, s.Status().LastError, "not valid before")
		if !s.Load().Leaf.Equal(good.Cert) {
			t.Fatal("the valid certificate was replaced")
		}
		// The same files, a day later.
		<-time.After(25 * time.Hour)
		reloaded(t, s, true)
		if !s.Load().Leaf.Equal(next.Cert) {
			t.Error("the certificate that became valid was not taken")
		}
	})
}

func TestAnExpiredCertificateIsReplacedByAnyOther(t *testing.T) {
	ca := newCA(t)
	old := issue(t, ca, devca.Request{Hosts: []string{"a"}, NotBefore: time.Now().Add(-2 * time.Hour), Life: time.Hour})
	d := newPairDir(t, old)
	s := d.store(t)
	if len(s.Load().Warnings) != 1 {
		t.Errorf("the first load of an expired certificate warns %q", s.Load().Warnings)
	}
	// Less expired is better than more; valid is best.
	d.write(t, issue(t, ca, devca.Request{Hosts: []string{"a"}, NotBefore: time.Now().Add(-2 * time.Hour), Life: 90 * time.Minute}))
	reloaded(t, s, true)
	d.write(t, server(t, ca, "new"))
	reloaded(t, s, true)
	if len(s.Load().Warnings) != 0 {
		t.Errorf("warnings %q", s.Load().Warnings)
	}
}

func TestABrokenPairKeepsTheOldOneWhateverIsWrongWithIt(t *testing.T) {
	ca := newCA(t)
	old, next := server(t, ca, "old"), server(t, ca, "next")
	for name, spoil := range map[string]func(t *testing.T, d pairDir){
		"certificate missing":   func(t *testing.T, d pairDir) { ok(t, os.Remove(d.cert())) },
		"key missing":           func(t *testing.T, d pairDir) { ok(t, os.Remove(d.key())) },
		"both missing":          func(t *testing.T, d pairDir) { ok(t, os.RemoveAll(string(d))) },
		"certificate empty":     func(t *testing.T, d pairDir) { write(t, d.cert(), nil, 0o644) },
		"key empty":             func(t *testing.T, d pairDir) { write(t, d.key(), nil, 0o600) },
		"certificate truncated": func(t *testing.T, d pairDir) { write(t, d.cert(), next.CertPEM[:200], 0o644) },
		"key truncated":         func(t *testing.T, d pairDir) { write(t, d.key(), next.KeyPEM[:100], 0o600) },
		"certificate garbage":   func(t *testing.T, d pairDir) { write(t, d.cert(), []byte("\x00\xff"), 0o644) },
		"key garbage":           func(t *testing.T, d pairDir) { write(t, d.key(), []byte("\x00\xff"), 0o600) },
		"key too open":          func(t *testing.T, d pairDir) { ok(t, os.Chmod(d.key(), 0o644)) },
		"key from before":       func(t *testing.T, d pairDir) { write(t, d.key(), old.KeyPEM, 0o600) },
		"certificate twice":     func(t *testing.T, d pairDir) { write(t, d.cert(), bytes.Repeat(next.CertPEM, 2), 0o644) },
		"certificate a directory": func(t *testing.T, d pairDir) {
			ok(t, os.Remove(d.cert()))
			ok(t, os.Mkdir(d.cert(), 0o755))
		},
		"certificate a loop": func(t *testing.T, d pairDir) {
			ok(t, os.Remove(d.cert()))
			ok(t, os.Symlink(d.cert(), d.cert()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newPairDir(t, old)
			s := d.store(t)
			before := s.Load()
			d.write(t, next)
			spoil(t, d)
			if !refused(t, s) || refused(t, s) {
				t.Error("not told exactly once")
			}
			if s.Load() != before {
				t.Fatal("the old pair is gone")
			}
			err := s.Status().LastError
			if !strings.Contains(err.Error(), string(d)) {
				t.Errorf("error %q names no file", err)
			}
			noPEM(t, err.Error(), old, next)

			ok(t, os.MkdirAll(string(d), 0o755))
			_, _ = os.Remove(d.cert()), os.Remove(d.key())
			d.write(t, next)
			reloaded(t, s, true)
			if !s.Load().Leaf.Equal(next.Cert) {
				t.Error("the next good pair was not taken")
			}
		})
	}
}

func TestANewIntermediateAloneIsAChange(t *testing.T) {
	root := mint(t, "root", newECKey(t), nil, authority)
	key := newECKey(t)
	inner := mint(t, "inner", key, root, authority)
	renewed := mint(t, "inner", key, root, authority)
	leaf := mint(t, "leaf", newECKey(t), inner, nil)
	d := newPairDir(t, leaf.pair(t, inner))
	s := d.store(t)
	write(t, d.cert(), bundle(leaf, renewed), 0o644)
	reloaded(t, s, true)
	if !s.Load().Chain[1].Equal(renewed.cert) {
		t.Error("the old intermediate is still sent")
	}
}

func TestTheLogFieldsOfAListenerArePublicFacts(t *testing.T) {
	pair := issue(t, newCA(t), devca.Request{CommonName: "db"})
	l := newPairDir(t, pair).store(t).Load()
	log, logs := newLog()
	log.Info("m", l.LogFields()...)
	fields := logs.All()[0].ContextMap()
	if fields["subject"] != "CN=db" || fields["serial"] != pair.Cert.SerialNumber.Text(16) ||
		fields["fingerprint"] != l.Fingerprint || fields["not_after"] != pair.Cert.NotAfter.UTC().Format(time.RFC3339) ||
		fields["warnings"] == nil || len(fields) != 5 {
		t.Errorf("fields %v", fields)
	}
	noPEM(t, logs.text(), pair)
}

func FuzzAListenerIsBuiltWholeOrNotAtAll(f *testing.F) {
	root := mint(f, "root", newECKey(f), nil, authority)
	inner := mint(f, "inner", newECKey(f), root, authority)
	leaf := mint(f, "leaf", newECKey(f), inner, nil)
	pair, other := leaf.pair(f), inner.pair(f)
	f.Add(pair.CertPEM, pair.KeyPEM)
	f.Add(bundle(leaf, inner), pair.KeyPEM)
	f.Add(bundle(leaf, inner, root), pair.KeyPEM)
	f.Add(bundle(inner, leaf), pair.KeyPEM)
	f.Add(pair.CertPEM, other.KeyPEM)
	f.Add(pair.KeyPEM, pair.CertPEM)
	f.Add([]byte{}, []byte{})
	c := ListenerConfig{Mode: ListenRequire, CertFile: "cert", KeyFile: "key", MinVersion: "1.2", MaxRecordSize: 8 * setting.KiB}
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		l, err := buildListener(c, nil, reload.Contents{"cert": cert, "key": key})
		if err != nil {
			if l != nil || !strings.HasPrefix(err.Error(), "cert: ") && !strings.HasPrefix(err.Error(), "key: ") {
				t.Errorf("listener %v with error %q", l != nil, err)
			}
			return
		}
		if len(l.Chain) == 0 || l.Leaf != l.Chain[0] || len(l.Fingerprint) != 64 ||
			len(l.Config.Certificates[0].Certificate) != len(l.Chain) {
			t.Error("an incomplete listener")
		}
		// What was built must be able to serve.
		_, _, clientErr, serverErr := shake(t, &tls.Config{InsecureSkipVerify: true}, l.Config)
		if err := errors.Join(clientErr, serverErr); err != nil {
			t.Errorf("handshake: %v", err)
		}
		for _, field := range l.LogFields() {
			_ = field.Key
		}
	})
}

func TestARelativePathIsReadAsGiven(t *testing.T) {
	pair := server(t, newCA(t), "one")
	d := newPairDir(t, pair)
	t.Chdir(filepath.Dir(string(d)))
	c := d.config()
	c.CertFile = filepath.Join(filepath.Base(string(d)), "tls.crt")
	s, err := NewListenerStore("listener test", c)
	ok(t, err)
	if !s.Load().Leaf.Equal(pair.Cert) {
		t.Error("another certificate")
	}
}

func TestAListenerWithoutTLSNeverChanges(t *testing.T) {
	s, err := NewListenerStore("plain", listenerWith(ListenDisable, "", "", "1.2"))
	ok(t, err)
	reloaded(t, s, false)
	if l := s.Load(); l.Config != nil || len(s.Files()) != 0 || l.LogFields() != nil {
		t.Errorf("a listener without TLS has %+v", l)
	}
}
