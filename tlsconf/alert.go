package tlsconf

import (
	"errors"
	"net"

	"go.uber.org/zap"
)

// HandshakeFields tells, for a log, what is known of why a client's handshake
// failed: the certificate that it showed (see [PeerFields]), or what to do where
// the client did not accept ours.
func HandshakeFields(err error) []zap.Field {
	if hint := alertHint(err); hint != "" {
		return []zap.Field{zap.String("hint", hint)}
	}
	return PeerFields(err)
}

// alertHint explains the TLS alerts (RFC 8446, 6.2) by which clients refuse a
// certificate. crypto/tls has no type for them, so they are known by its text.
//
// The alert of OpenSSL 3, and so of libpq, arrives in TLS 1.3 as a record that
// can't be decrypted.
func alertHint(err error) string {
	const notAccepted = "the client rejected the server certificate: check its CA certificate (libpq: sslrootcert) and the host name it connects to"
	var alert *net.OpError
	if !errors.As(err, &alert) {
		return ""
	}
	switch alert.Op + ": " + alert.Err.Error() {
	case "local error: tls: bad record MAC":
		return "most likely " + notAccepted
	case "remote error: tls: unknown certificate authority", "remote error: tls: bad certificate",
		"remote error: tls: unknown certificate", "remote error: tls: unsupported certificate":
		return notAccepted
	case "remote error: tls: expired certificate":
		return "the client considers the server certificate expired: renew it, or check the clocks of both machines"
	case "remote error: tls: revoked certificate":
		return "the client considers the server certificate revoked: replace it"
	}
	return ""
}
