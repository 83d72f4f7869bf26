package ownsql

import (
	"encoding/hex"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/params"
)

// Set returns one statement that sets and resets parameters. set_config
// takes a value as the startup packet does, where SET would read 'a, b' as one
// name.
func Set(set []wire.Parameter, reset []string, local bool) string {
	var q strings.Builder
	item := func(name, value string) {
		if q.Len() == 0 {
			q.WriteString("SELECT ")
		} else {
			q.WriteString(", ")
		}
		q.WriteString("pg_catalog.set_config(" + literal(name) + ", " + value + ", ")
		if local {
			q.WriteString("true)")
		} else {
			q.WriteString("false)")
		}
	}
	for _, name := range reset {
		item(name, "NULL")
	}
	for _, p := range set {
		if p.Name != params.Role {
			item(p.Name, literal(p.Value))
		}
	}
	if i := params.Find(set, params.Role); i >= 0 { // last, since it may lack the privilege for the others
		item(params.Role, literal(set[i].Value))
	}
	return q.String()
}

// Restore returns a statement that sets those startup values that are not set in
// the session because they were reset: for good, or for the transaction.
func Restore(startup []wire.Parameter, local bool) string {
	var values []string
	for _, p := range startup {
		values = append(values, "("+literal(p.Name)+"::pg_catalog.text, "+literal(p.Value)+"::pg_catalog.text)")
	}
	is := "false"
	if local {
		is = "true"
	}
	return "SELECT pg_catalog.set_config(name, value, " + is + ") FROM (VALUES " + strings.Join(values, ", ") + ") AS base (name, value) WHERE " +
		"EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(base.name)" +
		" AND s.source OPERATOR(pg_catalog.<>) 'session')" +
		" OR pg_catalog.strpos(name, '.') OPERATOR(pg_catalog.>) 0 AND coalesce(pg_catalog.current_setting(name, true), '') OPERATOR(pg_catalog.=) ''" +
		" OR name OPERATOR(pg_catalog.=) 'role' AND pg_catalog.current_setting('role') OPERATOR(pg_catalog.=) 'none'"
}

// literal returns an expression for s that reads the same whatever the server's
// client_encoding and standard_conforming_strings are: anything but the plainest
// ASCII travels as hexadecimal digits.
func literal(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '\'' || c == '\\' {
			return "pg_catalog.convert_from(pg_catalog.decode('" + hex.EncodeToString([]byte(s)) +
				"', 'hex'), pg_catalog.getdatabaseencoding())"
		}
	}
	return "'" + s + "'"
}
