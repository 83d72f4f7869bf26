package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

// facts is what a server reveals about itself after login.
type facts struct {
	settings map[string]string
	rules    []rule
	md5Roles []string
	plain    []string // roles with sessions over a network without TLS
}

// rule is a line of pg_hba.conf as pg_hba_file_rules has it.
type rule struct{ line, kind, address, method, problem string }

// insufficientPrivilege is SQLSTATE 42501.
const insufficientPrivilege = "42501"

func (f *facts) read(ctx context.Context, conn *backend.Conn, unseen func(string)) {
	ask := func(what, grant, sql string) []wire.Row {
		bounded, cancel := context.WithTimeout(ctx, timeOfQuery)
		defer cancel()
		rows, err := conn.Query(bounded, sql)
		var refused *wire.Error
		switch {
		case errors.As(err, &refused) && refused.Code == insufficientPrivilege:
			unseen(what + ": permission denied" + grant)
		case err != nil:
			unseen(what + ": " + err.Error())
		}
		return rows
	}
	f.settings = map[string]string{}
	for _, row := range ask("settings", "", `SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN
		('ssl', 'ssl_min_protocol_version', 'ssl_ca_file', 'password_encryption')`) {
		f.settings[row[0].Text] = row[1].Text
	}
	if f.settings["ssl"] == "on" && f.settings["ssl_min_protocol_version"] == "" { // left out of its rows
		unseen("ssl_min_protocol_version: permission denied (GRANT pg_read_all_settings)")
	}
	for _, row := range ask("access rules", " (GRANT SELECT ON pg_hba_file_rules, GRANT EXECUTE ON FUNCTION pg_hba_file_rules(), or log in as a superuser)",
		`SELECT line_number::text, coalesce(type, ''), coalesce(address || coalesce('/' || netmask, ''), ''), coalesce(auth_method, ''), coalesce(error, '')
		FROM pg_catalog.pg_hba_file_rules`) {
		f.rules = append(f.rules, rule{row[0].Text, row[1].Text, row[2].Text, row[3].Text, row[4].Text})
	}
	for _, row := range ask("secrets of roles", " (only a superuser may read pg_authid)",
		`SELECT rolname FROM pg_catalog.pg_authid WHERE rolpassword LIKE 'md5%' ORDER BY 1`) {
		f.md5Roles = append(f.md5Roles, row[0].Text)
	}
	// Without the privilege the rows of others are there, and empty.
	rows := ask("sessions of others", "", `SELECT (pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))::text`)
	if len(rows) == 1 && rows[0][0].Text != "true" {
		unseen("sessions without TLS: permission denied for those of other roles (GRANT pg_read_all_stats)")
	}
	for _, row := range ask("sessions", "", `SELECT DISTINCT coalesce(a.usename, '') FROM pg_catalog.pg_stat_ssl s
		JOIN pg_catalog.pg_stat_activity a USING (pid)
		WHERE NOT s.ssl AND a.client_addr IS NOT NULL ORDER BY 1`) {
		f.plain = append(f.plain, row[0].Text)
	}
}

func serverMinTLS(h *host) {
	switch v := h.facts.settings["ssl_min_protocol_version"]; {
	case h.facts.settings["ssl"] == "on" && (v == "TLSv1" || v == "TLSv1.1"):
		h.found("host", fmt.Sprintf("the server accepts TLS older than 1.2 (ssl_min_protocol_version is %q)", v), "in postgresql.conf: ssl_min_protocol_version = 'TLSv1.2'")
	case v != "":
		h.good(h.subject, "ssl_min_protocol_version is %s", v)
	}
}

func serverPasswordEncryption(h *host) {
	switch v := h.facts.settings["password_encryption"]; v {
	case "":
	case "scram-sha-256":
		h.good(h.subject, "password_encryption is scram-sha-256")
	default:
		h.found("host", "password_encryption is "+v, "in postgresql.conf: password_encryption = 'scram-sha-256'")
	}
}

func serverMD5Roles(h *host) {
	if n := len(h.facts.md5Roles); n > 0 {
		h.found("host", fmt.Sprintf("%d roles have md5 passwords: %s", n, some(h.facts.md5Roles)), "with password_encryption = scram-sha-256: \\password "+h.facts.md5Roles[0])
	}
}

// some formats the first few entries of a list.
func some(list []string) string {
	if len(list) > 5 {
		return strings.Join(list[:5], ", ") + fmt.Sprintf(" and %d more", len(list)-5)
	}
	return strings.Join(list, ", ")
}

// remote reports whether a rule accepts connections over a network.
func (r rule) remote() bool {
	if r.kind == "local" || r.kind == "" || r.problem != "" || r.method == "reject" {
		return false
	}
	addr, _, _ := strings.Cut(r.address, "/")
	ip, err := netip.ParseAddr(addr)
	return err != nil || !ip.IsLoopback()
}

// rules reports the offending lines of pg_hba.conf.
func (h *host) rules(bad func(rule) bool, what, change string) {
	var lines []string
	for _, r := range h.facts.rules {
		if bad(r) {
			lines = append(lines, r.line)
		}
	}
	if len(lines) > 0 {
		h.found("host", fmt.Sprintf("pg_hba.conf %s: line %s", what, some(lines)), change)
	}
}

func hbaPlaintext(h *host) {
	h.rules(func(r rule) bool {
		return r.remote() && slices.Contains([]string{"host", "hostnossl"}, r.kind) && r.method != "gss"
	},
		"accepts plaintext connections", "in pg_hba.conf: hostssl instead of host")
}

func hbaTrust(h *host) {
	h.rules(func(r rule) bool { return r.method == "trust" && r.kind != "local" }, "accepts anyone (trust)", "in pg_hba.conf: scram-sha-256 instead of trust")
}

func hbaPassword(h *host) {
	h.rules(func(r rule) bool { return r.method == "password" }, "requests passwords in clear text", "in pg_hba.conf: scram-sha-256 instead of password")
}

func hbaMD5(h *host) {
	h.rules(func(r rule) bool { return r.method == "md5" }, "uses md5", "in pg_hba.conf: scram-sha-256 instead of md5")
}

func serverSessions(h *host) {
	if len(h.facts.plain) > 0 {
		h.found("host", "sessions over TCP without TLS, of roles "+some(h.facts.plain), "in pg_hba.conf: hostssl instead of host, and sslmode=verify-full in their DSN")
	}
}
