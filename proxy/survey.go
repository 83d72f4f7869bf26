package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"strings"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// Bounds of what a client's session may carry from server to server. One that
// has more stays where it is.
const (
	surveyRow   = 8 << 10
	surveyBytes = 64 << 10
)

// survey is a question to PostgreSQL, what a session has left on its server,
// and the answer. It is asked between transactions, where rolled-back changes
// are gone and only what will last is left.
type survey struct {
	asked    sqlscan.Effects
	over     bool
	failed   bool
	canceled bool
	tooLarge bool

	found    sqlscan.Effects
	settings []wire.Parameter // set in the session
	user     string           // SESSION_USER
	bytes    int
}

// surveying reports whether the server answers a survey at present.
func (r *relay) surveying() bool {
	return r.survey != nil && !r.survey.over && r.pending.first() == pendingAside
}

// asks reports whether PostgreSQL has to be asked what the session has left. Not
// while an unnamed statement lives that can't be carried: the question would end
// it, and it keeps the client where it is anyway.
func (r *relay) asks() bool { return r.effects.toAsk() != 0 && !r.extended.stuck() }

// beginSurvey returns the query to be sent to a server that is at rest.
func (r *relay) beginSurvey() []byte {
	asked := r.effects.toAsk()
	r.survey = &survey{asked: asked}
	r.effects.suspect = 0
	r.pending.push(pendingAside)
	r.server.unnamed = 0 // a simple query ends it; the client's is carried there again
	return wire.AppendQuery(nil, surveyQuery(asked, r.effects.custom.names))
}

// questions are the parts of the query. Each returns rows of a letter, a name
// and a value, in hexadecimal digits, so that they read the same whatever the
// client's encoding is. Operators and functions are named with their schema:
// the client may have set search_path.
var questions = []struct {
	asks sqlscan.Effects
	sql  string
}{
	{carried, "SELECT 's', " + hexOf("name") + ", " + hexOf("setting") +
		" FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'"},
	{sqlscan.Role, "SELECT 's', " + hexOf("'role'") + ", " + hexOf("pg_catalog.current_setting('role')") +
		" WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'"},
	{sqlscan.SessionAuth, "SELECT 'u', '', " + hexOf("SESSION_USER::pg_catalog.text")},
	{sqlscan.TempObjects, "SELECT 't', '', '' WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0 AND (" +
		"EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) OR " +
		"EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) OR " +
		"EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) OR " +
		"EXISTS (SELECT FROM pg_catalog.pg_operator WHERE oprnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))"},
	{sqlscan.AdvisoryLock, "SELECT 'a', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks WHERE " +
		"locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"},
	{sqlscan.Listen, "SELECT 'l', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"},
	{sqlscan.HoldCursor, "SELECT 'c', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
	{sqlscan.Prepare, "SELECT 'p', '', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql AND " +
		"pg_catalog.strpos(name, '" + goneName + "') OPERATOR(pg_catalog.<>) 1)"},
}

func hexOf(expression string) string {
	return "pg_catalog.encode(pg_catalog.convert_to(" + expression + ", pg_catalog.getdatabaseencoding()), 'hex')"
}

// found are the bits of the rows of one letter.
var found = map[byte]sqlscan.Effects{
	't': sqlscan.TempObjects, 'a': sqlscan.AdvisoryLock, 'l': sqlscan.Listen, 'c': sqlscan.HoldCursor, 'p': sqlscan.Prepare,
}

func surveyQuery(asked sqlscan.Effects, custom []string) string {
	var parts []string
	for _, q := range questions {
		if asked&q.asks != 0 {
			parts = append(parts, q.sql)
		}
	}
	if asked&carried != 0 {
		for _, name := range custom {
			value := "pg_catalog.current_setting('" + name + "', true)"
			parts = append(parts, "SELECT 's', "+hexOf("'"+name+"'")+", "+hexOf(value)+" WHERE "+value+" IS NOT NULL")
		}
	}
	return strings.Join(parts, " UNION ALL ")
}

// row takes a DataRow, which is whole unless it is too large.
func (s *survey) row(body []byte, size int) {
	s.bytes += size
	if size > surveyRow || s.bytes > surveyBytes {
		s.tooLarge = true
		return
	}
	var fields [3][]byte
	if len(body) < 2 || binary.BigEndian.Uint16(body) != 3 {
		s.failed = true
		return
	}
	body = body[2:]
	for i := range fields {
		if len(body) < 4 {
			s.failed = true
			return
		}
		n := int(int32(binary.BigEndian.Uint32(body)))
		if body = body[4:]; n < 0 || n > len(body) {
			s.failed = true
			return
		}
		fields[i], body = body[:n], body[n:]
	}
	s.note(string(fields[0]), fields[1], fields[2])
}

func (s *survey) note(kind string, hexName, hexValue []byte) {
	name, err := hex.DecodeString(string(hexName))
	value, err2 := hex.DecodeString(string(hexValue))
	if err != nil || err2 != nil || len(kind) != 1 {
		s.failed = true
		return
	}
	switch kind[0] {
	case 's':
		s.settings = append(s.settings, wire.Parameter{Name: string(name), Value: string(value)})
	case 'u':
		s.user = string(value)
	default:
		s.found |= found[kind[0]]
	}
}

// learnSurvey takes what a survey has found for the truth about the session. mu
// is held.
func (s *session) learnSurvey() {
	v := s.relay.survey
	s.relay.survey = nil
	e := &s.relay.effects
	switch {
	case v.canceled && e.canceled < maxCanceled:
		e.canceled++
		e.suspect |= v.asked // ask again
		return
	case v.failed:
		e.pin(unknownState)
		return
	case v.tooLarge || v.asked&carried != 0 && e.custom.overflow:
		e.pin(largeSettings)
	case v.asked&carried != 0:
		e.pins &^= largeSettings
		s.carry(v.settings, v.asked&sqlscan.Role != 0)
	}
	if v.asked&sqlscan.SessionAuth != 0 && v.user != s.pool.User() {
		v.found |= sqlscan.SessionAuth
	}
	e.learn(v.asked&^carried, v.found)
}

// carry makes set, what is set in the server's session, the parameters that
// follow the client. mu is held.
func (s *session) carry(set []wire.Parameter, withRole bool) {
	var extra []wire.Parameter
	for _, p := range set {
		if index(s.told, p.Name) < 0 && indexFold(extra, p.Name) < 0 {
			extra = append(extra, p)
		}
	}
	if i := index(s.extra, roleName); !withRole && i >= 0 {
		extra = append(extra, s.extra[i])
	}
	s.relay.server.settings = append([]wire.Parameter(nil), extra...)
	s.extra = extra
	s.seeSearchPath()
}

// manner returns in which manner PostgreSQL reads a text of the session now. It
// is known only as far as the session's parameters are. mu is held.
func (s *session) manner() manner {
	r := &s.relay
	if r.effects.suspect&(carried|opaque) != 0 || r.survey != nil {
		return ownManner
	}
	var h maphash.Hash
	h.SetSeed(mannerSeed)
	for _, list := range [][]wire.Parameter{s.told, s.extra} {
		for _, p := range list {
			if p.Name != "application_name" {
				maphash.WriteComparable(&h, p)
			}
		}
	}
	return manner(h.Sum64()) &^ ownManner
}

var mannerSeed = maphash.MakeSeed()

// maxCanceled is how often a session's surveys may be canceled before its
// state is taken for unknown.
const maxCanceled = 3

// seeSearchPath keeps a client on its server whose search_path names pg_temp:
// what it creates may be temporary, and hide what others have. mu is held.
func (s *session) seeSearchPath() {
	e := &s.relay.effects
	e.pins &^= temporaryPath
	for _, list := range [][]wire.Parameter{s.told, s.extra} {
		if i := indexFold(list, "search_path"); i >= 0 && s.relay.tracks && e.policy != pool.IgnoreState && strings.Contains(strings.ToLower(list[i].Value), "pg_temp") {
			e.pin(temporaryPath)
		}
	}
}

// roleName is the parameter that SET ROLE sets.
const roleName = "role"

// roleIn returns the role among parameters, empty for none.
func roleIn(list []wire.Parameter) string {
	if i := index(list, roleName); i >= 0 {
		return list[i].Value
	}
	return ""
}

// ask sends a survey if the session is still at rest, or the Sync that brings
// it to rest. It runs at the client's home, which alone writes to the server.
func (s *session) ask() {
	s.mu.Lock()
	s.asking = false
	server := s.server
	var q []byte
	switch {
	case server == nil || s.end != nil || s.relay.left:
	case s.relay.flushed():
		q = s.relay.endFlushed()
	case s.relay.atRest() && s.relay.asks():
		q = s.relay.beginSurvey()
	}
	s.mu.Unlock()
	if q != nil {
		server.Write(q, nil)
	}
}
