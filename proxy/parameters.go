package proxy

import (
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

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
func newStartup(list []wire.Parameter) (startup, *login.Refusal) {
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
		return s, login.Refuse(login.Protocol, wire.Fatal(wire.CodeInvalidAuth, "no PostgreSQL user name specified in startup packet"))
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
func parseOptions(options string) ([]wire.Parameter, *login.Refusal) {
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
			return nil, login.Refuse(login.Protocol, wire.Fatal(wire.CodeFeatureNotSupported, "a command-line option in the startup packet is not supported").
				WithHint("Only -c name=value and --name=value pass through the connection pooler."))
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
