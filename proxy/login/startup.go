package login

import (
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// Startup is what a client asked for in its startup packet.
type Startup struct {
	User     string
	Database string
	Params   []wire.Parameter // run-time parameters of its session
	// Replication is what the server's startup packet of a replication connection
	// bears; nil for others.
	Replication []wire.Parameter

	version  uint32   // of the protocol
	unknown  []string // protocol options (_pq_.…) that we do not know
	physical bool     // replication of no database, for the access rules
}

// Read reads the startup packet of a session.
func (l *Login) Read(o Opening) (Startup, error) {
	l.heard = time.Now()
	list, err := wire.ParseParameters(o.Packet.Body)
	if err != nil {
		return Startup{}, Violation("%v", err)
	}
	ask, refused := newStartup(list)
	if refused == nil && o.Shown != nil {
		refused = ask.confine(o.Shown.Database)
	}
	if refused != nil {
		return Startup{}, refused
	}
	if o.Shown != nil {
		l.endpointHash = o.Shown.EndpointHash
	}
	l.user, l.database, ask.version = ask.User, ask.Database, o.Packet.Code
	return ask, nil
}

// confine restricts the client to the database of its TLS server name, if that has
// one. A client that names no database, or its role's name, which is libpq's
// default, gets that one.
func (s *Startup) confine(only string) *Refusal {
	switch {
	case only == "" || only == s.Database && !s.physical:
		return nil
	case s.Database == s.User && !s.physical:
		s.Database = only
		return nil
	}
	return Refuse(Rule, wire.Fatal(wire.CodeInvalidAuth, `database "`+s.Database+`" is not available under the TLS server name of this connection`).
		WithHint(`Connect to the database of this host name, or use another host name.`))
}

// AgreeVersion settles which version of the protocol is spoken, in the way that
// PostgreSQL 18 does: a client that asks for a newer one than ours, or for
// options that we do not know, is told so before it is asked for its secret.
func (l *Login) AgreeVersion(ask Startup) error {
	l.version = min(ask.version, wire.Version32)
	if l.version == ask.version && len(ask.unknown) == 0 {
		return nil
	}
	return l.write(wire.AppendNegotiateProtocolVersion(nil, l.version, ask.unknown))
}

// newStartup sorts the parameters of a startup packet. The rules are those of
// PostgreSQL's ProcessStartupPacket.
func newStartup(list []wire.Parameter) (Startup, *Refusal) {
	var s Startup
	var options string
	var replication bool
	for _, p := range list {
		switch {
		case p.Name == "user":
			s.User = p.Value
		case p.Name == "database":
			s.Database = p.Value
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
			s.Params = append(s.Params, p)
		}
	}
	if s.User == "" {
		return s, Refuse(Protocol, wire.Fatal(wire.CodeInvalidAuth, "no PostgreSQL user name specified in startup packet"))
	}
	if s.Database == "" {
		s.Database = s.User
	}
	if replication {
		s.Params, s.Replication = nil, replicationStartup(list)
		return s, nil
	}
	fromOptions, err := ParseOptions(options)
	if err != nil {
		return s, err
	}
	// What stands in the packet by itself wins over options, as in PostgreSQL.
	s.Params = append(fromOptions, s.Params...)
	return s, nil
}

// ParseOptions reads the command-line options of a startup packet: -c
// name=value, -cname=value and --name=value, separated by white space, with
// backslash as the escape character (PostgreSQL's pg_split_opts).
func ParseOptions(options string) ([]wire.Parameter, *Refusal) {
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
			return nil, Refuse(Protocol, wire.Fatal(wire.CodeFeatureNotSupported, "unsupported options startup parameter").
				WithHint("Only -c name=value and --name=value are allowed."))
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

// parseReplication reads the parameter that asks for a replication
// connection, with PostgreSQL's rules: "database", or what reads as a boolean.
func parseReplication(v string) (bool, *Refusal) {
	if v == "database" {
		return true, nil
	}
	if b, ok := parseBool(v); ok {
		return b, nil
	}
	return false, Refuse(Protocol, wire.Fatal(wire.CodeInvalidParameter, `invalid value for parameter "replication": "`+v+`"`).
		WithHint(`Valid values are: "false", 0, "true", 1, "database".`))
}

// parseBool reads a boolean as PostgreSQL does: any beginning of true, false,
// yes, no, on and off that is not ambiguous, or a digit.
func parseBool(v string) (value, ok bool) {
	v = strings.ToLower(v)
	begins := func(word string, least int) bool { return len(v) >= least && strings.HasPrefix(word, v) }
	switch {
	case v == "1", begins("true", 1), begins("yes", 1), begins("on", 2):
		return true, true
	case v == "0", begins("false", 1), begins("no", 1), begins("off", 2):
		return false, true
	}
	return false, false
}

// replicationStartup returns what goes from a client's startup packet into
// that of its own server: all but what names the role, the database, and
// options of the protocol.
func replicationStartup(list []wire.Parameter) []wire.Parameter {
	var startup []wire.Parameter
	for _, p := range list {
		if p.Name != "user" && p.Name != "database" && !wire.IsProtocolOption(p.Name) {
			startup = append(startup, p)
		}
	}
	return startup
}
