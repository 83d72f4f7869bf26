package tlsconf

import (
	"crypto"
	_ "crypto/sha512" // crypto/sha256 comes with the fingerprints
	"crypto/x509"
)

// EndpointHash is the tls-server-end-point channel binding of a connection to a
// server that showed this certificate: its hash by the algorithm that it is
// signed with, SHA-256 instead of MD5 and SHA-1 (RFC 5929, section 4.1). It is
// nil if that is undefined.
func EndpointHash(cert *x509.Certificate) []byte {
	var hash crypto.Hash
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		hash = crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	default:
		return nil
	}
	h := hash.New()
	h.Write(cert.Raw)
	return h.Sum(nil)
}
