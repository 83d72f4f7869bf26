package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificate returns one whose subject is this DER.
func certificate(t *testing.T, subject []byte) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: subject, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// text is a string of a subject, of any type.
func text(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Tag: tag, Bytes: []byte(value)}
}

func subject(t *testing.T, sets ...pkix.RelativeDistinguishedNameSET) []byte {
	t.Helper()
	der, err := asn1.Marshal(pkix.RDNSequence(sets))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func one(oid string, value any) pkix.AttributeTypeAndValue {
	ids := map[string]asn1.ObjectIdentifier{"CN": {2, 5, 4, 3}, "O": {2, 5, 4, 10}, "DC": {0, 9, 2342, 19200300, 100, 1, 25}, "?": {1, 2, 3}}
	return pkix.AttributeTypeAndValue{Type: ids[oid], Value: value}
}

func TestTheCommonNameIsTakenAsItStandsOrNotAtAll(t *testing.T) {
	type set = pkix.RelativeDistinguishedNameSET
	for name, c := range map[string]struct {
		subject []byte
		want    string
	}{
		"plain":                {subject(t, set{one("O", "corp")}, set{one("CN", "alice")}), "alice"},
		"UTF-8":                {subject(t, set{one("CN", "Žofie")}), "Žofie"},
		"BMP":                  {subject(t, set{one("CN", text(asn1.TagBMPString, "\x00a\x01\x7d"))}), "aŽ"},
		"a wildcard":           {subject(t, set{one("CN", text(asn1.TagUTF8String, "*.corp"))}), "*.corp"},
		"several":              {subject(t, set{one("CN", "alice")}, set{one("CN", "bob")}), ""},
		"several in one":       {subject(t, set{one("CN", "alice"), one("CN", "bob")}), ""},
		"none":                 {subject(t, set{one("O", "corp")}), ""},
		"empty":                {subject(t, set{one("CN", text(asn1.TagUTF8String, ""))}), ""},
		"with a zero":          {subject(t, set{one("CN", text(asn1.TagUTF8String, "alice\x00.evil"))}), ""},
		"huge":                 {subject(t, set{one("CN", strings.Repeat("a", 100_000))}), ""},
		"T61, read as Latin-1": {subject(t, set{one("CN", text(asn1.TagT61String, "\xe9"))}), "é"},
		"nobody at all":        {subject(t), ""},
		"a trailing byte":      {subject(t, set{one("CN", "alice ")}), "alice "},
	} {
		got, err := CommonName(certificate(t, c.subject))
		if (c.want == "") != (err != nil) || err == nil && got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestADistinguishedNameIsWrittenAsPostgreSQLWritesIt(t *testing.T) {
	type set = pkix.RelativeDistinguishedNameSET
	for want, der := range map[string][]byte{
		`CN=alice,O=corp`:                     subject(t, set{one("O", "corp")}, set{one("CN", "alice")}),
		`CN=\C5\BDofie\, or\+,DC=corp,DC=org`: subject(t, set{one("DC", "org")}, set{one("DC", "corp")}, set{one("CN", "Žofie, or+")}),
		`CN=\#\"a b\ `:                        subject(t, set{one("CN", `#"a b `)}),
		"":                                    subject(t, set{one("?", "x")}),
	} {
		got, err := DistinguishedName(certificate(t, der))
		if (want == "") != (err != nil) || err == nil && got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestASecretKnowsItsPassword(t *testing.T) {
	secret, err := NewSecret("right", DefaultIterations)
	if err != nil {
		t.Fatal(err)
	}
	if !secret.Verify("right") || secret.Verify("wrong") || secret.Verify("") || (Secret{}).Verify("") {
		t.Error("a secret is taken in by another password, or not by its own")
	}
	secret.Iterations = MaxServerIterations + 1
	if secret.Verify("right") {
		t.Error("the secret costs more than it may")
	}
}
