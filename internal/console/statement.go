package console

import (
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// kind is the kind of a token.
type kind byte

const (
	word   kind = iota // an identifier or number without quotes
	quoted             // an identifier in double quotes
	text               // a string
	mark               // a single other character
)

// token is a piece of a statement, without its quotes.
type token struct {
	kind kind
	text string
}

// is reports whether the token is this keyword or mark, given in upper case.
func (t token) is(keyword string) bool {
	return (t.kind == word || t.kind == mark) && strings.EqualFold(t.text, keyword)
}

// statement is one statement of a query string.
type statement []token

// is reports whether the statement begins with these keywords.
func (s statement) is(keywords ...string) bool {
	if len(s) < len(keywords) {
		return false
	}
	for i, k := range keywords {
		if !s[i].is(k) {
			return false
		}
	}
	return true
}

// names reports whether the statement begins with the words of a command. As in
// PgBouncer they may stand in quotes.
func (s statement) names(words []string) bool {
	if len(s) < len(words) {
		return false
	}
	for i, w := range words {
		if s[i].kind != word && s[i].kind != quoted || !strings.EqualFold(s[i].text, w) {
			return false
		}
	}
	return true
}

// maxStatements limits the statements of one query string.
const maxStatements = 1000

func syntaxError(message string) *wire.Error {
	return &wire.Error{Severity: "ERROR", Code: wire.CodeSyntaxError, Message: message, Hint: "SHOW HELP lists the commands of the console."}
}

// split takes a query string apart: statements are separated by semicolons, and
// empty ones are left out. Comments are blanks.
func split(sql string) ([]statement, *wire.Error) {
	var list []statement
	var now statement
	for len(sql) > 0 {
		t, rest, err := next(sql)
		if err != nil {
			return nil, err
		}
		sql = rest
		switch {
		case t == nil:
		case t.kind == mark && t.text == ";":
			if len(now) > 0 {
				list = append(list, now)
			}
			now = nil
		default:
			now = append(now, *t)
		}
		if len(list) > maxStatements {
			return nil, syntaxError("too many statements in one query")
		}
	}
	if len(now) > 0 {
		list = append(list, now)
	}
	return list, nil
}

// next reads one token, or nil for what separates tokens, and returns what
// follows it.
func next(s string) (t *token, rest string, err *wire.Error) {
	c := s[0]
	switch {
	case isBlank(c):
		return nil, s[1:], nil
	case strings.HasPrefix(s, "--"):
		_, rest, _ = strings.Cut(s, "\n")
		return nil, rest, nil
	case strings.HasPrefix(s, "/*"):
		if rest, ok := skipComment(s); ok {
			return nil, rest, nil
		}
		return nil, "", syntaxError("unterminated comment")
	case c == '\'' || c == '"':
		return readQuoted(s, c)
	case (c == 'E' || c == 'e') && strings.HasPrefix(s[1:], "'"):
		return readQuoted(s[1:], '\'')
	case isWord(c):
		n := 1
		for n < len(s) && isWord(s[n]) && !strings.HasPrefix(s[n:], "--") {
			n++
		}
		return &token{word, s[:n]}, s[n:], nil
	}
	return &token{mark, s[:1]}, s[1:], nil
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// isWord reports whether c may stand in a name or number without quotes. Names
// of databases often have a dash or a dot.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '$' || c >= 0x80
}

// skipComment skips a comment, in which others may be nested, as in SQL.
func skipComment(s string) (rest string, ok bool) {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return s[i+1:], true
			}
		}
	}
	return "", false
}

// readQuoted reads what stands between quotes, which stand doubled for
// themselves.
func readQuoted(s string, quote byte) (*token, string, *wire.Error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != quote:
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == quote:
			b.WriteByte(quote)
			i++
		default:
			k := text
			if quote == '"' {
				k = quoted
			}
			return &token{k, b.String()}, s[i+1:], nil
		}
	}
	return nil, "", syntaxError("unterminated quoted string")
}
