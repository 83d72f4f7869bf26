package login

import (
	"regexp"
)

// DefaultAuthQuery looks a role's secret up where PostgreSQL keeps it. It
// honours VALID UNTIL and NOLOGIN, as PostgreSQL does at a login. Everything in
// it is named with its schema, operators too, so that no setting of a session
// makes it mean something else. The third column tells for how many seconds the
// secret is valid yet.
const DefaultAuthQuery = `SELECT rolname,
	CASE WHEN rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.now() THEN NULL ELSE rolpassword END,
	CASE WHEN pg_catalog.isfinite(rolvaliduntil)
		THEN pg_catalog.date_part('epoch', rolvaliduntil OPERATOR(pg_catalog.-) pg_catalog.now()) END
FROM pg_catalog.pg_authid
WHERE rolname OPERATOR(pg_catalog.=) $1::pg_catalog.text AND rolcanlogin`

// memberQuery returns a row where the role $1 is the group $2, or a member of it
// directly or through other roles. pg_has_role would take superusers for
// members of every group, which PostgreSQL's access rules do not.
const memberQuery = `WITH RECURSIVE up(role) AS (
	SELECT oid FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) $1::pg_catalog.text
	UNION
	SELECT m.roleid FROM up JOIN pg_catalog.pg_auth_members m ON m.member OPERATOR(pg_catalog.=) up.role
)
SELECT 1 FROM up JOIN pg_catalog.pg_roles g ON g.oid OPERATOR(pg_catalog.=) up.role
WHERE g.rolname OPERATOR(pg_catalog.=) $2::pg_catalog.text`

// unqualified matches the name of a table or a function behind FROM or JOIN, and
// what follows it.
var unqualified = regexp.MustCompile(`(?i)\b(?:from|join)\s+(?:only\s+)?(?:[a-z_][\w$]*|"(?:[^"]|"")+")\s*(\.?)`)

// IsQualified reports whether an auth_query names its tables and functions with
// their schema, as far as that can be seen without parsing SQL. Other names
// are found through search_path, and so may be another user's.
func IsQualified(query string) bool {
	for _, m := range unqualified.FindAllStringSubmatch(query, -1) {
		if m[1] == "" {
			return false
		}
	}
	return true
}
