package proxy

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// reportedReadOnly holds the parameters that a server reports and no session
// can set.
var reportedReadOnly = map[string]bool{
	"server_version": true, "server_encoding": true, "integer_datetimes": true,
	"is_superuser": true, "session_authorization": true, "in_hot_standby": true,
}

// startup is what a client asked for in its startup packet.
type startup struct {
	user     string
	database string
	params   []wire.Parameter // run-time parameters of its session
	unknown  []string         // protocol options (_pq_.…) that we do not know
	// Of a replication connection: what its server's startup packet bears.
	replication []wire.Parameter
	physical    bool // of no database, for the access rules
}

// newStartup sorts the parameters of a startup packet. The rules are those of
// PostgreSQL's ProcessStartupPacket.
func newStartup(list []wire.Parameter) (startup, *wire.Error) {
	var s startup
	var options string
	var replication bool
	for _, p := range list {
		switch {
		case p.Name == "user":
			s.user = p.Value
		case p.Name == "database":
			s.database = p.Value
		case p.Name == "options":
			options = p.Value
		case p.Name == "replication":
			replicates, err := parseReplication(p.Value)
			if err != nil {
				return s, err
			}
			replication = replicates // the last one holds, as in PostgreSQL
			s.physical = replicates && p.Value != "database"
		case wire.IsProtocolOption(p.Name):
			s.unknown = append(s.unknown, p.Name)
		default:
			s.params = append(s.params, p)
		}
	}
	if s.user == "" {
		return s, wire.Fatal(wire.CodeInvalidAuth, "no PostgreSQL user name specified in startup packet")
	}
	if s.database == "" {
		s.database = s.user
	}
	if replication {
		s.params, s.replication = nil, replicationStartup(list)
		return s, nil
	}
	fromOptions, err := parseOptions(options)
	if err != nil {
		return s, err
	}
	// What stands in the packet by itself wins over options, as in PostgreSQL.
	s.params = append(fromOptions, s.params...)
	return s, nil
}

// parseOptions reads the command-line options of a startup packet: -c
// name=value, -cname=value and --name=value, separated by white space, with
// backslash as the escape character (PostgreSQL's pg_split_opts).
func parseOptions(options string) ([]wire.Parameter, *wire.Error) {
	var params []wire.Parameter
	words := splitOptions(options)
	for i := 0; i < len(words); i++ {
		setting, ok := strings.CutPrefix(words[i], "--")
		if !ok {
			setting, ok = strings.CutPrefix(words[i], "-c")
			if ok && setting == "" && i+1 < len(words) {
				i++
				setting = words[i]
			}
		}
		name, value, hasValue := strings.Cut(setting, "=")
		if !ok || !hasValue || name == "" {
			return nil, wire.Fatal(wire.CodeFeatureNotSupported, "a command-line option in the startup packet is not supported").
				WithHint("Only -c name=value and --name=value pass through the connection pooler.")
		}
		params = append(params, wire.Parameter{Name: strings.ReplaceAll(name, "-", "_"), Value: value})
	}
	return params, nil
}

func splitOptions(s string) []string {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
			continue
		case c == '\\' && i+1 < len(s):
			i++
			c = s[i]
		case c == '\\': // it escapes nothing, and stands for nothing
			inWord = true
			continue
		}
		word.WriteByte(c)
		inWord = true
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// adopt merges what a client asked for into what servers report: told is what
// the client will be told, extra what no server reports. check says that only a
// server can tell whether the values are valid, and how they read in their
// canonical form.
func adopt(reported, asked []wire.Parameter) (told, extra []wire.Parameter, check bool) {
	told = reported
	if len(asked) > 0 {
		told = slices.Clone(reported) // which others have, too
	}
	for _, p := range asked {
		i := indexFold(told, p.Name)
		if i >= 0 && reportedReadOnly[told[i].Name] && told[i].Value != p.Value {
			i = -1 // the server will refuse it
		}
		switch {
		case i >= 0 && told[i].Value == p.Value:
		case i >= 0 && told[i].Name == applicationName:
			told[i].Value = cleanApplicationName(p.Value)
		case i >= 0:
			told[i].Value = p.Value
			check = true
		default:
			if j := indexFold(extra, p.Name); j >= 0 {
				extra[j].Value = p.Value
			} else {
				extra = append(extra, p)
			}
			check = true
		}
	}
	return told, extra, check
}

func indexFold(list []wire.Parameter, name string) int {
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return i
		}
	}
	return -1
}

// cleanApplicationName does what PostgreSQL does to the value: bytes outside
// printable ASCII become question marks, and it ends at NAMEDATALEN-1 bytes.
func cleanApplicationName(v string) string {
	b := []byte(v)
	b = b[:min(len(b), maxApplicationName)]
	for i, c := range b {
		if c < 32 || c > 126 {
			b[i] = '?'
		}
	}
	return string(b)
}

// difference returns the parameters that have to be set on a server, and
// those to be reset, so that its session becomes the client's. now is what
// the server reports, applied what links have set on it beyond that; told and
// extra are the client's.
func difference(now, applied, told, extra []wire.Parameter) (set []wire.Parameter, reset []string) {
	for _, p := range told {
		if reportedReadOnly[p.Name] {
			continue
		}
		if i := index(now, p.Name); now == nil || i >= 0 && now[i].Value != p.Value {
			set = append(set, p)
		}
	}
	for _, p := range extra {
		if i := index(applied, p.Name); i < 0 || applied[i].Value != p.Value {
			set = append(set, p)
		}
	}
	for _, p := range applied {
		if index(extra, p.Name) < 0 {
			reset = append(reset, p.Name)
		}
	}
	// What another's role may not set would fail, so that role goes first.
	if i := index(applied, roleName); i >= 0 && len(set)+len(reset) > 0 {
		if j := slices.Index(reset, roleName); j >= 0 {
			reset = slices.Delete(reset, j, j+1)
		}
		reset = slices.Insert(reset, 0, roleName)
		if k := index(extra, roleName); k >= 0 && index(set, roleName) < 0 {
			set = append(set, extra[k])
		}
	}
	return set, reset
}

func index(list []wire.Parameter, name string) int {
	for i := range list {
		if list[i].Name == name {
			return i
		}
	}
	return -1
}

// setQuery returns one statement that sets and resets parameters.
// set_config takes a value as the startup packet does, where SET would read
// 'a, b' as one name.
func setQuery(set []wire.Parameter, reset []string) string {
	var q strings.Builder
	item := func(name, value string) {
		if q.Len() == 0 {
			q.WriteString("SELECT ")
		} else {
			q.WriteString(", ")
		}
		q.WriteString("pg_catalog.set_config(" + literal(name) + ", " + value + ", false)")
	}
	for _, name := range reset {
		item(name, "NULL")
	}
	for _, p := range set {
		if p.Name != roleName {
			item(p.Name, literal(p.Value))
		}
	}
	if i := index(set, roleName); i >= 0 { // last, since it may lack the privilege for the others
		item(roleName, literal(set[i].Value))
	}
	return q.String()
}

// bringBack returns a statement that sets those of the parameters that nobody
// has set in the session, because they were reset.
func bringBack(base []wire.Parameter) string {
	var values []string
	for _, p := range base {
		values = append(values, "("+literal(p.Name)+"::pg_catalog.text, "+literal(p.Value)+"::pg_catalog.text)")
	}
	return "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES " + strings.Join(values, ", ") + ") AS base (name, value) WHERE " +
		"EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(base.name)" +
		" AND s.source OPERATOR(pg_catalog.<>) 'session')" +
		" OR pg_catalog.strpos(name, '.') OPERATOR(pg_catalog.>) 0 AND coalesce(pg_catalog.current_setting(name, true), '') OPERATOR(pg_catalog.=) ''" +
		" OR name OPERATOR(pg_catalog.=) '" + roleName + "' AND pg_catalog.current_setting('" + roleName + "') OPERATOR(pg_catalog.=) 'none'"
}

// literal returns an expression for s that reads the same whatever the
// server's client_encoding and standard_conforming_strings are: anything but
// the plainest ASCII travels as hexadecimal digits.
func literal(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '\'' || c == '\\' {
			return "pg_catalog.convert_from(pg_catalog.decode('" + hex.EncodeToString([]byte(s)) +
				"', 'hex'), pg_catalog.getdatabaseencoding())"
		}
	}
	return "'" + s + "'"
}
