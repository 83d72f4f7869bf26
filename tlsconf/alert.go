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
func alertHint(err error) string {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return ""
	}
	switch remote.Err.Error() {
	case "tls: unknown certificate authority", "tls: bad certificate", "tls: unknown certificate", "tls: unsupported certificate":
		return "the client did not accept the listener's certificate: give it the CA of that certificate (libpq: sslrootcert), and have it connect by a name the certificate holds"
	case "tls: expired certificate":
		return "the client takes the listener's certificate for expired: renew it, and compare the clocks of both machines"
	case "tls: revoked certificate":
		return "the client takes the listener's certificate for revoked: replace it"
	}
	return ""
}
