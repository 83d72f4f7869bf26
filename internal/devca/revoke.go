package devca

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Intermediate makes an authority below ca. Certificates that it issues come
// with its own certificate behind them, as peers are to send them. ca must
// have been made by NewRoot.
func (ca *CA) Intermediate(commonName string, life time.Duration) (*CA, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	cert, err := sign(authority(commonName, life), ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("intermediate authority: %w", err)
	}
	return &CA{cert: cert, key: key, below: append([]byte(certPEM(cert)), ca.below...)}, nil
}

// Cert returns the authority's certificate.
func (ca *CA) Cert() *x509.Certificate { return ca.cert }

// CRL signs a list of revoked certificates (RFC 5280, section 5) in DER. It
// counts up to next, which may lie in the past.
func (ca *CA) CRL(next time.Time, revoked ...*x509.Certificate) ([]byte, error) {
	now := time.Now()
	this := now
	if next.Before(now) {
		this = next
	}
	list := &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()),
		ThisUpdate: this.Add(-backdate),
		NextUpdate: next,
	}
	for _, cert := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	return x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
}

// CRLPEM is CRL as PEM.
func (ca *CA) CRLPEM(next time.Time, revoked ...*x509.Certificate) ([]byte, error) {
	der, err := ca.CRL(next, revoked...)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}
