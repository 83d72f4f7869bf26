package doctor

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"time"
)

func client() *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: "pgseal"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// crl returns a CRL of an authority as PEM.
func (l *lab) crl(ca *x509.Certificate, key crypto.Signer, from, to time.Time) []byte {
	l.t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: to}, ca, key)
	if err != nil {
		l.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// fresh is a CRL in force.
func (l *lab) fresh(ca *x509.Certificate, key crypto.Signer) []byte {
	return l.crl(ca, key, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
}

// everything makes a set-up that has a good one of all that there is.
func (l *lab) everything() {
	l.pair("client", client())
	l.write("clients.crt", 0o644, certPEM(l.root), certPEM(l.mid))
	lists := [][]byte{l.fresh(l.root, l.rootKey), l.fresh(l.mid, l.midKey)}
	l.write("clients.crl", 0o644, lists...)
	l.write("servers.crl", 0o644, lists...)
	l.write("hba.conf", 0o600, []byte("# who may come in\nlocal all all peer\nhostssl all all all cert\nhost all all 127.0.0.1/32 scram-sha-256\n"))
	l.listen = "  - address: 0.0.0.0:6432\n    " + tlsPair + ", client_ca_file: DIR/clients.crt, client_crl_file: DIR/clients.crl}\n"
	l.database = "  app: {host: db.internal, sslrootcert: DIR/ca.crt, sslcrl: DIR/servers.crl, sslcert: DIR/client.crt, sslkey: DIR/client.key, user: app}\n"
	l.rest = "auth: {users_file: DIR/users.txt, hba_file: DIR/hba.conf}\n"
}

// with makes everything, and changes words of it.
func with(changes ...string) func(*lab) {
	return func(l *lab) {
		l.everything()
		r := strings.NewReplacer(changes...)
		before := l.listen + l.database + l.rest
		l.listen, l.database, l.rest = r.Replace(l.listen), r.Replace(l.database), r.Replace(l.rest)
		if l.listen+l.database+l.rest == before {
			l.t.Fatal("nothing is changed")
		}
	}
}

// rules has the set-up decide by these lines.
func rules(lines ...string) func(*lab) {
	return with("hba_file: DIR/hba.conf", "rules: ['"+strings.Join(lines, "', '")+"']")
}

// mistakesOfMore are those of files and settings that not everybody has.
var mistakesOfMore = []mistake{
	{"a client key that others read", "secret-readable", func(l *lab) { l.everything(); l.chmod("client.key", 0o640+0o004) }},
	{"a mock key that others read", "secret-readable", func(l *lab) {
		l.write("mock.key", 0o644, []byte("0123456789abcdef"))
		l.rest = "auth: {users_file: DIR/users.txt, mock_secret_file: DIR/mock.key}\n"
	}},
	{"a mock key that is too short", "unusable", func(l *lab) {
		l.write("mock.key", 0o600, []byte("short"))
		l.rest = "auth: {users_file: DIR/users.txt, mock_secret_file: DIR/mock.key}\n"
	}},
	{"client authorities that others write", "file-writable", func(l *lab) { l.everything(); l.chmod("clients.crt", 0o666) }},
	{"CRLs that others write", "file-writable", func(l *lab) { l.everything(); l.chmod("servers.crl", 0o666) }},
	{"access rules that others write", "file-writable", func(l *lab) { l.everything(); l.chmod("hba.conf", 0o666) }},
	{"included access rules that others write", "file-writable", func(l *lab) {
		l.everything()
		l.write("hba.conf", 0o600, []byte("include more.conf\n"))
		l.write("more.conf", 0o666, []byte("hostssl all all all cert\n"))
	}},
	{"an expired client certificate", "cert-expired", func(l *lab) {
		l.everything()
		c := client()
		c.NotBefore, c.NotAfter = time.Now().AddDate(0, -2, 0), time.Now().Add(-time.Hour)
		l.pair("client", c)
	}},
	{"a client authority that expires soon", "cert-expiring", func(l *lab) {
		l.everything()
		c := ca("old")
		c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, 20)
		old, key := l.issue(nil, nil, c)
		l.write("clients.crt", 0o644, certPEM(old))
		l.write("clients.crl", 0o644, l.fresh(old, key))
	}},
	{"a client key of another certificate", "key-mismatch", func(l *lab) {
		l.everything()
		l.pair("other", client())
		l.database = strings.ReplaceAll(l.database, "client.key", "other.key")
	}},
	{"a server's certificate shown to servers", "not-for-clients", func(l *lab) { l.everything(); l.pair("client", server()) }},
	{"a client authority that is none", "root-no-authority", func(l *lab) {
		l.everything()
		l.write("clients.crt", 0o644, certPEM(l.mid), certPEM(l.root), certPEM(l.pair("client", client())))
	}},
	{"an expired CRL for clients", "crl-expired", func(l *lab) {
		l.everything()
		l.write("clients.crl", 0o644, l.fresh(l.root, l.rootKey), l.crl(l.mid, l.midKey, time.Now().AddDate(0, -1, 0), time.Now().Add(-time.Hour)))
	}},
	{"an expired CRL for servers", "crl-expired", func(l *lab) {
		l.everything()
		l.write("servers.crl", 0o644, l.crl(l.root, l.rootKey, time.Now().AddDate(0, -1, 0), time.Now().Add(-time.Hour)), l.fresh(l.mid, l.midKey))
	}},
	{"a CRL that expires soon", "crl-expiring", func(l *lab) {
		l.everything()
		l.write("servers.crl", 0o644, l.crl(l.root, l.rootKey, time.Now().AddDate(0, -1, 0), time.Now().Add(time.Hour)), l.fresh(l.mid, l.midKey))
	}},
	{"an authority without a CRL", "crl-missing", func(l *lab) { l.everything(); l.write("clients.crl", 0o644, l.fresh(l.root, l.rootKey)) }},
	{"a CRL that somebody else signed", "crl-missing", func(l *lab) {
		l.everything()
		fake, key := l.issue(nil, nil, ca("root"))
		l.write("servers.crl", 0o644, l.fresh(fake, key), l.fresh(l.mid, l.midKey))
	}},
	{"a CRL that is garbage", "unusable", func(l *lab) { l.everything(); l.write("servers.crl", 0o644, []byte("garbage")) }},
	{"client authorities that are missing", "unusable", with("clients.crt", "none.crt")},
	{"no channel binding", "channel-binding-off", with("user: app", "user: app, channel_binding: disable")},
	{"md5 towards servers", "require-auth-md5", with("user: app", "user: app, require_auth: 'scram-sha-256,md5'")},
	{"passwords in the clear towards servers", "require-auth-password", with("user: app", "user: app, require_auth: '!md5'")},
	{"old cipher suites", "weak-ciphers", with("tls.key,", "tls.key, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA',")},
	{"no post-quantum groups for clients", "no-post-quantum", with("tls.key,", "tls.key, groups: 'X25519:prime256v1',")},
	{"no post-quantum groups for servers", "no-post-quantum", with("user: app", "user: app, ssl_groups: X25519")},
	{"sessions that outlive certificates", "client-cert-kept", with("tls.key,", "tls.key, client_cert_recheck: keep,")},
	{"session state that is ignored", "session-state-ignored", with("auth:", "pool: {session_state: ignore}\nauth:")},
	{"HTTP in plaintext", "http-plaintext", with("auth:", "http: {address: '0.0.0.0:9432'}\nauth:")},
	{"HTTP without a token", "http-open", with("auth:", "http: {address: '[::]:9432'}\nauth:")},
	{"a token that others read", "secret-readable", func(l *lab) {
		with("auth:", "http: {bearer_token_file: DIR/token}\nauth:")(l)
		l.write("token", 0o644, []byte("0123456789abcdef"))
	}},
	{"a token that is too short", "unusable", func(l *lab) {
		with("auth:", "http: {bearer_token_file: DIR/token}\nauth:")(l)
		l.write("token", 0o600, []byte("short"))
	}},
	{"servers that are not reset", "no-reset", with("auth:", "pool: {server_reset_query: ''}\nauth:")},
	{"trust in a file of rules", "rule-trust", func(l *lab) { l.everything(); l.write("hba.conf", 0o600, []byte("hostssl all all all trust\n")) }},
	{"trust in inline rules", "rule-trust", rules("hostssl all all all scram-sha-256", "local all all trust")},
	{"trust for other machines", "trust-anywhere", with("auth: {", "auth: {trust_anywhere: true, ")},
	{"administrators by trust", "admin-trust", func(l *lab) {
		rules("local all postgres peer", "local pgseal boss trust", "hostssl all all all scram-sha-256")(l)
		l.rest += "admin: {users: [boss]}\n"
	}},
	{"administrators by trust in a file of rules", "admin-trust", func(l *lab) {
		with("auth:", "admin: {users: [alice, boss]}\nauth:")(l)
		l.write("hba.conf", 0o600, []byte("hostssl all all all scram-sha-256\nlocal pgbouncer /^b,alice trust\n"))
	}},
	{"an administrator without a secret", "admin-no-login", func(l *lab) { l.rest += "admin: {users: [boss]}\n" }},
	{"a watcher without a rule", "admin-no-login", func(l *lab) {
		rules("hostssl app,pgseal alice all scram-sha-256", "hostssl all watcher all reject")(l)
		l.rest += "admin: {users: [alice], stats_users: [watcher]}\n"
	}},
	{"passwords in the clear", "rule-password", rules("hostssl all all all password")},
	{"LDAP in plaintext", "rule-ldap-plaintext", rules("hostssl all all all ldap ldapserver=localhost ldapprefix=cn=")},
	{"LDAP in plaintext anywhere", "ldap-plaintext", with("auth: {", "auth: {ldap_plaintext: true, ")},
	{"LDAP without a login for the server", "rule-no-login", func(l *lab) {
		rules("hostssl app all all ldap ldapserver=ldap.example.org ldaptls=1 ldapprefix=cn=", "local all all scram-sha-256")(l)
		l.database = strings.ReplaceAll(l.database, ", user: app", "")
	}},
	{"certificates without a login for the server", "rule-no-login", func(l *lab) {
		l.everything()
		l.database = strings.ReplaceAll(l.database, ", user: app", "")
	}},
	{"md5 rules", "rule-md5", rules("hostssl all all all md5")},
	{"rules that take plaintext", "rule-plaintext", func(l *lab) {
		rules("host all all 10.0.0.0/8 scram-sha-256")(l)
		l.listen = "  - address: 0.0.0.0:6432\n    " + tlsPair + ", mode: prefer}\n"
	}},
	{"no rule for clients with TLS", "rule-no-tls", rules("local all all peer", "hostnossl all all all scram-sha-256", "hostssl all all all reject")},
	{"a certificate that nobody asks for", "rule-no-certificate", with(", client_ca_file: DIR/clients.crt, client_crl_file: DIR/clients.crl", "")},
	{"a lookup without a schema", "auth-query-unqualified", with("auth: {", "auth: {auth_user: looker, auth_query: 'SELECT usename, passwd FROM pg_shadow WHERE usename = $1', ")},
	{"a lookup of one database without a schema", "auth-query-unqualified", with("user: app", "user: app, auth_user: looker, auth_query: 'SELECT * FROM find($1)'")},
	{"a password for lookups that others read", "secret-readable", func(l *lab) {
		with("auth: {", "auth: {auth_user: looker, auth_password_file: DIR/lookup, ")(l)
		l.write("lookup", 0o644, []byte("sesame\n"))
	}},
	{"a password for lookups that is missing", "unusable", with("auth: {", "auth: {auth_user: looker, auth_password_file: DIR/none, ")},
	{"access rules that don't parse", "unusable", rules("hostssl all all")},
	{"access rules that are missing", "unusable", with("hba.conf", "none.conf")},
}

// revoking is a CRL of the intermediate that names a certificate.
func (l *lab) revoking(cert *x509.Certificate) []byte {
	l.t.Helper()
	now := time.Now()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(2), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.AddDate(1, 0, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: cert.SerialNumber, RevocationTime: now.Add(-time.Minute)}},
	}, l.mid, l.midKey)
	if err != nil {
		l.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}
