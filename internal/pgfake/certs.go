package pgfake

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/devca"
)

// Roots makes the two authorities that all tests share.
var Roots = sync.OnceValue(func() (list [2]*devca.CA) {
	for i := range list {
		ca, err := devca.New(fmt.Sprintf("test root %d", i), time.Hour)
		if err != nil {
			panic(err)
		}
		list[i] = ca
	}
	return list
})

// Issued returns a server certificate for db.internal, by the first of Roots.
func Issued(t testing.TB, edit ...func(*devca.Request)) devca.Pair {
	t.Helper()
	req := devca.Request{CommonName: "db", Hosts: []string{"db.internal"}}
	for _, e := range edit {
		e(&req)
	}
	pair, err := Roots()[0].Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// CRL signs a list of revoked certificates (RFC 5280, section 5) in DER. It
// counts from an hour ago up to next, which may lie in the past.
func CRL(ca *devca.CA, next time.Time, revoked ...*x509.Certificate) ([]byte, error) {
	keyPEM, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	signer, err := tls.X509KeyPair(ca.CertPEM(), keyPEM)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	this := now
	if next.Before(now) {
		this = next
	}
	list := &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()),
		ThisUpdate: this.Add(-time.Hour),
		NextUpdate: next,
	}
	for _, cert := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	return x509.CreateRevocationList(rand.Reader, list, ca.Cert(), signer.PrivateKey.(crypto.Signer))
}

// CRLPEM is CRL as PEM.
func CRLPEM(ca *devca.CA, next time.Time, revoked ...*x509.Certificate) ([]byte, error) {
	der, err := CRL(ca, next, revoked...)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}
