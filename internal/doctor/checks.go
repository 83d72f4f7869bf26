package doctor

// Check is one thing that is looked for.
type Check struct {
	ID       string // never changes
	Severity Severity
	Why      string // why it matters, one sentence

	offline func(*exam) // looks at configuration and files
	online  func(*host) // looks at one server
}

// configCheck stands for what config.Load refuses.
var configCheck = Check{ID: "config", Severity: Error, Why: "pgseal does not start with this configuration, and keeps the old one at a reload."}

// Checks returns all checks.
func Checks() []Check { return append([]Check{configCheck}, checks...) }

var checks = []Check{
	{ID: "secret-readable", Severity: Error, offline: secretReadable,
		Why: "Who can read a key or a password can pose as its owner."},
	{ID: "file-writable", Severity: Error, offline: fileWritable,
		Why: "Who can write this file decides whom pgseal trusts and where it connects."},
	{ID: "file-directory", Severity: Error, offline: fileDirectory,
		Why: "Who can write a directory can replace the files in it, whatever their own permissions."},
	{ID: "password-readable", Severity: Error, offline: passwordReadable,
		Why: "Everybody on this machine can log in to the server with it."},
	{ID: "password-in-config", Severity: Note, offline: passwordInConfig,
		Why: "A configuration is copied and shown around; a file of its own is not."},
	{ID: "cert-expired", Severity: Error, offline: certExpired,
		Why: "Whoever verifies it refuses every connection."},
	{ID: "cert-expiring", Severity: Warning, offline: certExpiring,
		Why: "From that day on, whoever verifies it refuses every connection."},
	{ID: "weak-key", Severity: Error, offline: weakKey,
		Why: "Keys of this size can be broken, or soon will be."},
	{ID: "weak-signature", Severity: Error, offline: weakSignature,
		Why: "Certificates signed by MD5 or SHA-1 can be forged, and clients refuse them."},
	{ID: "key-mismatch", Severity: Error, offline: keyMismatch,
		Why: "No TLS handshake can succeed, so pgseal does not start with this pair."},
	{ID: "not-for-servers", Severity: Error, offline: notForServers,
		Why: "Clients that verify refuse it."},
	{ID: "root-no-authority", Severity: Warning, offline: rootNoAuthority,
		Why: "Only a server that shows this very certificate is trusted, so its renewal stops all connections."},
	{ID: "chain-order", Severity: Error, offline: chainOrder,
		Why: "Clients cannot follow the chain to a root they know."},
	{ID: "chain-gap", Severity: Error, offline: chainGap,
		Why: "Clients that know only the root cannot verify the certificate."},
	{ID: "san-missing", Severity: Error, offline: sanMissing,
		Why: "Clients that verify the host look at nothing else and refuse the certificate."},
	{ID: "san-mismatch", Severity: Warning, offline: sanMismatch,
		Why: "Clients that connect to the listener by this name or address and verify it are refused."},
	{ID: "plaintext-clients", Severity: Error, offline: plaintextClients,
		Why: "Anybody on the way can read and change what clients send and get."},
	{ID: "plaintext-loopback", Severity: Warning, offline: plaintextLoopback,
		Why: "Other programs on this machine may listen in, and the setting survives a move to another one."},
	{ID: "plaintext-server", Severity: Error, offline: plaintextServer,
		Why: "Anybody on the way can read and change what goes to and comes from the server."},
	{ID: "unverified-server", Severity: Error, offline: unverifiedServer,
		Why: "Anybody on the way can answer in the server's place."},
	{ID: "unverified-name", Severity: Warning, offline: unverifiedName,
		Why: "Any host with a certificate of the same authority can answer in the server's place."},
	{ID: "login-without-password", Severity: Warning, offline: loginWithoutPassword,
		Why: "The server refuses the login, or lets anybody in."},
	{ID: "users-md5", Severity: Error, offline: usersMD5,
		Why: "An md5 secret is as good as the password itself; pgseal refuses the file."},
	{ID: "users-plain", Severity: Warning, offline: usersPlain,
		Why: "Who reads the file has the passwords; a SCRAM secret cannot be used to log in."},
	{ID: "unusable", Severity: Error, offline: unusable,
		Why: "pgseal does not start with this, and keeps the old version at a reload."},

	{ID: "server-unreachable", Severity: Error, online: serverUnreachable,
		Why: "Clients of this database get an error when this host is their turn."},
	{ID: "server-no-tls", Severity: Error, online: serverNoTLS,
		Why: "Connections to it would have to be in plaintext."},
	{ID: "server-unverified", Severity: Error, online: serverUnverified,
		Why: "Nobody can tell this server from somebody who answers in its place."},
	{ID: "server-cert-expiring", Severity: Warning, online: serverExpiring,
		Why: "From that day on pgseal refuses to connect to it."},
	{ID: "server-weak-cert", Severity: Error, online: serverWeakCert,
		Why: "Weak keys can be broken and weak signatures forged."},
	{ID: "server-login", Severity: Error, online: serverLogin,
		Why: "No client of this database gets a server."},
	{ID: "server-min-tls", Severity: Error, online: serverMinTLS,
		Why: "Other clients may be talked down to a broken version of TLS."},
	{ID: "server-password-encryption", Severity: Error, online: serverPasswordEncryption,
		Why: "New passwords are kept as md5, which is as good as the password itself."},
	{ID: "server-md5-roles", Severity: Error, online: serverMD5Roles,
		Why: "An md5 secret from a backup or a dump is enough to log in."},
	{ID: "server-hba-plaintext", Severity: Error, online: hbaPlaintext,
		Why: "Clients that go round pgseal may send everything in plaintext."},
	{ID: "server-hba-trust", Severity: Error, online: hbaTrust,
		Why: "Anybody who reaches the server gets in without a password."},
	{ID: "server-hba-password", Severity: Warning, online: hbaPassword,
		Why: "The password itself is sent, so whoever poses as the server has it."},
	{ID: "server-hba-md5", Severity: Warning, online: hbaMD5,
		Why: "md5 is broken; it stays in use for roles whose secret is md5."},
	{ID: "server-sessions-plaintext", Severity: Warning, online: serverSessions,
		Why: "What they send and get can be read and changed on the way."},
}
