package doctor

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/httpd"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/tlsconf"
)

// onLoopback reports whether only this machine reaches a listener.
func (l listener) onLoopback() bool {
	host, _, err := net.SplitHostPort(l.Address)
	return err == nil && loopback(host)
}

func plaintextClients(e *exam) {
	for _, l := range e.listeners {
		if l.unix || l.onLoopback() {
			continue
		}
		switch l.TLS.Mode {
		case tlsconf.ListenRequire:
			e.good(l.subject, "clients must use TLS %s or newer", l.TLS.MinVersion)
		case tlsconf.ListenPrefer:
			e.found(l.subject, l.key+".tls.mode", "clients without TLS are accepted (tls.mode prefer)", "mode: require")
		default:
			e.found(l.subject, l.key+".tls.mode", "all clients are served in plaintext (tls.mode disable)", "mode: require, with cert_file and key_file")
		}
	}
}

func plaintextLoopback(e *exam) {
	for _, l := range e.listeners {
		if !l.unix && l.onLoopback() && l.TLS.Mode != tlsconf.ListenRequire {
			e.found(l.subject, l.key+".tls.mode", "clients on this machine may connect in plaintext (tls.mode "+l.TLS.Mode+")", "mode: require")
		}
	}
	for _, d := range e.databases {
		if tcp := d.tcp(); len(tcp) > 0 && d.SSLMode == tlsconf.SSLModeDisable && allLoopback(tcp) {
			e.found(d.subject, d.key+".sslmode", "the server on this machine is reached in plaintext (sslmode disable)", "sslmode: verify-full, or a socket directory as host")
		}
	}
}

func allLoopback(hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(h string) bool { return !loopback(h) })
}

func plaintextServer(e *exam) {
	for _, d := range e.databases {
		if tcp := d.tcp(); len(tcp) > 0 && d.SSLMode == tlsconf.SSLModeDisable && !allLoopback(tcp) {
			e.found(d.subject, d.key+".sslmode", "passwords and data are sent to "+strings.Join(tcp, ", ")+" in plaintext (sslmode disable)",
				"sslmode: verify-full, with sslrootcert")
		}
	}
}

func unverifiedServer(e *exam) {
	for _, d := range e.databases {
		switch {
		case d.SSLMode == tlsconf.SSLModeRequire && d.SSLRootCert == "":
			e.found(d.subject, d.key+".sslmode", "the server certificate is not verified (sslmode require)", "sslmode: verify-full, with sslrootcert")
		case d.SSLMode == tlsconf.SSLModeVerifyFull:
			e.good(d.subject, "servers are fully verified, against %s", d.SSLRootCert)
		}
	}
}

func unverifiedName(e *exam) {
	for _, d := range e.databases {
		if d.SSLMode == tlsconf.SSLModeVerifyCA || d.SSLMode == tlsconf.SSLModeRequire && d.SSLRootCert != "" {
			e.found(d.subject, d.key+".sslmode", fmt.Sprintf("the server's host name is not verified (sslmode %s)", d.SSLMode), "sslmode: verify-full")
		}
	}
}

func weakCiphers(e *exam) {
	for _, l := range e.listeners {
		if weak := tlsconf.WeakCiphers(l.TLS.Ciphers); l.tls() && len(weak) > 0 {
			e.found(l.subject, l.key+".tls.ciphers", "ciphers allows TLS 1.2 suites without AEAD: "+strings.Join(weak, ", "), `ciphers: "" (all suites with AEAD)`)
		}
	}
}

func noPostQuantum(e *exam) {
	for _, l := range e.listeners {
		if l.tls() && !tlsconf.PostQuantum(l.TLS.Groups) {
			e.found(l.subject, l.key+".tls.groups", "groups offers no post-quantum key exchange: "+l.TLS.Groups, `groups: "", or X25519MLKEM768 before the others`)
		}
	}
	for _, d := range e.databases {
		if d.SSLMode != tlsconf.SSLModeDisable && !tlsconf.PostQuantum(d.Groups) {
			e.found(d.subject, d.key+".ssl_groups", "ssl_groups offers no post-quantum key exchange: "+d.Groups, `ssl_groups: "", or X25519MLKEM768 before the others`)
		}
	}
}

func channelBindingOff(e *exam) {
	for _, d := range e.databases {
		if d.SSLMode != tlsconf.SSLModeDisable && d.ChannelBinding == tlsconf.ChannelBindingDisable {
			e.found(d.subject, d.key+".channel_binding", "logins do not use channel binding (channel_binding disable)", "channel_binding: prefer, or require")
		}
	}
}

func clientCertKept(e *exam) {
	for _, l := range e.listeners {
		if l.asksClients() && l.TLS.ClientCertRecheck == tlsconf.RecheckKeep {
			e.found(l.subject, l.key+".tls.client_cert_recheck", "sessions outlive the validity of their client certificate (client_cert_recheck keep)", "client_cert_recheck: end")
		}
	}
}

func sessionStateIgnored(e *exam) {
	p := e.file.Pool
	if p.SessionState == pool.IgnoreState && !(p.ServerResetQueryAlways && p.ServerResetQuery != "") {
		e.found(subjectPools, "pool.session_state", "session state is leaked to other clients (session_state ignore)", "session_state: pin, strict or reject")
	}
}

func noReset(e *exam) {
	if e.file.Pool.ServerResetQuery == "" {
		e.found(subjectPools, "pool.server_reset_query", "server connections are not reset between sessions (server_reset_query is empty)", "server_reset_query: DISCARD ALL")
	}
}

func loginWithoutPassword(e *exam) {
	for _, d := range e.databases {
		if d.User != "" && d.Password == "" && d.PasswordFile == "" && d.SSLCert == "" {
			e.found(d.subject, d.key+".user", fmt.Sprintf("role %q logs in without a password", d.User),
				"password_file: "+filepath.Join(filepath.Dir(e.file.Path()), d.name+".password"))
		}
	}
}

func requireAuthMD5(e *exam) {
	for _, d := range e.databases {
		if d.AllowsMD5() {
			e.found(d.subject, d.key+".require_auth", "servers may request md5 authentication (require_auth "+d.RequireAuth+")", "require_auth: scram-sha-256,none, and SCRAM secrets on the server")
		}
	}
}

func requireAuthPassword(e *exam) {
	for _, d := range e.databases {
		if d.AllowsPassword() {
			e.found(d.subject, d.key+".require_auth", "servers may request the password itself (require_auth "+d.RequireAuth+")", "require_auth: scram-sha-256,none")
		}
	}
}

func usersMD5(e *exam) {
	if lines := e.usersOf(auth.KindMD5); len(lines) > 0 {
		e.inUsers(lines, "md5 secrets", "reset the role's password in PostgreSQL with password_encryption = scram-sha-256, and use the new secret (SELECT rolpassword FROM pg_authid)")
	}
}

func usersPlain(e *exam) {
	if lines := e.usersOf(auth.KindPlain); len(lines) > 0 {
		e.inUsers(lines, "plaintext passwords", "each role's secret from the server (SELECT rolpassword FROM pg_authid), or pgseal hash-password if the database has a fixed user")
	} else if scram := e.usersOf(auth.KindSCRAM); len(scram) > 0 {
		e.good(subjectUsers, "no secret is weaker than SCRAM-SHA-256 (%s)", Count(len(scram), "role"))
	}
}

// usersNone reports a users file without roles, unless there is an auth_query.
func usersNone(e *exam) {
	if e.file.Auth.UsersFile == "" || len(e.users) > 0 || e.failed(subjectUsers) || len(e.file.Lookups()) > 0 {
		return
	}
	e.found(subjectUsers, "auth.users_file", "the users file contains no roles", `a line "ROLE" "SECRET" for each role, with the secret from the server (SELECT rolpassword FROM pg_authid)`)
}

func (e *exam) usersOf(kind string) []auth.UserLine {
	var list []auth.UserLine
	for _, u := range e.users {
		if u.Kind == kind {
			list = append(list, u)
		}
	}
	return list
}

// inUsers reports lines of the users file: how many, and where the first is.
func (e *exam) inUsers(lines []auth.UserLine, what, change string) {
	f := e.found(subjectUsers, "auth.users_file", fmt.Sprintf("%d of %d users have %s, the first one is %q", len(lines), len(e.users), what, lines[0].Name), change)
	f.File, f.Line = e.file.Auth.UsersFile, lines[0].Line
}

// unusable reports what serve would reject and no other check has explained, by
// loading it as serve does. It is the last of the offline checks.
func unusable(e *exam) {
	report := func(subject, key string, err error) {
		if err != nil && !e.failed(subject) {
			e.found(subject, key, err.Error(), "correct the file named in the message")
		}
	}
	for _, l := range e.listeners {
		if l.tls() {
			_, err := tlsconf.NewListenerStore(l.subject, l.TLS)
			report(l.subject, l.key+".tls", err)
		}
	}
	for _, d := range e.databases {
		_, err := tlsconf.NewUpstreamStore(d.subject, d.UpstreamConfig)
		report(d.subject, d.key+".sslrootcert", err)
		if d.PasswordFile != "" {
			_, err := reload.ReadSecretFile(d.PasswordFile)
			report(d.subject, d.key+".password_file", err)
		}
	}
	for _, l := range e.lookupPasswords() {
		_, err := reload.ReadSecretFile(l.path)
		report(l.subject, l.key, err)
	}
	report(subjectAccess, e.accessKey(), e.accessErr)
	report(subjectUsers, "auth.users_file", e.usersErr)
	if path := e.file.Auth.MockSecretFile; path != "" {
		content, err := reload.ReadSecretFile(path)
		if err == nil {
			_, err = auth.ParseMocker(path, content)
		}
		report(subjectUsers, "auth.mock_secret_file", err)
	}
	if c := e.file.HTTP; c.Address != "" {
		_, err := c.TLS.NewCertificate()
		report(subjectHTTP, "http.tls", err)
		_, err = httpd.NewToken(c.BearerTokenFile)
		report(subjectHTTP, "http.bearer_token_file", err)
	}
}
