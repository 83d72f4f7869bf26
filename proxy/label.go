package proxy

import (
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
)

const (
	applicationName    = "application_name"
	maxApplicationName = 63 // NAMEDATALEN-1: PostgreSQL cuts there
)

// label puts the application_name that tells a client's identity in the place of
// the one that it asked for. What the client does to it later is its own affair.
func label(asked []wire.Parameter, identity string) []wire.Parameter {
	name := ""
	if i := indexFold(asked, "options"); i >= 0 { // of a replication connection, whose server reads them
		fromOptions, _ := login.ParseOptions(asked[i].Value)
		name = applicationNameIn(fromOptions, name)
	}
	name = applicationNameIn(asked, name)
	asked = slices.DeleteFunc(slices.Clone(asked), func(p wire.Parameter) bool { return strings.EqualFold(p.Name, applicationName) })
	return append(asked, wire.Parameter{Name: applicationName, Value: labelFor(name, identity)})
}

// applicationNameIn returns the application_name among parameters, of which the
// last one holds, or otherwise if there is none.
func applicationNameIn(list []wire.Parameter, otherwise string) string {
	for _, p := range list {
		if strings.EqualFold(p.Name, applicationName) {
			otherwise = p.Value
		}
	}
	return otherwise
}

// labelFor returns an application_name with the identity behind it. If both
// are too long for one, the name is cut first.
func labelFor(name, identity string) string {
	label := "[" + cleanApplicationName(identity[:min(len(identity), maxApplicationName-len("[]"))]) + "]"
	name = cleanApplicationName(name)
	if room := maxApplicationName - len(label) - len(" "); name != "" && room > 0 {
		label = name[:min(len(name), room)] + " " + label
	}
	return label
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
