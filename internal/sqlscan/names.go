package sqlscan

import "bytes"

// NameRef is a place in a text where a prepared statement is named.
type NameRef struct {
	Verb       Effects // Prepare, Execute or Deallocate
	Statement  int     // which one of the text it is in; empty ones do not count
	Start, End int     // of the name, with its quotes
	Name       string  // as PostgreSQL reads it; a U&"" name as it is written
}

// NameRefs appends to dst where a text names prepared statements, in order:
// PREPARE name, EXECUTE name, also after EXPLAIN and CREATE TABLE AS, and
// DEALLOCATE [PREPARE] name. Statements are counted as Scan does, empty ones not.
func NameRefs(text []byte, dst []NameRef) []NameRef {
	p := parser{tokens: tokens{text: text}, refs: dst}
	p.next()
	for p.token.kind != noToken {
		if p.token.kind == ';' {
			p.next()
			continue
		}
		p.statement()
		for p.token.kind != ';' && p.token.kind != noToken {
			p.next()
		}
		p.number++
	}
	return p.refs
}

// parser knows as much of the grammar as it takes to find the names.
type parser struct {
	tokens
	token  token // the one that is next
	number int   // of the statement
	refs   []NameRef
}

func (p *parser) next() { p.token = p.cut() }

// is reports whether the next token is a keyword.
func (p *parser) is(keyword string) bool {
	t := p.token
	return t.kind == wordToken && t.end-t.start == len(keyword) && hasPrefixFold(p.text[t.start:t.end], keyword)
}

// take takes a keyword if it is next.
func (p *parser) take(keywords ...string) bool {
	for _, k := range keywords {
		if p.is(k) {
			p.next()
			return true
		}
	}
	return false
}

// statement looks at the beginning of a statement for names.
func (p *parser) statement() {
	switch {
	case p.take("prepare"):
		name := p.token
		transaction := p.is("transaction")
		if p.next(); !transaction || p.token.kind == '(' || p.is("as") {
			p.ref(Prepare, name)
		}
	case p.take("deallocate"):
		name, all := p.token, p.is("all")
		if p.take("prepare") && p.token.names() {
			name, all = p.token, p.is("all")
		}
		if !all {
			p.ref(Deallocate, name)
		}
	case p.take("explain"):
		if p.token.kind == '(' {
			for p.skip() != ')' && p.token.kind != ';' && p.token.kind != noToken {
			}
		}
		for p.take("analyze", "analyse", "verbose") {
		}
		if !p.take("create") {
			p.execute()
			return
		}
		fallthrough
	case p.take("create"):
		for p.take("local", "global", "temporary", "temp", "unlogged") {
		}
		if p.take("table") && p.toAs() {
			p.execute()
		}
	default:
		p.execute()
	}
}

func (p *parser) execute() {
	if p.take("execute") {
		p.ref(Execute, p.token)
	}
}

// toAs goes to behind the first AS of the statement outside of parentheses.
func (p *parser) toAs() bool {
	for p.token.kind != ';' && p.token.kind != noToken {
		if p.take("as") {
			return true
		}
		p.skip()
	}
	return false
}

// skip skips a token, or all that is in parentheses, and returns the kind of the
// last token skipped.
func (p *parser) skip() tokenKind {
	var last tokenKind
	depth := 0
	for {
		switch last = p.token.kind; last {
		case '(':
			depth++
		case ')':
			depth--
		case ';', noToken:
			return last
		}
		if p.next(); depth <= 0 {
			return last
		}
	}
}

// ref notes a name, if the token is one.
func (p *parser) ref(verb Effects, t token) {
	if !t.names() {
		return
	}
	text := p.text[t.start:t.end]
	r := NameRef{Verb: verb, Statement: p.number, Start: t.start, End: t.end, Name: string(text)}
	if t.kind == escapedToken {
		text = text[len("U&"):]
	}
	n, _ := cutName(text)
	switch {
	case n.text == "": // nor is there a name, or no end of it
		return
	case t.kind != escapedToken:
		r.Name = truncate(n.text)
	}
	p.refs = append(p.refs, r)
}

// tokenKind is one of these, or the byte that is a symbol.
type tokenKind uint8

const (
	noToken      tokenKind = 0
	wordToken    tokenKind = 'a'
	quotedToken  tokenKind = '"'
	escapedToken tokenKind = '&' // U&""
	stringToken  tokenKind = '\''
	byteToken    tokenKind = '?' // a symbol that means nothing to us
)

type token struct {
	kind       tokenKind
	start, end int
}

// names reports whether a token may be a name.
func (t token) names() bool {
	return t.kind == wordToken || t.kind == quotedToken || t.kind == escapedToken
}

// tokens cuts a text into tokens, as a Scanner does.
type tokens struct {
	text  []byte
	pos   int
	after state // as in Scanner
}

// cut returns the next token.
func (l *tokens) cut() token {
	rest := skipBlank(l.text[l.pos:])
	t := token{start: len(l.text) - len(rest)}
	s := Scanner{after: l.after}
	if len(rest) > 0 {
		c := rest[0]
		rest = rest[1:]
		switch classes[c] {
		case letter:
			t.kind, rest = s.cutWord(c, rest)
		case special:
			t.kind = byteToken
			if s.open(c); s.state != afterDash && s.state != afterSlash {
				t.kind, rest = s.cutRest(rest)
			}
		default:
			t.kind = byteToken
			if c == '(' || c == ')' || c == ';' {
				t.kind = tokenKind(c)
			}
		}
	}
	t.end = len(l.text) - len(rest)
	l.pos, l.after = t.end, base
	if t.kind == stringToken {
		l.after = s.after
	}
	return t
}

// cutWord cuts what begins with a letter.
func (s *Scanner) cutWord(first byte, rest []byte) (tokenKind, []byte) {
	s.after = base
	switch first |= 0x20; {
	case first == 'e' && bytes.HasPrefix(rest, []byte{'\''}):
		s.openString(escaped)
		return s.cutRest(rest[1:])
	case first == 'u' && bytes.HasPrefix(rest, []byte("&'")):
		s.openString(plain)
		return s.cutRest(rest[2:])
	case first == 'u' && bytes.HasPrefix(rest, []byte(`&"`)):
		s.state = quoted
		_, rest = s.cutRest(rest[2:])
		return escapedToken, rest
	}
	end := 0
	for end < len(rest) && inWords[rest[end]] {
		end++
	}
	return wordToken, rest[end:]
}

// cutRest cuts what has just begun: a string or a quoted word.
func (s *Scanner) cutRest(rest []byte) (tokenKind, []byte) {
	kind := stringToken
	if s.state == quoted {
		kind = quotedToken
	}
	for len(rest) > 0 && s.state != base {
		switch s.state {
		case plain, escaped:
			rest = s.inString(rest)
		case quoted:
			if rest = s.inQuoted(rest); len(rest) > 0 && rest[0] == '"' {
				s.state, rest = quoted, rest[1:]
			}
		case afterDollar, dollarTag:
			rest = s.openDollarQuote(rest)
		case dollarBody, dollarEnd:
			rest = s.inDollarQuote(rest)
		default: // afterQuote
			rest = s.second(rest)
		}
	}
	return kind, rest
}
