package login

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth/hba"
)

// subject makes a certificate with a subject of one common name and one
// organization, each a string of this kind.
func subject(t *testing.T, kind int, cn, o string) *x509.Certificate {
	t.Helper()
	var names pkix.RDNSequence
	for oid, text := range map[string]string{"cn": cn, "o": o} {
		id := map[string]asn1.ObjectIdentifier{"cn": {2, 5, 4, 3}, "o": {2, 5, 4, 10}}[oid]
		value := asn1.RawValue{Class: asn1.ClassUniversal, Tag: kind, Bytes: []byte(text)}
		names = append(names, pkix.RelativeDistinguishedNameSET{{Type: id, Value: value}})
	}
	raw, err := asn1.Marshal(names)
	ok(t, err)
	return &x509.Certificate{RawSubject: raw}
}

func TestTheIdentityIsWhatWasProved(t *testing.T) {
	plain := subject(t, asn1.TagUTF8String, "app", "Müller, \"x\"\n")
	full := hba.VerifyFull
	for name, test := range map[string]struct {
		rule   hba.Rule
		cert   *x509.Certificate
		proved string
		want   []string // in any order of the subject's parts
	}{
		"a password":                  {hba.Rule{Method: hba.SCRAM}, nil, "app", []string{"scram-sha-256:app"}},
		"a certificate nobody reads":  {hba.Rule{Method: hba.SCRAM, ClientCert: hba.VerifyCA}, plain, "app", []string{"scram-sha-256:app"}},
		"a unix socket":               {hba.Rule{Method: hba.Peer}, nil, "root", []string{"peer:root"}},
		"a URI":                       {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameURI}, plain, "spiffe://corp/x", []string{"cert:spiffe://corp/x"}},
		"a key":                       {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameSHA256}, plain, "0a", []string{"cert:0a"}},
		"a password and a subject":    {hba.Rule{Method: hba.SCRAM, ClientCert: full, ClientName: hba.NameCN}, plain, "app", []string{"cert:", "CN=app", `O=M\C3\BCller\, \"x\"\0A`}},
		"a subject with a zero byte":  {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameCN}, subject(t, asn1.TagUTF8String, "app", "a\x00b"), "app", []string{"cert:app"}},
		"a subject that is no UTF-8":  {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameCN}, subject(t, asn1.TagUTF8String, "app", "\xff"), "app", []string{"cert:app"}},
		"a subject beyond all bounds": {hba.Rule{Method: hba.Cert, ClientCert: full, ClientName: hba.NameCN}, subject(t, asn1.TagUTF8String, "app", strings.Repeat("x", 5000)), "app", []string{"cert:app"}},
	} {
		got := nameOf(test.rule, test.cert, test.proved)
		for _, want := range test.want {
			if !strings.Contains(got, want) || len(test.want) == 1 && got != want {
				t.Errorf("%s: the identity is %q, want %q", name, got, want)
			}
		}
	}
}
