package pgconf

import "strings"

// A Token is one item of a field. What quotes take the special meaning from is
// for the file's reader to know: keywords, and here a leading @.
type Token struct {
	Text   string
	Quoted bool
}

// Keyword reports whether the token is that keyword.
func (t Token) Keyword(word string) bool { return !t.Quoted && t.Text == word }

// A Line is one line of a file, cut into fields of one or more tokens.
type Line struct {
	File   string
	Number int // of the first line, where a backslash continues it
	Fields [][]Token
}

// Fault says that something is wrong with the line.
func (l Line) Fault(err error) *Error { return &Error{File: l.File, Line: l.Number, Err: err} }

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// scanner cuts the tokens from one line.
type scanner struct{ rest string }

// next returns the next Token, and whether a comma follows, so that the field
// goes on. It returns false at the end of the line. A quote may begin and end
// anywhere; two of them within quotes stand for one.
func (s *scanner) next() (t Token, comma, ok bool) {
	s.rest = strings.TrimLeft(s.rest, " \t\r,")
	var text strings.Builder
	inQuote, wasQuote, sawQuote := false, false, false
	i := 0
scan:
	for ; i < len(s.rest); i++ {
		c := s.rest[i]
		switch {
		case inQuote:
		case isBlank(c):
			break scan
		case c == '#':
			i = len(s.rest)
			break scan
		case c == ',':
			comma = true
			i++
			break scan
		}
		if c != '"' || wasQuote {
			text.WriteByte(c)
		}
		wasQuote = inQuote && c == '"' && !wasQuote
		if c == '"' {
			inQuote, sawQuote = !inQuote, true
			t.Quoted = t.Quoted || text.Len() == 0
		}
	}
	s.rest = s.rest[i:]
	t.Text = text.String()
	return t, comma, sawQuote || t.Text != ""
}

// splitLines cuts content into lines and joins those that a backslash
// continues. Each has the number of the first line it is made of.
func splitLines(content string) (lines []string, numbers []int) {
	var joined strings.Builder
	first, continued := 1, 0
	number := 0
	for raw := range strings.Lines(content) {
		number++
		joined.WriteString(strings.TrimRight(raw, "\r\n"))
		text := joined.String()
		// The backslash must stand behind the last place of one.
		if len(text) > continued && text[len(text)-1] == '\\' {
			joined.Reset()
			joined.WriteString(text[:len(text)-1])
			continued = len(text) - 1
			continue
		}
		lines, numbers = append(lines, text), append(numbers, first)
		joined.Reset()
		first, continued = number+1, 0
	}
	if joined.Len() > 0 {
		lines, numbers = append(lines, joined.String()), append(numbers, first)
	}
	return lines, numbers
}
