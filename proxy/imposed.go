package proxy

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
)

// imposed are parameters of a session that the configuration of its database
// decides and not the client: the role of set_role, and the setting that
// stamp_identity names. What a statement's text shows of other values is
// refused; what a function sets is noticed by the next survey, or undone when
// the server changes hands.
type imposed struct {
	role  string         // empty: none
	stamp wire.Parameter // no name: none
}

func (i imposed) any() bool { return i.role != "" || i.stamp.Name != "" }

// list returns the parameters, the role last: it may lack the privilege for
// the other.
func (i imposed) list() (list []wire.Parameter) {
	if i.stamp.Name != "" {
		list = append(list, i.stamp)
	}
	if i.role != "" {
		list = append(list, wire.Parameter{Name: roleName, Value: i.role})
	}
	return list
}

// impose puts what is imposed in the place of what the client asked for. It
// runs during the login, when the pool is known.
func (s *session) impose(asked []wire.Parameter) ([]wire.Parameter, error) {
	setRole, stamp := s.db.Imposes()
	i := &s.relay.imposed
	if stamp != "" {
		i.stamp = wire.Parameter{Name: stamp, Value: stampFor(stamp, s.identity)}
		asked = without(asked, stamp)
	}
	if setRole {
		switch {
		case !s.relay.tracks: // a reload can bring that about
			return nil, wire.Fatal(wire.CodeFeatureNotSupported, "set_role of the connection pooler needs pool_mode transaction or statement")
		case s.user == noRole, len(s.user) > maxRole:
			// PostgreSQL has no role of that name. It would cut a longer one and
			// take another's.
			return nil, wire.Fatal(wire.CodeInvalidParameter, `role "`+s.user+`" does not exist`)
		}
		for _, p := range asked {
			if isRole(p.Name) && p.Value != s.user {
				return nil, fatal(imposedError(p.Name))
			}
		}
		i.role = s.user
		asked = without(without(asked, roleName), sessionAuthorization)
	}
	return append(asked, i.list()...), nil
}

// imposeOnReplication is impose for a connection whose server is its own: the
// parameters stand in the startup packet.
func (s *session) imposeOnReplication(asked []wire.Parameter) ([]wire.Parameter, error) {
	setRole, stamp := s.db.Imposes()
	if setRole {
		return nil, wire.Fatal(wire.CodeFeatureNotSupported, "a replication connection can't have the client's role, which set_role of the connection pooler demands").
			WithHint("Give replication a database of its own in the pooler, without set_role.")
	}
	if stamp == "" {
		return asked, nil
	}
	return append(without(asked, stamp), wire.Parameter{Name: stamp, Value: stampFor(stamp, s.identity)}), nil
}

func without(list []wire.Parameter, name string) []wire.Parameter {
	return slices.DeleteFunc(slices.Clone(list), func(p wire.Parameter) bool { return strings.EqualFold(p.Name, name) })
}

// imposeAgain adds what is imposed, and is in force as far as is known, to what
// is set on a server that was another's: a function may have changed it there.
func (s *session) imposeAgain(set []wire.Parameter) []wire.Parameter {
	for _, p := range s.relay.imposed.list() {
		if p.Name != applicationName && index(set, p.Name) < 0 { // PostgreSQL reports that one
			set = append(set, p)
		}
	}
	return set
}

// Parameters with a meaning of their own.
const (
	applicationName      = "application_name"
	sessionAuthorization = "session_authorization"
	conformingStrings    = "standard_conforming_strings" // off, a text can be read in two ways
	clientEncoding       = "client_encoding"             // of some, half a character can be a backslash
	maxRole              = 63                            // NAMEDATALEN-1: the most bytes that a role's name has
	noRole               = "none"                        // the value of role where SET ROLE was not run
)

func isRole(name string) bool {
	return strings.EqualFold(name, roleName) || strings.EqualFold(name, sessionAuthorization)
}

// roleEffects are those that set a role.
const roleEffects = sqlscan.Role | sqlscan.SessionAuth | sqlscan.LocalRole

// scan returns the effects of a text.
func (r *relay) scan(text []byte) sqlscan.Effects {
	seen := scan(text)
	if !r.imposed.any() {
		seen &^= sqlscan.Local | sqlscan.LocalRole | sqlscan.Hidden // nobody asks
	}
	return seen
}

// forbids returns why a statement is not to be run for what is imposed, or nil.
func (r *relay) forbids(seen sqlscan.Effects, text []byte) *wire.Error {
	i := &r.imposed
	if i.any() && seen&sqlscan.Unsure != 0 && (seen&(sqlscan.Hidden|sqlscan.Settings|sqlscan.Local) != 0 || r.rereads) {
		return imposedError(i.list()[0].Name)
	}
	if i.role != "" && seen&roleEffects != 0 && seen&sqlscan.DiscardAll == 0 { // which can't stand beside others
		rest := text
		if seen&sqlscan.Releases != 0 {
			rest = sqlscan.ReplaceRoleResets(text, "")
		}
		if r.scan(rest)&roleEffects != 0 {
			return imposedError(roleName)
		}
	}
	if i.role != "" && seen&(sqlscan.Settings|sqlscan.Local) != 0 && mentions(text, conformingStrings) {
		return imposedError(conformingStrings)
	}
	if i.stamp.Name != "" && seen&(sqlscan.Settings|sqlscan.Local) != 0 &&
		(seen&sqlscan.AnySetting == sqlscan.AnySetting || mentions(text, i.stamp.Name)) {
		return imposedError(i.stamp.Name)
	}
	return nil
}

// forbidsUnread is forbids for a text that passed in pieces.
func (r *relay) forbidsUnread(seen sqlscan.Effects) *wire.Error {
	i := &r.imposed
	switch {
	case r.batch && r.mayEscape(seen): // of the unnamed statement, while which lives nobody can be asked
		return errUnwatched
	case i.any() && seen&sqlscan.Hidden != 0:
		return imposedError(i.list()[0].Name)
	case i.role != "" && seen&roleEffects != 0:
		return imposedError(roleName)
	case i.stamp.Name != "" && seen&(sqlscan.Settings|sqlscan.Local) != 0:
		return imposedError(i.stamp.Name)
	}
	return nil
}

// mayEscape reports whether a statement may change what is imposed, or how the
// next text is read. The client's next message waits until PostgreSQL was asked:
// it must not run under another role.
func (r *relay) mayEscape(seen sqlscan.Effects) bool {
	return seen&(carried|opaque|sqlscan.Local) != 0 && r.imposed.any()
}

// mayReread reports whether a statement may change how the rest of its batch is
// read: by client_encoding, for instance.
func (r *relay) mayReread(seen sqlscan.Effects) bool {
	return seen&(sqlscan.Settings|sqlscan.Local|sqlscan.Opaque) != 0 && r.imposed.any()
}

// mentions reports whether a text names a parameter, in quotes or not, with
// blanks or comments around its dots or not.
func mentions(text []byte, name string) bool {
	lower := bytes.ToLower(text)
	for part := range strings.SplitSeq(name, ".") {
		if !bytes.Contains(lower, []byte(part)) {
			return false
		}
	}
	return true
}

// ownRoleBack returns a text where RESET ROLE means the client's own role, which
// is not the one that the server logged in with. It returns text where there is
// nothing to replace.
func (r *relay) ownRoleBack(seen sqlscan.Effects, text []byte) []byte {
	if r.imposed.role == "" || seen&sqlscan.Role == 0 || seen&sqlscan.Releases == 0 {
		return text
	}
	return sqlscan.ReplaceRoleResets(text, "SET ROLE "+quoteName(r.imposed.role))
}

// quoteName returns a name as SQL reads it, whatever the client's encoding is:
// what is not ASCII becomes an escape, where it is UTF-8.
func quoteName(name string) string {
	ascii := !strings.ContainsFunc(name, func(c rune) bool { return c >= utf8.RuneSelf })
	if ascii || !utf8.ValidString(name) {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	var b strings.Builder
	b.WriteString(`U&"`)
	for _, c := range name {
		switch {
		case c == '"' || c == '\\':
			b.WriteRune(c)
			b.WriteRune(c)
		case c >= utf8.RuneSelf:
			digits := strconv.FormatInt(int64(c), 16)
			b.WriteString(`\+` + strings.Repeat("0", 6-len(digits)) + digits)
		default:
			b.WriteRune(c)
		}
	}
	return b.String() + `"`
}

// imposedError is what a client is told that sets what it may not.
func imposedError(name string) *wire.Error {
	hint := "The connection pooler sets it for all sessions of this database."
	if name == roleName {
		hint = "The connection pooler sets it for all sessions of this database; RESET ROLE means the role that you logged in as."
	}
	return &wire.Error{
		Severity: "ERROR", Code: wire.CodeInsufficientPrivilege,
		Message: `permission denied to set parameter "` + name + `"`, Hint: hint,
	}
}

// fatal returns e as an error that ends the session.
func fatal(e *wire.Error) *wire.Error {
	last := *e // which others may have, too
	last.Severity = "FATAL"
	return &last
}

// errAfterDiscard ends a client that sends more in a batch with DISCARD ALL: it
// would run before its parameters are back.
var errAfterDiscard = wire.Fatal(wire.CodeFeatureNotSupported, "nothing may follow DISCARD ALL in a pipeline where the connection pooler sets the role or a setting").
	WithHint("Send Sync behind DISCARD ALL.")

// errUnwatched ends a client after whose statement PostgreSQL could not be asked
// what became of its parameters.
var errUnwatched = wire.Fatal(wire.CodeFeatureNotSupported, "a statement that may set parameters can't be run beside an unnamed statement of this size where the connection pooler sets the role or a setting").
	WithHint("Prepare large statements with a name, or send them as simple queries.")

// escaped returns which of the imposed parameters a survey found to have another
// value, or nothing. mu is held.
func (s *session) escaped(v *survey) string {
	i := &s.relay.imposed
	value := func(name, otherwise string) string {
		if j := index(v.settings, name); j >= 0 {
			return v.settings[j].Value
		}
		return otherwise
	}
	switch {
	case i.role != "" && v.asked&sqlscan.Role != 0 && value(roleName, noRole) != i.role:
		return roleName
	case i.role != "" && v.asked&sqlscan.SessionAuth != 0 && v.user != s.pool.User():
		return sessionAuthorization
	case strings.Contains(i.stamp.Name, ".") && v.asked&carried != 0 && slices.Contains(s.relay.effects.custom.names, i.stamp.Name) &&
		value(i.stamp.Name, "") != i.stamp.Value:
		return i.stamp.Name
	}
	return ""
}

// doubleReading are the encodings in which the second byte of a character can be
// one of ASCII (PostgreSQL documentation, "Character Set Support": those that no
// database has).
var doubleReading = []string{"BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"}

// checkStrings returns why a client can't have its own role where its texts can be
// read in two ways: what its statements do could not be seen.
func (s *session) checkStrings() error {
	for _, p := range s.told {
		if s.confuses(p) {
			return fatal(imposedError(p.Name))
		}
	}
	return nil
}

// confuses reports whether with this parameter the client's texts can be read in
// two ways, one of which might give it another role.
func (s *session) confuses(p wire.Parameter) bool {
	if s.relay.imposed.role == "" {
		return false
	}
	return p.Name == conformingStrings && p.Value != "on" || p.Name == clientEncoding && slices.Contains(doubleReading, p.Value)
}

// outlaw ends the session, and its server, for a parameter that it has changed
// behind our back. mu is held.
func (s *session) outlaw(name string) {
	if s.end == nil {
		s.end = fatal(imposedError(name))
	}
	s.relay.doubt = true
	s.server.Break()
}

// seesItself reports whether a ParameterStatus is about what is imposed: the
// client's own value holds to the end of its transaction at most.
func (s *session) seesItself(name string) bool {
	return s.relay.tracks && name == s.relay.imposed.stamp.Name
}

// roleIn returns the role among parameters, empty for none.
func roleIn(list []wire.Parameter) string {
	if i := index(list, roleName); i >= 0 {
		return list[i].Value
	}
	return ""
}
