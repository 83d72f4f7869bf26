package pgfake

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

func TestACRLIsSignedByItsAuthorityAndHoldsWhatWasRevoked(t *testing.T) {
	ca, cert := Roots()[0], Issued(t).Cert
	for _, next := range []time.Time{time.Now().Add(time.Hour), time.Now().Add(-time.Hour)} {
		encoded, err := CRLPEM(ca, next, cert)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(encoded)
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(ca.Cert()); err != nil {
			t.Error(err)
		}
		if off := list.NextUpdate.Sub(next).Abs(); off > time.Second {
			t.Errorf("the next update is %v off", off)
		}
		entries := list.RevokedCertificateEntries
		if len(entries) != 1 || !bytes.Equal(entries[0].SerialNumber.Bytes(), cert.SerialNumber.Bytes()) {
			t.Errorf("revoked are %v", entries)
		}
	}
}
