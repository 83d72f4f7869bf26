package relay

import (
	"encoding/hex"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// Bounds of what a client's session may carry from server to server. One that
// has more stays where it is.
const (
	surveyRow   = 8 << 10
	surveyBytes = 64 << 10
	maxCanceled = 3 // how often a session's surveys may be canceled before its state is taken for unknown
)

// survey is a question to PostgreSQL, what a session has left on its server, and
// the answer. It is asked between transactions, where rolled-back changes are
// gone and only what will last is left.
type survey struct {
	asked    effects.Set
	over     bool
	failed   bool
	canceled bool
	tooLarge bool

	found    effects.Set
	settings []wire.Parameter // set in the session
	user     string           // SESSION_USER
	bytes    int
}

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

// surveyQuery returns the query that asks. probe is a statement that is there
// unless something has ended them all; it may be empty.
// grants says whether the server knows of parameters that are granted.
func surveyQuery(asked effects.Set, custom []string, probe string, grants bool) string {
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

// beginSurvey returns the query to be sent to a server that is at rest.
func (r *Relay) beginSurvey() []byte {
	asked := r.toAsk()
	r.survey = &survey{asked: asked}
	r.state.suspect = 0
	r.push(entry{kind: query, flags: ours | asks})
	r.server.unnamed = 0 // a simple query ends it; the client's is carried there again
	return wire.AppendQuery(nil, surveyQuery(asked, r.state.custom.Names, r.server.probe, r.server.grants()))
}

// row takes a DataRow, which is whole unless it is too large.
func (s *survey) row(body []byte, size int) {
	s.bytes += size
	if size > surveyRow || s.bytes > surveyBytes {
		s.tooLarge = true
		return
	}
	fields, err := wire.ParseDataRow(body)
	if err != nil || len(fields) != 3 || len(fields[0].Text) != 1 || fields[1].Null || fields[2].Null {
		s.failed = true
		return
	}
	name, err := hex.DecodeString(fields[1].Text)
	value, err2 := hex.DecodeString(fields[2].Text)
	if err != nil || err2 != nil {
		s.failed = true
		return
	}
	switch kind := fields[0].Text[0]; kind {
	case 'x':
		s.found |= effects.Privileged
		fallthrough
	case 's':
		s.settings = append(s.settings, wire.Parameter{Name: string(name), Value: string(value)})
	case 'u':
		s.user = string(value)
	case 'n':
		s.found |= effects.DeallocateAll
	default:
		s.found |= found[kind]
	}
}

// learn takes what a survey has found for the truth about the session. It reports
// false where nothing was found out.
func (r *Relay) learn() bool {
	v, e := r.survey, &r.state
	r.survey = nil
	switch {
	case v.canceled && e.canceled < maxCanceled:
		e.canceled++
		e.suspect |= v.asked // ask again
		return false
	case v.failed:
		e.pin(effects.UnknownState)
		return false
	}
	if v.found&effects.DeallocateAll != 0 {
		r.server.forgetCopies()
		r.forgetNames(e.opaque)
	}
	switch {
	case v.tooLarge || v.asked&effects.Carried != 0 && e.custom.Overflow:
		e.pin(effects.LargeSettings)
	case v.asked&effects.Carried != 0:
		e.pins &^= effects.LargeSettings | effects.Privileged
		if r.cfg.Policy != Ignore {
			e.pin(v.found & effects.Privileged)
		}
		r.carry(v.settings, v.asked&effects.Role != 0)
	}
	if v.asked&effects.SessionAuth != 0 && v.user != r.cfg.User {
		v.found |= effects.SessionAuth
	}
	e.pins &^= v.asked & effects.Surveyed
	if r.cfg.Policy != Ignore {
		e.pin(v.found & effects.Surveyed)
	}
	return true
}

// carry takes what is set in the server's session for the client's wishes, and
// what was reset to mean the startup value.
func (r *Relay) carry(set []wire.Parameter, withRole bool) {
	list := make([]wire.Parameter, 0, len(set))
	for _, p := range set {
		if findFold(list, p.Name) < 0 {
			list = append(list, p)
		}
	}
	if i := find(r.params.wishes.list, roleName); !withRole && i >= 0 {
		list = append(list, r.params.wishes.list[i])
	}
	r.server.set = settled{list}
	wishes := list
	for _, p := range r.params.startup {
		if findFold(wishes, p.Name) < 0 {
			wishes = append(wishes[:len(wishes):len(wishes)], p)
		}
	}
	r.params.wish(wishes)
	r.seeSearchPath()
}

// seeSearchPath keeps a client on its server whose search_path names pg_temp:
// what it creates may be temporary, and hide what others have.
func (r *Relay) seeSearchPath() {
	e := &r.state
	e.pins &^= effects.TemporaryPath
	if !r.cfg.Shared || r.cfg.Policy == Ignore {
		return
	}
	for _, list := range [][]wire.Parameter{r.params.told, r.params.wishes.list} {
		if i := findFold(list, "search_path"); i >= 0 && strings.Contains(strings.ToLower(list[i].Value), "pg_temp") {
			e.pin(effects.TemporaryPath)
		}
	}
}
