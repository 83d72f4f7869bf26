package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// Facts are what is told of a TLS connection to who asks.
type Facts struct {
	Version    string // as OpenSSL writes it: TLSv1.3
	Cipher     string // the suite, as IANA writes it
	Bits       int    // of the cipher's key
	Group      string // of the key exchange; empty where it is not known
	ServerName string // that the client asked for
	Peer       *x509.Certificate
}

// FactsOf returns the facts of a connection after its handshake.
func FactsOf(state tls.ConnectionState) *Facts {
	f := &Facts{
		Version: strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1),
		Cipher:  tls.CipherSuiteName(state.CipherSuite), Bits: 128, ServerName: state.ServerName,
	}
	if strings.Contains(f.Cipher, "256_") || strings.Contains(f.Cipher, "CHACHA20") {
		f.Bits = 256
	}
	if state.CurveID != 0 {
		f.Group = state.CurveID.String()
	}
	if len(state.PeerCertificates) > 0 {
		f.Peer = state.PeerCertificates[0]
	}
	return f
}

// String describes the connection in one word, as PgBouncer does.
func (f *Facts) String() string {
	if f == nil {
		return ""
	}
	s := f.Version + "/" + f.Cipher
	if f.Group != "" {
		s += "/ECDH=" + f.Group
	}
	return s
}
