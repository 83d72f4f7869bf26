package sqlscan

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxName is the longest name PostgreSQL keeps (NAMEDATALEN less one); it cuts
// longer ones in a text.
const maxName = 63

// DeallocateName returns the name of the prepared statement in a text that is
// one DEALLOCATE [PREPARE] name and nothing else, as PostgreSQL reads it: folded
// unless quoted, and cut to 63 bytes. It is not ok for DEALLOCATE ALL, for
// several statements, for a U&"" name, or for what is no such statement.
func DeallocateName(text []byte) (name string, ok bool) {
	verb, text := cutName(text)
	if verb.quoted || verb.text != "deallocate" {
		return "", false
	}
	n, text := cutName(text)
	if !n.quoted && n.text == "prepare" {
		if second, rest := cutName(text); second.text != "" {
			n, text = second, rest
		}
	}
	for text = skipBlank(text); len(text) > 0 && text[0] == ';'; {
		text = skipBlank(text[1:])
	}
	if n.text == "" || !n.quoted && n.text == "all" || len(text) > 0 {
		return "", false
	}
	return truncate(n.text), true
}

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

// Deallocation is a statement DEALLOCATE [PREPARE] name within a text.
type Deallocation struct {
	Name       string
	Start, End int // of the statement, without the semicolon
}

// Deallocations returns those in a text of one or several statements, in their
// order, as DeallocateName reads them.
func Deallocations(text []byte) []Deallocation {
	var list []Deallocation
	eachStatement(text, func(start, end int) {
		if name, ok := DeallocateName(text[start:end]); ok {
			list = append(list, Deallocation{name, start, end})
		}
	})
	return list
}

// eachStatement calls f with where each statement of a text starts and ends.
func eachStatement(text []byte, f func(start, end int)) {
	var s Scanner
	start := 0
	for fed := 0; ; {
		next := bytes.IndexByte(text[fed:], ';')
		if next < 0 {
			break
		}
		end := fed + next
		s.Feed(text[fed:end])
		if s.between() {
			f(start, end)
			start = end + 1
		}
		s.Feed(text[end : end+1])
		fed = end + 1
	}
	f(start, len(text))
}

// between reports whether a semicolon here would end a statement.
func (s *Scanner) between() bool {
	switch s.state {
	case base, inWord, afterU, afterQuote, afterDash, afterSlash, afterDollar:
		return true
	}
	return false
}
