package proxy

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// maxAuditName bounds a name of a certificate in the audit stream, in bytes:
// certificates of strangers stand there.
const maxAuditName = 512

// Audit writes the audit stream: logins and refusals with their reasons, reloads
// and console commands. docs/audit.md lists each event with its keys.
// Nothing of it is secret or SQL. Its methods may be called from any goroutine
// and wait for nothing if the logger does not.
type Audit struct{ log *zap.Logger }

// Audit returns the audit stream that the settings name.
func (p *Server) Audit() Audit {
	if log := p.settings.Load().Audit; log != nil {
		return Audit{log}
	}
	return Audit{p.log.Named("audit")}
}

// login records that a client has logged in.
func (a Audit) login(c *clientConn) { a.log.Info("login", c.auditFields()...) }

// refusal records that a login was refused, and the actual reason, which the
// client may not have been sent.
func (a Audit) refusal(c *clientConn, r *login.Refusal) {
	fields := append(c.auditFields(), zap.Stringer("reason", r.Reason))
	if r.Told != nil {
		fields = append(fields, zap.String("sqlstate", r.Told.Code), zap.String("message", r.Told.Message))
	}
	if r.Cause != nil {
		fields = append(fields, zap.NamedError("cause", r.Cause))
	}
	if r.Reason == login.Handshake {
		fields = append(fields, tlsconf.PeerFields(r.Cause)...)
	}
	a.log.Info("refusal", fields...)
}

// cancelRefused records a CancelRequest that matches no session.
func (a Audit) cancelRefused(addr, cause string) {
	a.log.Info("cancel_refused", zap.String("addr", addr), zap.String("cause", cause))
}

// Reload records that the configuration, or what is made of some files, was read
// again; err is why it stays as it was, or nil. what says which of them.
func (a Audit) Reload(what string, err error) {
	if err != nil {
		a.log.Info("reload", zap.String("name", what), zap.String("outcome", "refused"), zap.NamedError("cause", err))
		return
	}
	a.log.Info("reload", zap.String("name", what), zap.String("outcome", "applied"))
}

// Command records a command given at the console by c: its words without
// values, such as KILL, and what it was about, such as a database. err is why
// it was refused or failed, or nil.
func (a Audit) Command(c *clientConn, command, object string, err error) {
	fields := append(c.auditFields(), zap.String("command", command))
	if object != "" {
		fields = append(fields, zap.String("object", object))
	}
	if err != nil {
		fields = append(fields, zap.String("outcome", "refused"), zap.NamedError("cause", err))
	} else {
		fields = append(fields, zap.String("outcome", "done"))
	}
	a.log.Info("command", fields...)
}

// auditFields identifies the client and the access rule that matched.
func (c *clientConn) auditFields() []zap.Field {
	fields := c.fields()
	if c.method != "" {
		fields = append(fields, zap.String("method", c.method), zap.String("rule", c.rule))
	}
	if cert := login.ClientCertificate(c.tls); cert != nil {
		fields = append(fields, identityFields(cert)...)
	}
	return fields
}

// identityFields describes a client's certificate, with the keys of
// tlsconf.PeerFields and the SHA-256 of the whole.
func identityFields(cert *x509.Certificate) []zap.Field {
	cut := func(s string) string { return s[:min(len(s), maxAuditName)] }
	sum := sha256.Sum256(cert.Raw)
	return []zap.Field{
		zap.String("peer_subject", cut(cert.Subject.String())),
		zap.String("peer_issuer", cut(cert.Issuer.String())),
		zap.String("peer_serial", cut(cert.SerialNumber.Text(16))),
		zap.String("peer_sha256", hex.EncodeToString(sum[:])),
	}
}
