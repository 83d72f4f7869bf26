package tlsconf

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/devca"
)

func encode(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}

func TestCertificatesAreReadInTheOrderOfTheFile(t *testing.T) {
	ca := newCA(t)
	a, b := server(t, ca, "a"), server(t, ca, "b")
	text := []byte("# a bundle\nsubject=CN = a\n")
	for name, data := range map[string][]byte{
		"plain":              slices.Concat(a.CertPEM, b.CertPEM),
		"text around":        slices.Concat(text, a.CertPEM, text, b.CertPEM, text),
		"Windows line ends":  bytes.ReplaceAll(slices.Concat(a.CertPEM, b.CertPEM), []byte("\n"), []byte("\r\n")),
		"no newline at last": bytes.TrimSpace(slices.Concat(a.CertPEM, b.CertPEM)),
	} {
		certs, err := parseCertificates("bundle.pem", data)
		ok(t, err)
		if len(certs) != 2 || !certs[0].Equal(a.Cert) || !certs[1].Equal(b.Cert) {
			t.Errorf("%s: read %d certificates, or others", name, len(certs))
		}
	}
}

func TestADamagedBundleIsRefusedByFileAndBlock(t *testing.T) {
	pair := server(t, newCA(t), "a")
	good := pair.CertPEM
	broken := bytes.Replace(good, []byte("\n"), []byte("\n!"), 1)
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"no PEM at all", []byte("garbage"), "no certificate"},
		{"DER", pair.Cert.Raw, "no certificate"},
		{"nothing but space", []byte("\n\n"), "no certificate"},
		{"cut off in the only block", good[:len(good)/2], "block 1"},
		{"cut off in the second block", slices.Concat(good, good[:len(good)/2]), "block 2"},
		{"cut off before the end of a line", slices.Concat(good, good[:len(good)-3]), "block 2"},
		{"broken before a good one", slices.Concat(broken, good), "block 1"},
		{"broken between good ones", slices.Concat(good, broken, good), "block 2"},
		{"joined without a newline", slices.Concat(bytes.TrimSpace(good), good), "block 1"},
		{"a byte order mark", slices.Concat([]byte("\xef\xbb\xbf"), good, good), "block 1"},
		{"no certificate inside", slices.Concat(good, encode("CERTIFICATE", []byte("x"))), "block 2"},
		{"a key among them", slices.Concat(good, pair.KeyPEM), "block 2 is a private key"},
		{"another type", slices.Concat(good, encode("X509 CRL", []byte("x"))), "block 2 is of another type"},
	} {
		_, err := parseCertificates("/etc/bundle.pem", test.data)
		wantError(t, err, "/etc/bundle.pem", test.want)
		noPEM(t, err.Error(), pair)
	}
}

func TestPrivateKeysOfAllCommonFormsAreRead(t *testing.T) {
	ec := newECKey(t).(*ecdsa.PrivateKey)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	ok(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	sec1, err := x509.MarshalECPrivateKey(ec)
	ok(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed)
	ok(t, err)
	for _, test := range []struct {
		name  string
		data  []byte
		check func(public any) bool
	}{
		{name: "PKCS #1", data: encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
			check: func(p any) bool { return rsaKey.PublicKey.Equal(p) }},
		{name: "SEC 1", data: encode("EC PRIVATE KEY", sec1),
			check: func(p any) bool { return ec.PublicKey.Equal(p) }},
		{name: "openssl ecparam", data: slices.Concat(encode("EC PARAMETERS", []byte{6}), encode("EC PRIVATE KEY", sec1)),
			check: func(p any) bool { return ec.PublicKey.Equal(p) }},
		{name: "PKCS #8", data: encode("PRIVATE KEY", pkcs8),
			check: func(p any) bool { return ed.Public().(ed25519.PublicKey).Equal(p) }},
	} {
		key, err := ParsePrivateKey("tls.key", test.data)
		if err != nil || !test.check(key.Public()) {
			t.Errorf("%s: not read, or another key (%v)", test.name, err)
		}
	}
}

func TestAKeyFileWithoutExactlyOneUsableKeyIsRefused(t *testing.T) {
	pair := server(t, newCA(t), "a")
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	ok(t, err)
	x25519, err := x509.MarshalPKCS8PrivateKey(agreement)
	ok(t, err)
	block, _ := pem.Decode(pair.KeyPEM)
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: block.Bytes,
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}})
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"garbage", []byte("garbage"), "found 0 private keys"},
		{"two keys", slices.Concat(pair.KeyPEM, pair.KeyPEM), "found 2 private keys"},
		{"a certificate", pair.CertPEM, "block 1 is a certificate"},
		{"a certificate too", slices.Concat(pair.KeyPEM, pair.CertPEM), "block 2 is a certificate"},
		{"another type", encode("TOP SECRET", block.Bytes), "block 1 is of another type"},
		{"cut off", pair.KeyPEM[:len(pair.KeyPEM)-10], "block 1 is malformed"},
		{"no key inside", encode("PRIVATE KEY", []byte("hunter2hunter2")), "cannot be parsed"},
		{"mislabelled", encode("EC PRIVATE KEY", block.Bytes), "cannot be parsed"},
		{"with a passphrase", encode("ENCRYPTED PRIVATE KEY", []byte("x")), "passphrase"},
		{"with an old passphrase", legacy, "passphrase"},
		{"for key agreement only", encode("PRIVATE KEY", x25519), "cannot be used for signing"},
	} {
		_, err := ParsePrivateKey("/etc/tls.key", test.data)
		wantError(t, err, "/etc/tls.key", test.want)
		noPEM(t, err.Error(), pair)
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: the file's content is in %q", test.name, err)
		}
	}
}

// fuzzPair is a fixed good pair for seeds, made anew in each process.
func fuzzPair(f *testing.F) devca.Pair {
	f.Helper()
	return server(f, newCA(f), "fuzz")
}

func FuzzABundleParsesWholeOrNotAtAll(f *testing.F) {
	pair := fuzzPair(f)
	f.Add(pair.CertPEM)
	f.Add(slices.Concat(pair.CertPEM, []byte("text\n"), pair.CertPEM))
	f.Add(slices.Concat(pair.CertPEM, pair.CertPEM[:100]))
	f.Add(slices.Concat(pair.CertPEM, pair.KeyPEM))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END X-----\n"))
	f.Add([]byte("-----BEGIN "))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := parseCertificates("file", data)
		if (err == nil) == (len(certs) == 0) {
			t.Fatalf("%d certificates and error %v", len(certs), err)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "file: ") {
				t.Errorf("error %q does not name the file", err)
			}
			return
		}
		// Nothing that looks like a block was passed over, and what was read
		// reads the same again.
		if marks := bytes.Count(data, beginMark); marks != len(certs) {
			t.Errorf("%d certificates out of %d blocks", len(certs), marks)
		}
		var again []byte
		for _, cert := range certs {
			again = append(again, encode("CERTIFICATE", cert.Raw)...)
		}
		same, err := parseCertificates("again", again)
		if err != nil || !slices.EqualFunc(certs, same, (*x509.Certificate).Equal) {
			t.Errorf("not the same again: %v", err)
		}
	})
}

func FuzzAPrivateKeyFileGivesAKeyOrAnErrorWithoutIt(f *testing.F) {
	pair := fuzzPair(f)
	f.Add(pair.KeyPEM)
	f.Add(slices.Concat(pair.KeyPEM, pair.KeyPEM))
	f.Add(pair.CertPEM)
	f.Add(encode("RSA PRIVATE KEY", []byte{0x30, 0}))
	f.Add(encode("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParsePrivateKey("file", data)
		if (err == nil) == (key == nil) {
			t.Fatalf("key %v and error %v", key != nil, err)
		}
		if err != nil {
			// Every word of an error is ours: there are only so many.
			if len(err.Error()) > 120 {
				t.Errorf("error %q may quote the file", err)
			}
			return
		}
		if key.Public() == nil {
			t.Error("a key without a public half")
		}
	})
}
