package pgmodel

import (
	"strconv"
	"strings"
)

// kind says what a statement does.
type kind int

const (
	kindSyntaxError kind = iota
	kindExtra

	kindBegin
	kindCommit
	kindRollback
	kindSavepoint
	kindRollbackTo
	kindRelease

	kindSelect       // of constants and functions: one row
	kindSelectTable  // SELECT a FROM t
	kindSelectSeries // SELECT g FROM generate_series(1, n) g
	kindInsert

	kindSet
	kindReset
	kindResetAll
	kindShow
	kindPrepare
	kindExecute
	kindDeallocate
	kindDeallocateAll
	kindDiscardAll
	kindDiscardPlans
	kindDiscardTemp
	kindNothing // that could be seen: DISCARD SEQUENCES
	kindListen
	kindUnlisten
	kindNotify
	kindDeclare
	kindFetch
	kindClose
	kindCopyIn
	kindCopyOut
	kindCreate
	kindDrop
	kindAlter
	kindTruncate
	kindDo
)

// stmt is a parsed statement. It does not change once it is parsed, so that
// sessions share it.
type stmt struct {
	kind  kind
	text  string
	tag   string
	name  string // of a table, setting, savepoint, cursor, statement or channel
	value string
	items []expr // of a SELECT
	inner *stmt  // of PREPARE, DECLARE, DO
	args  []expr // of EXECUTE, INSERT
	n     int    // rows, or the argument of FETCH; -1 for ALL
	bad   int    // the row that divides by zero
	typ   uint32 // that ALTER TABLE sets

	params                               int // $1 to $params
	local, isDefault, temp, dropAtCommit bool
	ifExists, hold, returning, count     bool
	all, chain                           bool
}

// expr is an item of a SELECT: a function with literal arguments, a literal, or
// a parameter.
type expr struct {
	fn    string // "" for a literal
	args  []string
	param int
	typ   uint32
	name  string // of the column
}

// parsed is a text with the statements in it.
type parsed struct {
	list []*stmt
	err  *Error
}

// parse is pg_parse_query: one syntax error spoils the whole text.
func (c *Cluster) parse(text string) ([]*stmt, *Error) {
	p, ok := c.parsed[text]
	if !ok {
		if len(c.parsed) > 10_000 {
			clear(c.parsed)
		}
		p = parseText(text, c.extra)
		c.parsed[text] = p
	}
	return p.list, p.err
}

// extra reports whether a statement that the model does not know is Extra's.
func (c *Cluster) extra(text string) bool { return c.Extra != nil && (c.Knows == nil || c.Knows(text)) }

func parseText(text string, extra func(string) bool) parsed {
	var p parsed
	for _, piece := range split(text) {
		tokens := tokenize(piece)
		if len(tokens) == 0 {
			continue
		}
		s := (&parser{tokens: tokens}).statement()
		if s == nil && extra(piece) && !strings.HasPrefix(piece, "SELEC ") {
			s = &stmt{kind: kindExtra, params: countParams(piece)}
		}
		if s == nil {
			return parsed{err: errorf("42601", "syntax error in %q", piece)}
		}
		s.text = piece
		p.list = append(p.list, s)
	}
	return p
}

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

func countParams(text string) int {
	n := 0
	for _, t := range tokenize(text) {
		if t.kind == tokenParam {
			n = max(n, t.number())
		}
	}
	return n
}

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
