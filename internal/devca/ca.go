package devca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// backdate is how long before now a certificate begins, so that a peer whose
// clock runs late accepts it.
const backdate = time.Hour

// CA is a certificate authority: a certificate and the key that signs for it.
// Any goroutine may use it.
type CA struct {
	cert  *x509.Certificate
	key   crypto.Signer
	below []byte // PEM of what lies between its certificates and the root
}

// New makes an authority with a new key. Its certificate begins one hour ago
// and ends life from now; life must be positive.
func New(commonName string, life time.Duration) (*CA, error) {
	template := authority(commonName, life)
	template.MaxPathLenZero = true
	return newCA(template, life)
}

// NewRoot is New for an authority that may have others below it.
func NewRoot(commonName string, life time.Duration) (*CA, error) {
	return newCA(authority(commonName, life), life)
}

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

func newCA(template *x509.Certificate, life time.Duration) (*CA, error) {
	if life <= 0 {
		return nil, errors.New("certificate authority: life must be positive")
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

// authority is the template of an authority's certificate.
func authority(commonName string, life time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// Load reads an authority from its PEM files. It refuses a key that does not
// belong to the certificate and a certificate that may not sign others.
func Load(certFile, keyFile string) (*CA, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	cert := pair.Leaf
	if !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("certificate authority: %s is not the certificate of an authority", certFile)
	}
	// LoadX509KeyPair returns only keys that sign.
	return &CA{cert: cert, key: pair.PrivateKey.(crypto.Signer)}, nil
}

// Cert returns the authority's certificate.
func (ca *CA) Cert() *x509.Certificate { return ca.cert }

// CertPEM returns the authority's certificate as PEM.
func (ca *CA) CertPEM() []byte { return certPEM(ca.cert) }

// KeyPEM returns the authority's private key as PKCS #8 PEM. It is a secret.
func (ca *CA) KeyPEM() ([]byte, error) { return keyPEM(ca.key) }

// Pool returns a new pool that trusts this authority and no other.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// WriteFiles writes the authority's certificate and key, replacing what is
// there. See Pair.WriteFiles for the order and the modes.
func (ca *CA) WriteFiles(certFile, keyFile string) error {
	key, err := ca.KeyPEM()
	if err != nil {
		return err
	}
	return writePair(certFile, ca.CertPEM(), keyFile, key)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("new key: %w", err)
	}
	return key, nil
}

// sign signs a certificate, with a random serial number that crypto/x509 gives
// it. The result is parsed back, so that callers see it as a peer will.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
