package stats

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// How the TLS of a connection began.
const (
	NegotiatedSSLRequest = "sslrequest"
	NegotiatedDirect     = "direct"
)

// TLS is the TLS of a connection.
type TLS struct {
	Version    string // as in PostgreSQL's pg_stat_ssl: TLSv1.3
	Cipher     string // the suite, as IANA writes it
	Bits       int    // of the cipher's key
	Group      string // of the key exchange; empty where it is not known
	ServerName string // that the client asked for
	Peer       *x509.Certificate
}

// TLSOf returns the TLS of a connection after its handshake.
func TLSOf(state tls.ConnectionState) *TLS {
	t := &TLS{Version: versionName(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite), Bits: 128, ServerName: state.ServerName}
	if strings.Contains(t.Cipher, "256_") || strings.Contains(t.Cipher, "CHACHA20") {
		t.Bits = 256
	}
	if state.CurveID != 0 {
		t.Group = state.CurveID.String()
	}
	if len(state.PeerCertificates) > 0 {
		t.Peer = state.PeerCertificates[0]
	}
	return t
}

// versionName is tls.VersionName in PostgreSQL's spelling: TLSv1.3.
func versionName(version uint16) string {
	return strings.Replace(tls.VersionName(version), "TLS ", "TLSv", 1)
}
