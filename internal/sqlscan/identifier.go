package sqlscan

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxName is the longest name PostgreSQL keeps (NAMEDATALEN less one); it cuts
// longer ones in a text.
const maxName = 63

// name is an identifier or keyword, folded unless quoted. Empty: there is none.
type name struct {
	text   string
	quoted bool
}

// cutName returns the name that text begins with, after blanks and comments,
// and what is behind it.
func cutName(text []byte) (name, []byte) {
	text = skipBlank(text)
	if len(text) == 0 {
		return name{}, text
	}
	if text[0] == '"' {
		return cutQuoted(text)
	}
	if classes[text[0]] != letter {
		return name{}, text
	}
	end := 1
	for end < len(text) && inWords[text[end]] {
		end++
	}
	folded := bytes.Clone(text[:end])
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c | 0x20
		}
	}
	return name{text: string(folded)}, text[end:]
}

func cutQuoted(text []byte) (name, []byte) {
	var b strings.Builder
	rest := text[1:]
	for {
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			return name{}, text
		}
		b.Write(rest[:end])
		rest = rest[end+1:]
		if len(rest) == 0 || rest[0] != '"' {
			return name{text: b.String(), quoted: true}, rest
		}
		b.WriteByte('"')
		rest = rest[1:]
	}
}

// skipBlank skips white space and comments.
func skipBlank(text []byte) []byte {
	for len(text) > 0 {
		var s Scanner
		switch {
		case classes[text[0]] == space:
			text = text[1:]
		case bytes.HasPrefix(text, []byte("--")):
			s.state = lineComment
			text = s.inLineComment(text[2:])
		case bytes.HasPrefix(text, []byte("/*")):
			s.state, s.depth = blockComment, 1
			text = s.inBlockComment(text[2:])
		default:
			return text
		}
	}
	return text
}

// truncate cuts a name as PostgreSQL does, between characters.
func truncate(name string) string {
	if len(name) <= maxName {
		return name
	}
	end := maxName
	for end > maxName-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}
