package config

import "regexp"

// iniFile matches what a configuration of PgBouncer's has and no YAML file of
// ours: the head of a section, or %include.
var iniFile = regexp.MustCompile(`(?m)^[ \t]*(\[(pgbouncer|databases|users|peers)\]|%include\b)`)

// pgbouncer tells of keys that PgBouncer has under another name, or that
// nothing stands for here. A value that is a path of keys is where the matter
// is now, with [] for a place in a list and NAME for a name; others are
// sentences. docs/pgbouncer.md shows it all.
var pgbouncer = map[string]string{
	"listen_addr":     "listen[].address",
	"listen_port":     "listen[].address",
	"unix_socket_dir": "listen[].address",

	"auth_file":       "auth.users_file",
	"auth_hba_file":   "auth.hba_file",
	"auth_ident_file": "auth.ident_file",
	"auth_type":       "auth.rules",
	"admin_users":     "admin.users",

	"auth_ldap_parameter": "auth.rules",

	"client_tls_sslmode":   "listen[].tls.mode",
	"client_tls_cert_file": "listen[].tls.cert_file",
	"client_tls_key_file":  "listen[].tls.key_file",
	"client_tls_ca_file":   "listen[].tls.client_ca_file",
	"client_tls_protocols": "listen[].tls.min_version",
	"client_tls_ciphers":   "listen[].tls.ciphers",
	"client_tls_ecdhcurve": "listen[].tls.groups",
	"server_tls_sslmode":   "databases.NAME.sslmode",
	"server_tls_ca_file":   "databases.NAME.sslrootcert",
	"server_tls_cert_file": "databases.NAME.sslcert",
	"server_tls_key_file":  "databases.NAME.sslkey",
	"server_tls_protocols": "databases.NAME.ssl_min_protocol_version",

	"reserve_pool":              "databases.NAME.reserve_pool_size",
	"application_name_add_host": "databases.NAME.stamp_identity",
	"verbose":                   "log.level",
	"so_reuseport":              "workers",

	"ignore_startup_parameters": "not needed: every parameter that PostgreSQL takes follows the client",
	"track_extra_parameters":    "not needed: every parameter that PostgreSQL takes follows the client",
	"server_fast_close":         "not needed: RECONNECT at the console does it",
	"client_tls13_ciphers":      "not needed: all suites of TLS 1.3 are good",
	"server_tls13_ciphers":      "not needed: all suites of TLS 1.3 are good",
	"logfile":                   "not needed: the log goes to standard error",
	"syslog":                    "not needed: the log goes to standard error",
	"pidfile":                   "not needed: pgseal stays in the foreground, and the service manager knows its process",
	"include":                   "not there: the configuration is one file",
}

// pathOfKeys tells the paths among the values of pgbouncer from the sentences.
var pathOfKeys = regexp.MustCompile(`^[a-zA-Z0-9_.\[\]]+$`)
