package ownsql

import (
	"encoding/hex"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// Bounds of what a client's session may carry from server to server. One that
// has more stays where it is.
const (
	MaxRow   = 8 << 10
	maxBytes = 64 << 10
)

// hexOf is the text of an expression as hexadecimal digits, which read the same
// whatever the client's encoding is.
func hexOf(expression string) string {
	return "pg_catalog.encode(pg_catalog.convert_to(" + expression + ", pg_catalog.getdatabaseencoding()), 'hex')"
}

// mayGranted holds for a parameter that the role which logged in was granted, as
// it can be since PostgreSQL 15.
const mayGranted = "OR pg_catalog.has_parameter_privilege(SESSION_USER, name, 'SET') "

// questions are the parts of the query. Each returns rows of a letter, a name
// and a value. Operators and functions are named with their schema: the client
// may have set search_path.
var questions = []struct {
	asks effects.Set
	sql  string
}{
	{effects.Carried, "SELECT CASE WHEN context OPERATOR(pg_catalog.=) ANY ('{user,backend}') OR pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' " +
		mayGranted + "THEN 's' ELSE 'x' END, " + hexOf("name") + ", " + hexOf("setting") +
		" FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'"},
	{effects.Role, "SELECT 's', " + hexOf("'role'") + ", " + hexOf("pg_catalog.current_setting('role')") +
		" WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'"},
	{effects.SessionAuth, "SELECT 'u', '', " + hexOf("SESSION_USER::pg_catalog.text")},
	// All that is in a schema depends on it, 2615 being pg_namespace: that is how
	// PostgreSQL itself finds what to remove.
	{effects.TempObjects, "SELECT 't', '', '' WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0 AND EXISTS (SELECT FROM pg_catalog.pg_depend " +
		"WHERE refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())"},
	{effects.AdvisoryLock, "SELECT 'a', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks WHERE " +
		"locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"},
	{effects.Listen, "SELECT 'l', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"},
	{effects.HoldCursor, "SELECT 'c', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
	{effects.Prepare, "SELECT 'p', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)"},
}

// found are the bits of the rows of one letter.
var found = map[byte]effects.Set{
	't': effects.TempObjects, 'a': effects.AdvisoryLock, 'l': effects.Listen, 'c': effects.HoldCursor, 'p': effects.Prepare,
}

// Ask returns the query that asks. probe is a statement that is there
// unless something has ended them all; it may be empty.
// grants says whether the server knows of parameters that are granted.
func Ask(asked effects.Set, custom []string, probe string, grants bool) string {
	var parts []string
	for _, q := range questions {
		if asked&q.asks == 0 {
			continue
		}
		if !grants {
			q.sql = strings.Replace(q.sql, mayGranted, "", 1)
		}
		parts = append(parts, q.sql)
	}
	if asked&effects.Carried != 0 {
		for _, name := range custom {
			value := "pg_catalog.current_setting('" + name + "', true)"
			parts = append(parts, "SELECT 's', "+hexOf("'"+name+"'")+", "+hexOf(value)+" WHERE "+value+" IS NOT NULL")
		}
	}
	if asked&effects.Opaque != 0 && probe != "" {
		parts = append(parts, "SELECT 'n', '', '' WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name OPERATOR(pg_catalog.=) '"+probe+"')")
	}
	return strings.Join(parts, " UNION ALL ")
}

// Answer is what PostgreSQL has answered to the query of Ask.
type Answer struct {
	Found    effects.Set      // DeallocateAll, if the statement that was looked for is gone
	Settings []wire.Parameter // set in the session
	User     string           // SESSION_USER
	TooLarge bool
	Failed   bool // there is a row that means nothing
	bytes    int
}

// Row takes a DataRow, which is whole unless it is too large.
func (a *Answer) Row(body []byte, size int) {
	a.bytes += size
	if size > MaxRow || a.bytes > maxBytes {
		a.TooLarge = true
		return
	}
	fields, err := wire.ParseDataRow(body)
	if err != nil || len(fields) != 3 || len(fields[0].Text) != 1 || fields[1].Null || fields[2].Null {
		a.Failed = true
		return
	}
	name, err := hex.DecodeString(fields[1].Text)
	value, err2 := hex.DecodeString(fields[2].Text)
	if err != nil || err2 != nil {
		a.Failed = true
		return
	}
	switch kind := fields[0].Text[0]; kind {
	case 'x':
		a.Found |= effects.Privileged
		fallthrough
	case 's':
		a.Settings = append(a.Settings, wire.Parameter{Name: string(name), Value: string(value)})
	case 'u':
		a.User = string(value)
	case 'n':
		a.Found |= effects.DeallocateAll
	default:
		a.Found |= found[kind]
	}
}
