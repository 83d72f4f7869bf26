package devca

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

func TestACertificateOfAnIntermediateComesWithItAndLeadsToTheRoot(t *testing.T) {
	root, err := NewRoot("root", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	middle, err := root.Intermediate("middle", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	lower, err := middle.Intermediate("lower", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair := issue(t, lower, Request{CommonName: "app", Client: true})
	var subjects []string
	pool := x509.NewCertPool()
	for block, rest := pem.Decode(pair.CertPEM); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, cert.Subject.CommonName)
		pool.AddCert(cert)
	}
	if len(subjects) != 3 || subjects[0] != "app" || subjects[1] != "lower" || subjects[2] != "middle" {
		t.Errorf("the file holds %q", subjects)
	}
	_, err = pair.Cert.Verify(x509.VerifyOptions{Roots: root.Pool(), Intermediates: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Error(err)
	}
}
