package integration

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// sslRequest asks for TLS (PostgreSQL documentation, "Message Formats").
var sslRequest = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, 80877103)

// cancelRequest asks for the cancellation of a session's query.
func cancelRequest(pid uint32, secret []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(secret)))
	b = binary.BigEndian.AppendUint32(b, 80877102)
	return append(binary.BigEndian.AppendUint32(b, pid), secret...)
}

// dialTLS opens a TLS connection to a listener as libpq does, by SSLRequest,
// and verifies it.
func (p *pgseal) dialTLS(l *listener, edit ...func(*tls.Config)) (*tls.Conn, error) {
	raw, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", l.port), patience)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(patience))
	if _, err := raw.Write(sslRequest); err != nil {
		raw.Close()
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(raw, answer[:]); err != nil || answer[0] != 'S' {
		raw.Close()
		return nil, fmt.Errorf("answer to SSLRequest: %q, %v", answer, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.ca.CertPEM())
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	for _, f := range edit {
		f(config)
	}
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// serial returns the serial number of the certificate that a listener shows.
func (p *pgseal) serial(t *testing.T, l *listener) *big.Int {
	t.Helper()
	conn, err := p.dialTLS(l)
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// shows reports whether a listener shows the certificate that it was given
// last.
func (p *pgseal) shows(t *testing.T, l *listener) bool {
	t.Helper()
	return p.serial(t, l).Cmp(l.pair.Cert.SerialNumber) == 0
}
