package tlsconf

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
	"github.com/pgseal/pgseal/internal/pgfake"
)

// clientHouse is a listener that asks for client certificates: a root of which
// it knows, an intermediate below it, and where its files are.
type clientHouse struct {
	t            testing.TB
	server       *devca.CA
	root, middle *devca.CA
	config       ListenerConfig
}

func newClientHouse(t testing.TB) *clientHouse {
	t.Helper()
	root, err := devca.NewRoot("client root", 240*time.Hour)
	ok(t, err)
	middle, err := root.Intermediate("client middle", 240*time.Hour)
	ok(t, err)
	h := &clientHouse{t: t, server: newCA(t), root: root, middle: middle}
	h.config = newPairDir(t, server(t, h.server, "pgseal")).config()
	dir := t.TempDir()
	h.config.ClientCAFile = filepath.Join(dir, "client-ca.crt")
	write(t, h.config.ClientCAFile, root.CertPEM(), 0o644)
	return h
}

// revoke writes the CRL file.
func (h *clientHouse) revoke(lists ...[]byte) {
	h.t.Helper()
	h.config.ClientCRLFile = filepath.Join(filepath.Dir(h.config.ClientCAFile), "client.crl")
	var all []byte
	for _, list := range lists {
		all = append(all, list...)
	}
	write(h.t, h.config.ClientCRLFile, all, 0o644)
}

func (h *clientHouse) load() *Listener {
	h.t.Helper()
	s, err := NewListenerStore("listener test", h.config)
	ok(h.t, err)
	return s.Load()
}

func crlOf(t testing.TB, ca *devca.CA, next time.Time, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list, err := pgfake.CRLPEM(ca, next, revoked...)
	ok(t, err)
	return list
}

// come shakes hands as a client that shows a pair, in both versions of TLS, and
// returns the server's and the client's error.
func (h *clientHouse) come(l *Listener, pair *devca.Pair) (serverErr, clientErr error) {
	h.t.Helper()
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		c := &tls.Config{RootCAs: h.server.Pool(), ServerName: "db.internal", MaxVersion: version, NextProtos: []string{"postgresql"}}
		if pair != nil {
			cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
			ok(h.t, err)
			// Shown whatever the server asks for, as libpq does.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		_, state, client, server := shake(h.t, c, l.Config)
		if version == tls.VersionTLS12 && (server == nil) != (serverErr == nil) {
			h.t.Errorf("TLS 1.2 ends in %v, TLS 1.3 in %v", server, serverErr)
		}
		if server == nil && pair != nil && len(state.VerifiedChains) == 0 {
			h.t.Error("the certificate was taken and not verified")
		}
		serverErr, clientErr = server, client
	}
	return serverErr, clientErr
}

func (h *clientHouse) client(ca *devca.CA, edit ...func(*devca.Request)) *devca.Pair {
	h.t.Helper()
	req := devca.Request{CommonName: "app", Client: true}
	for _, f := range edit {
		f(&req)
	}
	pair := issue(h.t, ca, req)
	return &pair
}

func TestAClientsCertificateIsVerifiedAndTheLogCanSayWhoseItWas(t *testing.T) {
	h := newClientHouse(t)
	l := h.load()
	old := func(r *devca.Request) { r.NotBefore, r.Life = time.Now().Add(-2*time.Hour), time.Hour }
	young := func(r *devca.Request) { r.NotBefore = time.Now().Add(time.Hour) }
	stranger, err := devca.New("stranger", time.Hour)
	ok(t, err)
	bare := h.client(h.middle)
	bare.CertPEM = bare.CertPEM[:strings.Index(string(bare.CertPEM), "-----END CERTIFICATE-----")+len("-----END CERTIFICATE-----\n")]
	for name, test := range map[string]struct {
		pair   *devca.Pair
		reason string // empty: it is taken
		issuer string
		alert  string
	}{
		"none":                     {nil, "", "", ""},
		"of the root":              {h.client(h.root), "", "", ""},
		"of the intermediate":      {h.client(h.middle), "", "", ""},
		"the intermediate missing": {bare, "unknown authority", "client middle", "unknown certificate authority"},
		"of a stranger":            {h.client(stranger), "unknown authority", "stranger", "unknown certificate authority"},
		"expired":                  {h.client(h.root, old), "expired", "client root", "expired certificate"},
		"not valid yet":            {h.client(h.root, young), "not yet valid", "client root", "expired certificate"},
		"meant for servers":        {h.client(h.root, func(r *devca.Request) { r.Client = false }), "incompatible key usage", "client root", "bad certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			serverErr, clientErr := h.come(l, test.pair)
			if test.reason == "" {
				ok(t, errors.Join(serverErr, clientErr))
				return
			}
			wantError(t, serverErr, test.reason)
			wantError(t, clientErr, test.alert)
			fields := map[string]string{}
			for _, f := range PeerFields(serverErr) {
				fields[f.Key] = f.String
			}
			if fields["peer_subject"] != "CN=app" || fields["peer_issuer"] != "CN="+test.issuer || fields["peer_serial"] == "" {
				t.Errorf("the log is given %q", fields)
			}
			noPEM(t, serverErr.Error(), *test.pair)
		})
	}
}

func TestClientsAreAskedForNoCertificateWhereTheListenerWantsNone(t *testing.T) {
	h := newClientHouse(t)
	h.config.ClientCert = ClientCertNone
	l := h.load()
	if l.Config.ClientAuth != tls.NoClientCert || l.RequiresClientCert() {
		t.Error("clients are asked for certificates")
	}
	if err := l.JudgeClient([]*x509.Certificate{h.client(h.root).Cert}, time.Now()); err == nil {
		t.Error("a certificate is judged good that nobody would ask for")
	}
}

func TestARevokedCertificateIsRefusedWhicheverAuthorityRevokedIt(t *testing.T) {
	h := newClientHouse(t)
	soon := time.Now().Add(time.Hour)
	ofRoot, ofMiddle := h.client(h.root), h.client(h.middle)
	empty := func(ca *devca.CA) []byte { return crlOf(t, ca, soon) }
	der, err := pgfake.CRL(h.root, soon, ofRoot.Cert)
	ok(t, err)
	both := append(h.root.CertPEM(), h.middle.CertPEM()...)
	for name, test := range map[string]struct {
		trust          []byte
		lists          [][]byte
		root, middle   string // the reason for refusing the one of either
		warningsOfLoad string
	}{
		"nothing revoked":             {nil, [][]byte{empty(h.root), empty(h.middle)}, "", "", ""},
		"a leaf of the root":          {nil, [][]byte{crlOf(t, h.root, soon, ofRoot.Cert), empty(h.middle)}, "revoked", "", ""},
		"a leaf of the root, in DER":  {nil, [][]byte{der}, "revoked", "no CRL of CN=client middle", ""},
		"a leaf of the intermediate":  {nil, [][]byte{empty(h.root), crlOf(t, h.middle, soon, ofMiddle.Cert)}, "", "revoked", ""},
		"the intermediate itself":     {nil, [][]byte{crlOf(t, h.root, soon, h.middle.Cert()), empty(h.middle)}, "", "revoked", ""},
		"it, and it is trusted":       {both, [][]byte{crlOf(t, h.root, soon, h.middle.Cert()), empty(h.middle)}, "", "revoked", ""},
		"nothing, it is trusted":      {both, [][]byte{empty(h.root), empty(h.middle)}, "", "", ""},
		"no list of the intermediate": {nil, [][]byte{empty(h.root)}, "", "no CRL of CN=client middle", ""},
		"no list of the root":         {nil, [][]byte{empty(h.middle)}, "no CRL of CN=client root", "no CRL of CN=client root", "no CRL of CN=client root"},
		"an expired list": {nil, [][]byte{crlOf(t, h.root, time.Now().Add(-time.Minute)), empty(h.middle)},
			"CRL of CN=client root", "CRL of CN=client root", "CRL of CN=client root expired"},
		"an older list beside a newer": {nil, [][]byte{crlOf(t, h.root, time.Now().Add(-time.Minute)), crlOf(t, h.root, soon, ofRoot.Cert), empty(h.middle)}, "revoked", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if test.trust == nil {
				test.trust = h.root.CertPEM()
			}
			write(t, h.config.ClientCAFile, test.trust, 0o644)
			h.revoke(test.lists...)
			l := h.load()
			for pair, reason := range map[*devca.Pair]string{ofRoot: test.root, ofMiddle: test.middle} {
				serverErr, clientErr := h.come(l, pair)
				judged := l.JudgeClient(chainOf(t, pair), time.Now())
				if reason == "" {
					ok(t, errors.Join(serverErr, clientErr, judged))
					continue
				}
				wantError(t, serverErr, reason)
				wantError(t, judged, reason)
				wantError(t, clientErr, "bad certificate")
				if len(PeerFields(serverErr)) == 0 {
					t.Error("the log is not told whose certificate it was")
				}
			}
			if got := strings.Join(l.Warnings, "; "); !strings.Contains(got, test.warningsOfLoad) {
				t.Errorf("warnings %q do not say %q", got, test.warningsOfLoad)
			}
		})
	}
}

// chainOf is what a client with this pair shows.
func chainOf(t testing.TB, pair *devca.Pair) []*x509.Certificate {
	t.Helper()
	certs, err := parseCertificates("pair", pair.CertPEM)
	ok(t, err)
	return certs
}

func TestACRLByAnotherKeyOfTheSameNameDoesNotCount(t *testing.T) {
	h := newClientHouse(t)
	impostor, err := devca.NewRoot("client root", time.Hour)
	ok(t, err)
	pair := h.client(h.root)
	h.revoke(crlOf(t, impostor, time.Now().Add(time.Hour)))
	serverErr, _ := h.come(h.load(), pair)
	wantError(t, serverErr, "no CRL of CN=client root")
}

func TestFilesThatAreNoUsableCRLAreRefusedByName(t *testing.T) {
	h := newClientHouse(t)
	soon := time.Now().Add(time.Hour)
	good := crlOf(t, h.root, soon)
	partial, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: soon,
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}},
	}, h.root.Cert(), signerOf(t, h.root))
	ok(t, err)
	for name, test := range map[string]struct {
		content []byte
		says    string
	}{
		"garbage":                  {[]byte("no list"), "cannot be parsed"},
		"a certificate":            {h.root.CertPEM(), "not a CRL"},
		"cut off":                  {good[:len(good)/2], "malformed or truncated"},
		"the second cut off":       {append(good[:len(good):len(good)], good[:len(good)/2]...), "block 2"},
		"a part of all":            {partial, "issuing distribution point"},
		"a CRL in a CRL's clothes": {[]byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), "CRL 1 cannot be parsed"},
	} {
		h.revoke(test.content)
		_, err := NewListenerStore("listener test", h.config)
		wantError(t, err, h.config.ClientCRLFile, test.says)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestTheFirstEndOfTrustIsThatOfAnAuthorityOrACRLOfAnyName(t *testing.T) {
	h := newClientHouse(t)
	now := time.Now()
	if end := h.load().TrustEnds(now); !end.Equal(h.root.Cert().NotAfter) {
		t.Errorf("ends at %v, want the authority's %v", end, h.root.Cert().NotAfter)
	}
	first, past := now.Add(time.Hour).UTC().Truncate(time.Second), now.Add(-time.Hour)
	h.revoke(crlOf(t, h.root, now.Add(3*time.Hour)), crlOf(t, h.middle, past))
	more := newPairDir(t, server(t, h.server, "more"))
	more.named(&h.config, "more.test")
	entry := &h.config.Certificates[0]
	entry.ClientCAFile, entry.ClientCRLFile = h.config.ClientCAFile, filepath.Join(t.TempDir(), "more.crl")
	write(t, entry.ClientCRLFile, crlOf(t, h.root, first), 0o644)
	if end := h.load().TrustEnds(now); !end.Equal(first) {
		t.Errorf("ends at %v, want the CRL's %v", end, first)
	}
	h.config.ClientCert = ClientCertNone
	h.config.Certificates = nil
	h.config.ClientCAFile, h.config.ClientCRLFile = "", ""
	if end := h.load().TrustEnds(now); !end.IsZero() {
		t.Errorf("ends at %v where nobody is trusted", end)
	}
}

func FuzzRevocationLists(f *testing.F) {
	ca := newCA(f)
	f.Add(crlOf(f, ca, time.Now().Add(time.Hour), ca.Cert()))
	der, err := pgfake.CRL(ca, time.Now().Add(time.Hour))
	ok(f, err)
	f.Add(der)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := buildRevocations("crl", data, []*x509.Certificate{ca.Cert()})
		if err != nil {
			noPEM(t, err.Error())
			return
		}
		r.warnings(time.Now())
		if r.check([][]*x509.Certificate{{ca.Cert()}}, time.Now()) != nil {
			t.Error("a root was refused")
		}
	})
}
