package targets

import (
	"strings"
	"text/template"
)

func render(name, text string, c config) string {
	var b strings.Builder
	// Executing a template of ours with a struct of ours can't fail.
	if err := template.Must(template.New(name).Parse(text)).Execute(&b, c); err != nil {
		panic(err)
	}
	return b.String()
}

// usersFile is the list of who may log in, in the format that PgBouncer and
// pgseal share.
func usersFile(c config) string {
	return render("users.txt", `"{{.User}}" "{{.Secret}}"
`, c)
}

func pgsealYAML(c config) string {
	return render("config.yaml", `listen:
  - address: 127.0.0.1:{{.Port}}
    tls:
      cert_file: {{.Dir}}/tls.crt
      key_file: {{.Dir}}/tls.key
databases:
  {{.Database}}:
    host: 127.0.0.1
    port: {{.ServerPort}}
    user: {{.User}}
    password_file: {{.Dir}}/password
    sslmode: verify-full
    sslrootcert: {{.CAFile}}
    sslcert: {{.Dir}}/client.crt
    sslkey: {{.Dir}}/client.key
    pool_mode: transaction
    pool_size: {{.PoolSize}}
pool:
  max_client_conn: {{.MaxClients}}
auth:
  users_file: {{.Dir}}/users.txt
log:
  level: warn
{{- if .Workers}}
workers: {{.Workers}}
{{- end}}
`, c)
}

func pgbouncerINI(c config) string {
	return render("pgbouncer.ini", `[databases]
{{.Database}} = host=127.0.0.1 port={{.ServerPort}} dbname={{.Database}} user={{.User}} password={{.Password}}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {{.Port}}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {{.Dir}}/users.txt
client_tls_sslmode = require
client_tls_cert_file = {{.Dir}}/tls.crt
client_tls_key_file = {{.Dir}}/tls.key
server_tls_sslmode = verify-full
server_tls_ca_file = {{.CAFile}}
pool_mode = transaction
default_pool_size = {{.PoolSize}}
max_client_conn = {{.MaxClients}}
{{- if .MaxPrepared}}
max_prepared_statements = 200
{{- end}}
log_connections = 0
log_disconnections = 0
log_stats = 0
`, c)
}

func haproxyCFG(c config) string {
	return render("haproxy.cfg", `global
    maxconn {{.MaxConnections}}

defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h

listen postgresql
    bind 127.0.0.1:{{.Port}}
    server postgresql 127.0.0.1:{{.ServerPort}}
`, c)
}
