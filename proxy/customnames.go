package proxy

import (
	"slices"
	"strings"
)

// Bounds of the names of custom parameters that are looked for in a session:
// each is remembered, and stands in every question.
const (
	maxCustom     = 64
	maxCustomSize = 256
)

// custom holds the names that may be those of a session's custom parameters,
// such as app.tenant. PostgreSQL can't be asked which of them there are
// (pg_settings leaves them out), only for the value of one that is named.
type custom struct {
	names    []string // in lower case
	overflow bool     // there are more, or longer ones
}

// note looks for such names in a statement. Columns and tables read the same;
// to ask for one too many does no harm.
func (c *custom) note(text []byte) {
	for i := 0; i < len(text); {
		if !inName(text[i]) {
			i++
			continue
		}
		from, dots := i, 0
		for i < len(text) && inName(text[i]) {
			if text[i] == '.' {
				dots++
			}
			i++
		}
		if dots > 0 {
			c.add(string(text[from:i]))
		}
	}
}

// inName reports whether a byte may be part of a name with dots, in quotes or
// not.
func inName(b byte) bool {
	return b == '.' || b == '"' || b == '_' || b == '$' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}

// add takes one name, if it is one.
func (c *custom) add(name string) {
	name = strings.ToLower(strings.ReplaceAll(name, `"`, ""))
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' || part[0] == '$' {
			return
		}
	}
	switch {
	case !strings.Contains(name, "."), slices.Contains(c.names, name):
	case len(c.names) >= maxCustom || len(name) > maxCustomSize:
		c.overflow = true
	default:
		c.names = append(c.names, name)
	}
}
