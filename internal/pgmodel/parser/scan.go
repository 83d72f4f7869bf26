package parser

import (
	"strconv"
	"strings"
)

// split cuts a text at semicolons outside of quotes.
func split(text string) (pieces []string) {
	start := 0
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\'' || text[i] == '"':
			if end := strings.IndexByte(text[i+1:], text[i]); end >= 0 {
				i += 1 + end
			}
		case strings.HasPrefix(text[i:], "$$"):
			if end := strings.Index(text[i+2:], "$$"); end >= 0 {
				i += 3 + end
			}
		case text[i] == ';':
			pieces = append(pieces, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(pieces, strings.TrimSpace(text[start:]))
}

// tokenKind is how a token is written.
type tokenKind byte

const (
	tokenWord tokenKind = iota // lower case
	tokenQuoted
	tokenString
	tokenNumber
	tokenParam
	tokenDollar
	tokenOther
)

type token struct {
	kind tokenKind
	text string
}

func (t token) number() int {
	n, _ := strconv.Atoi(t.text)
	return n
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// tokenize is a scanner for the few texts that the model knows.
func tokenize(s string) (list []token) {
	for i := 0; i < len(s); {
		c, start := s[i], i
		switch {
		case c == ' ' || c == '\n' || c == '\t':
			i++
			continue
		case c == '\'' || c == '"':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return append(list, token{tokenOther, s[i:]})
			}
			kind := tokenString
			if c == '"' {
				kind = tokenQuoted
			}
			list = append(list, token{kind, s[i+1 : i+1+end]})
			i += end + 2
			continue
		case strings.HasPrefix(s[i:], "$$"):
			end := strings.Index(s[i+2:], "$$")
			if end < 0 {
				return append(list, token{tokenOther, s[i:]})
			}
			list = append(list, token{tokenDollar, s[i+2 : i+2+end]})
			i += end + 4
			continue
		case c == '$':
			for i++; i < len(s) && isDigit(s[i]); i++ {
			}
			list = append(list, token{tokenParam, s[start+1 : i]})
		case isWord(c):
			for i++; i < len(s) && isWord(s[i]); i++ {
			}
			word := s[start:i]
			if isDigit(c) {
				list = append(list, token{tokenNumber, word})
			} else {
				list = append(list, token{tokenWord, strings.ToLower(word)})
			}
		case strings.HasPrefix(s[i:], "::"):
			i += 2
			list = append(list, token{tokenOther, "::"})
		default:
			i++
			list = append(list, token{tokenOther, s[start:i]})
		}
	}
	return list
}
