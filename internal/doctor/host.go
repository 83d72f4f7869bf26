package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
	"github.com/pgseal/pgseal/tlsconf"
)

// host is one server of a database, and all that it showed.
type host struct {
	*exam
	db      database
	name    string
	subject string

	dialErr  error
	answer   byte                 // to SSLRequest; 0 if there was none to give
	state    *tls.ConnectionState // of a handshake that verified nothing
	shakeErr error
	verify   error // why verify-full does not hold
	login    bool  // a login was tried
	loginErr error
	facts    facts
	lookups  []tried // of auth_query
}

// visitAll looks at each host of each database.
func (e *exam) visitAll(ctx context.Context) {
	for _, d := range e.databases {
		for _, name := range d.hosts() {
			h := &host{exam: e, db: d, name: name, subject: fmt.Sprintf("server %s:%d (database %s)", name, d.Port, d.name)}
			bounded, cancel := context.WithTimeout(ctx, e.file.Pool.ServerConnectTimeout)
			h.probe(bounded)
			h.query(bounded)
			h.lookUp(bounded)
			cancel()
			for i := range checks {
				if checks[i].online != nil {
					e.check = &checks[i]
					e.report.Checks++
					checks[i].online(h)
				}
			}
		}
	}
}

// found reports a finding about the host.
func (h *host) found(key, what, change string) {
	f := h.exam.found(h.subject, h.db.key+"."+key, what, change)
	f.Database, f.Host = h.db.name, h.address()
}

func (h *host) address() string { return net.JoinHostPort(h.name, strconv.Itoa(h.db.Port)) }

// probe opens a connection, shakes hands without verifying, verifies what was
// shown by itself, and leaves: nothing of a login is sent.
func (h *host) probe(ctx context.Context) {
	at := backend.Addresses(h.name, h.db.Port)[0]
	conn, err := new(net.Dialer).DialContext(ctx, at.Network, at.Addr)
	if err != nil {
		h.dialErr = err
		return
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if at.Network == "unix" {
		return
	}
	if !h.direct() {
		if h.answer, h.dialErr = askForTLS(conn); h.answer != 'S' {
			return
		}
	}
	// Verified below, so that the reason can be told; the connection carries
	// nothing and is closed.
	secured := tls.Client(conn, &tls.Config{ServerName: h.name, InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	if h.shakeErr = secured.HandshakeContext(ctx); h.shakeErr != nil {
		return
	}
	state := secured.ConnectionState()
	h.state = &state
	h.verify = h.verifyFull(state.PeerCertificates)
}

// direct reports whether connections begin with TLS.
func (h *host) direct() bool { return h.db.SSLNegotiation == tlsconf.NegotiateDirect }

// askForTLS returns a server's answer to SSLRequest, 0 if it gave none.
func askForTLS(conn net.Conn) (byte, error) {
	if _, err := conn.Write(wire.AppendRequest(nil, wire.SSLRequestCode)); err != nil {
		return 0, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return 0, fmt.Errorf("no response to SSLRequest: %w", err)
	}
	return answer[0], nil
}

// verifyFull tells whether sslmode verify-full holds, by the roots that are
// configured, or the system's where none are.
func (h *host) verifyFull(chain []*x509.Certificate) error {
	o := x509.VerifyOptions{Intermediates: tlsconf.PoolOf(chain[1:]), CurrentTime: h.now}
	if len(h.db.roots) > 0 {
		o.Roots = tlsconf.PoolOf(h.db.roots)
	}
	_, err := chain[0].Verify(o)
	if err == nil {
		err = h.revoked()
	}
	return errors.Join(err, chain[0].VerifyHostname(h.name))
}

// revokedError says that a certificate is refused because of the CRLs.
type revokedError struct{ error }

// revoked tells what sslcrl says of the certificates that the server showed.
func (h *host) revoked() error {
	if h.db.SSLCRL == "" {
		return nil
	}
	c := h.db.UpstreamConfig
	c.SSLMode = tlsconf.SSLModeVerifyCA // the chain with its CRLs; the name is verified elsewhere
	store, err := tlsconf.NewUpstreamStore(h.subject, c)
	if err != nil {
		return nil // told by the check "unusable"
	}
	if err := store.Load().Assert(h.name, *h.state); err != nil {
		return revokedError{err}
	}
	return nil
}

// explain returns why verification failed, in an operator's terms, and a remedy.
func (h *host) explain(err error) (what, change string) {
	leaf := h.state.PeerCertificates[0]
	roots := h.db.SSLRootCert
	if roots == "" {
		roots = "the system's roots"
	}
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var revoked revokedError
	switch {
	case errors.As(err, &revoked):
		var cause *tls.CertificateVerificationError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return err.Error(), "on the server: renew ssl_cert_file; or a current CRL in sslcrl"
	case errors.As(err, &unknown):
		return fmt.Sprintf("the server certificate was issued by %s, which does not chain to a root in %s", leaf.Issuer, roots),
			"sslrootcert: the CA certificate of " + leaf.Issuer.String()
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server presents an expired certificate: " + name(leaf) + " is valid from " + day(leaf.NotBefore) + " to " + day(leaf.NotAfter),
			"on the server: renew ssl_cert_file, then SELECT pg_reload_conf()"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "the server certificate is not valid for server authentication", "on the server: ssl_cert_file with extended key usage serverAuth"
	case errors.As(err, &wrongName):
		have := tlsconf.HostNames(leaf)
		if len(have) == 0 {
			return "the server certificate has no subject alternative name", "on the server: ssl_cert_file with DNS:" + h.name
		}
		return fmt.Sprintf("the server certificate is for %s, not for %s", strings.Join(have, ", "), h.name), "host: " + have[0]
	}
	return err.Error(), "see docs/certificates.md"
}

func serverUnreachable(h *host) {
	if h.dialErr == nil {
		return
	}
	change := "check host, port and firewalls"
	if _, unknown := errors.AsType[*net.DNSError](h.dialErr); unknown {
		change = "a host name that resolves on this machine (getent hosts " + h.name + "), or an address"
	}
	h.found("host", "could not connect to server: "+h.dialErr.Error(), change)
}

func serverNoTLS(h *host) {
	switch {
	case h.dialErr != nil || h.answer == 0 || h.answer == 'S':
	case h.answer == 'N':
		h.found("sslmode", "the server does not support SSL (it answered SSLRequest with N)", "in postgresql.conf: ssl = on, with ssl_cert_file and ssl_key_file")
	default:
		h.found("host", fmt.Sprintf("not a PostgreSQL server: received 0x%02x in response to SSLRequest", h.answer), "host and port of a PostgreSQL server")
	}
}

func serverUnverified(h *host) {
	switch {
	case h.shakeErr != nil && h.direct():
		h.found("sslnegotiation", "the direct TLS handshake fails: "+h.shakeErr.Error(), "sslnegotiation: postgres, unless the server is PostgreSQL 17 or newer with ssl = on")
	case h.shakeErr != nil:
		h.found("sslmode", "the TLS handshake fails: "+h.shakeErr.Error(), "on the server: ssl_min_protocol_version = 'TLSv1.2' or newer, and a usable certificate")
	case h.state == nil:
	case h.verify != nil:
		what, change := h.explain(h.verify)
		h.found("sslmode", "verify-full fails: "+what, change)
	default:
		h.good(h.subject, "verify-full succeeds: %s, %s, key exchange %s", tls.VersionName(h.state.Version), tls.CipherSuiteName(h.state.CipherSuite), h.state.CurveID)
	}
}

func serverExpiring(h *host) {
	for _, c := range h.shown() {
		if expiring(c, h.now) {
			h.found("host", fmt.Sprintf("the server certificate %s expires soon, on %s", name(c), day(c.NotAfter)), "on the server: renew ssl_cert_file, then SELECT pg_reload_conf()")
		}
	}
}

func serverWeakCert(h *host) {
	for _, c := range h.shown() {
		if text := weakness(c.PublicKey); text != "" {
			h.found("host", "the server certificate "+name(c)+" has "+text, "on the server: ssl_cert_file with a new key")
		}
		if tlsconf.WeaklySigned(c) {
			h.found("host", fmt.Sprintf("the server certificate %s is signed with %s", name(c), c.SignatureAlgorithm), "on the server: reissue ssl_cert_file")
		}
	}
}

// shown returns the certificates that the server showed.
func (h *host) shown() []*x509.Certificate {
	if h.state == nil {
		return nil
	}
	return h.state.PeerCertificates
}

// query logs in as the database's fixed user, verified as configured, and
// asks the server about itself.
func (h *host) query(ctx context.Context) {
	if h.dialErr != nil {
		return
	}
	if h.db.User == "" {
		h.unseen("settings, access rules and roles: the database has no fixed user to log in as; to check them, use a copy of the configuration in which databases." + h.db.name + " has a user with pg_monitor and its password_file")
		return
	}
	trust, err := h.trust()
	if err != nil {
		return // told by the check "unusable"
	}
	login := backend.Login{User: h.db.User, Password: h.db.Password}
	if h.db.PasswordFile != "" {
		if login.Password, err = reload.ReadPassword(h.db.PasswordFile); err != nil {
			return // likewise
		}
	}
	name := h.db.name
	if name == "*" {
		name = "postgres"
	}
	conn, err := h.dial(ctx, trust, login, name)
	var refused *wire.Error
	if h.login = err == nil || errors.As(err, &refused); err != nil {
		h.loginErr = err
		return
	}
	defer conn.Close()
	h.facts.read(ctx, conn, h.unseen)
}

// dial logs in to the database of that name, unless dbname says another.
func (h *host) dial(ctx context.Context, trust *tlsconf.Upstream, login backend.Login, name string) (*backend.Conn, error) {
	if h.db.DBName != "" {
		name = h.db.DBName
	}
	return backend.Dial(ctx, h.name, h.db.Port, backend.Target{Trust: trust, RequireAuth: h.db.RequireAuth, Login: login, Database: name})
}

// trust returns what the server is verified by, as configured.
func (h *host) trust() (*tlsconf.Upstream, error) {
	store, err := tlsconf.NewUpstreamStore(h.subject, h.db.UpstreamConfig)
	if err != nil {
		return nil, err
	}
	return store.Load(), nil
}

func (h *host) unseen(text string) {
	h.report.Unseen = append(h.report.Unseen, Remark{h.subject, text})
}

func serverLogin(h *host) {
	switch {
	case h.loginErr != nil && (h.login || h.verify == nil && h.shakeErr == nil && h.answer != 'N'):
		h.found("user", fmt.Sprintf("the login of role %q failed: %v", h.db.User, h.loginErr), loginAdvice(h.loginErr))
	case h.login:
		h.good(h.subject, "role %s can log in", h.db.User)
	}
}

// loginAdvice says what to change where a login failed.
func loginAdvice(err error) string {
	var refused *wire.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "28P01":
		return "password_file: the role's password; or on the server: \\password"
	case errors.As(err, &refused) && refused.Code == "3D000":
		return "dbname: a database that exists on the server"
	}
	return "user and password_file of a role that can log in, and a hostssl line for it in pg_hba.conf"
}

// timeOfQuery bounds one statement.
const timeOfQuery = 5 * time.Second
