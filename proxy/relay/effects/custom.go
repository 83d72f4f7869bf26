package effects

import (
	"bytes"
	"slices"
	"strings"
)

// Bounds of the names of custom parameters that are looked for in a session:
// each is remembered, and stands in every question.
const (
	maxCustom     = 64
	maxCustomSize = 256
)

// Custom holds the names that may be those of a session's custom parameters,
// such as app.tenant. PostgreSQL can't be asked which of them there are
// (pg_settings leaves them out), only for the value of one that is named.
type Custom struct {
	Names    []string // in lower case
	Overflow bool     // there are more, or longer ones
}

// Note looks for such names in a statement. Columns and tables read the same; to
// ask for one too many does no harm.
func (c *Custom) Note(text []byte) {
	var name []byte
	for i := 0; i < len(text); {
		if !inName(text[i]) {
			i++
			continue
		}
		name = name[:0]
		for j := i; j < len(text) && inName(text[j]); { // blanks may stand about a dot
			if len(name) > 0 && text[j] != '.' && name[len(name)-1] != '.' {
				break
			}
			for i = j; i < len(text) && inName(text[i]); i++ {
				name = append(name, text[i])
			}
			j = skipBlanks(text, i)
		}
		if bytes.IndexByte(name, '.') >= 0 {
			c.Add(string(name))
		}
	}
}

func skipBlanks(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] >= '\t' && text[i] <= '\r') {
		i++
	}
	return i
}

// inName reports whether a byte may be part of a name with dots, in quotes or
// not.
func inName(b byte) bool {
	return b == '.' || b == '"' || b == '_' || b == '$' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || b >= 0x80
}

// lower is strings.ToLower for ASCII alone, which is what PostgreSQL folds in the
// names of parameters.
func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Add takes one name, if it is one.
func (c *Custom) Add(name string) {
	name = lower(strings.ReplaceAll(name, `"`, ""))
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' || part[0] == '$' {
			return
		}
	}
	switch {
	case !strings.Contains(name, "."), slices.Contains(c.Names, name):
	case len(c.Names) >= maxCustom || len(name) > maxCustomSize:
		c.Overflow = true
	default:
		c.Names = append(c.Names, name)
	}
}
