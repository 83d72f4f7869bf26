package config

import "regexp"

// iniFile matches what a configuration of PgBouncer's has and no YAML file of
// ours: the head of a section, or %include.
var iniFile = regexp.MustCompile(`(?m)^[ \t]*(\[(pgbouncer|databases|users|peers)\]|%include\b)`)

// pgbouncer tells of keys that PgBouncer has under another name, or that
// have no counterpart here. A value is the path of the key that replaces it,
// with [] for an index and NAME for a name, or a phrase that says why there is
// none. docs/pgbouncer.md lists them all.
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

	"ignore_startup_parameters": "not needed: all parameters of a client are tracked",
	"track_extra_parameters":    "not needed: all parameters of a client are tracked",
	"server_fast_close":         "not needed: use RECONNECT at the console",
	"client_tls13_ciphers":      "not needed: all TLS 1.3 cipher suites are secure",
	"server_tls13_ciphers":      "not needed: all TLS 1.3 cipher suites are secure",
	"logfile":                   "not needed: the log is written to standard error",
	"syslog":                    "not needed: the log is written to standard error",
	"pidfile":                   "not needed: pgseal runs in the foreground, under a service manager",
	"include":                   "not supported: the configuration is a single file",
}
