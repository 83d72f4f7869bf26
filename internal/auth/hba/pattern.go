package hba

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxPattern bounds a regular expression, in bytes.
const maxPattern = 4096

// pattern is a regular expression that means the same here as it does to
// PostgreSQL (documentation, "POSIX Regular Expressions"). Go's engine knows
// most of that syntax; where the two read the same text in two ways, or only
// one of them can, compile refuses it.
type pattern struct{ re *regexp.Regexp }

// compile makes a pattern of a regular expression.
func compile(expression string) (*pattern, error) {
	bad := func(err error) (*pattern, error) {
		return nil, fmt.Errorf("invalid regular expression %q: %w", expression, err)
	}
	if len(expression) > maxPattern {
		return nil, fmt.Errorf("a regular expression is longer than %d bytes", maxPattern)
	}
	translated, lazy, err := translate(expression)
	if err != nil {
		return bad(err)
	}
	re, err := regexp.Compile(translated)
	if err != nil {
		return bad(err)
	}
	if !lazy {
		re.Longest()
	}
	return &pattern{re}, nil
}

// match reports whether the pattern is found anywhere in s.
func (p *pattern) match(s string) bool { return p.re.MatchString(s) }

// capture reports whether the pattern is found in s, and the text of its first
// parentheses if they took part.
func (p *pattern) capture(s string) (found bool, first string, has bool) {
	at := p.re.FindStringSubmatchIndex(s)
	if at == nil {
		return false, "", false
	}
	if len(at) < 4 || at[2] < 0 {
		return true, "", false
	}
	return true, s[at[2]:at[3]], true
}

// translate turns PostgreSQL's advanced regular expression into Go's. lazy says
// that it holds a quantifier that prefers the shortest match.
func translate(expression string) (translated string, lazy bool, err error) {
	flags, body := "(?s)", expression // a dot is any character
	if rest, ok := strings.CutPrefix(body, "(?i)"); ok {
		flags, body = "(?si)", rest
	}
	var out strings.Builder
	out.WriteString(flags)
	for i := 0; i < len(body); i++ {
		c := body[i]
		next := byte(0)
		if i+1 < len(body) {
			next = body[i+1]
		}
		switch {
		case c == '\\':
			escaped, err := escape(next)
			if err != nil {
				return "", false, err
			}
			out.WriteString(escaped)
			i++
			continue
		case c == '[':
			end, err := bracket(body[i:])
			if err != nil {
				return "", false, err
			}
			out.WriteString(body[i : i+end])
			i += end - 1
			continue
		case c == '(' && next == '?' && !strings.HasPrefix(body[i:], "(?:"):
			return "", false, errors.New("of the (?...) constructs only (?: and a leading (?i) are supported")
		case strings.IndexByte("*+?}", c) >= 0 && next == '?':
			lazy = true
		}
		out.WriteByte(c)
	}
	return out.String(), lazy, nil
}

// escape returns what stands in Go's syntax for a backslash and c.
func escape(c byte) (string, error) {
	switch {
	case c == 0:
		return "", errors.New("trailing backslash")
	case c == 'Z':
		return `\z`, nil
	case strings.IndexByte("dDsSwWntrfvaA", c) >= 0, !isWordByte(c) && c < 0x80, c == '_':
		if c == '_' {
			return "_", nil
		}
		return `\` + string(rune(c)), nil
	}
	return "", fmt.Errorf("escape \\%c is not supported", c)
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
}

// bracket returns the length of the bracket expression that s begins with.
func bracket(s string) (int, error) {
	i := 1
	if strings.HasPrefix(s[i:], "^") {
		i++
	}
	if strings.HasPrefix(s[i:], "]") {
		i++
	}
	for ; i < len(s); i++ {
		switch {
		case s[i] == ']':
			return i + 1, nil
		case s[i] == '\\':
			if i+1 == len(s) || isWordByte(s[i+1]) && strings.IndexByte("dswntrfv", s[i+1]) < 0 {
				return 0, errors.New("escapes in brackets are not supported")
			}
			i++
		case strings.HasPrefix(s[i:], "[."), strings.HasPrefix(s[i:], "[="):
			return 0, errors.New("collating elements and equivalence classes are not supported")
		case strings.HasPrefix(s[i:], "[:"):
			end := strings.Index(s[i:], ":]")
			if end < 0 {
				return 0, errors.New("brackets [] not balanced")
			}
			i += end + 1
		}
	}
	return 0, errors.New("brackets [] not balanced")
}
