package sqlscan

import "bytes"

// Scanner reads a text of SQL in one or several pieces, cut anywhere. The zero
// value is ready. It keeps no piece, only the word it is in. It is not safe for
// use by several goroutines.
type Scanner struct {
	statement statement
	depth     uint32 // of nested block comments
	state     state
	run       backslashes
	after     state // plain or escaped if a string ended that '...' would continue
	moments   moments
	matched   uint8         // bytes of the closing tag of a dollar quote
	n         uint8         // bytes held in buf
	buf       [maxWord]byte // a word cut short, a literal, or the tag of a dollar quote
}

// state says what the next byte belongs to.
type state uint8

const (
	base       state = iota
	inWord           // buf holds it
	afterU           // after U&
	afterDash        // after one -
	afterSlash       // after one /
	lineComment
	blockComment
	blockStar  // after * in a block comment
	blockSlash // after / in a block comment
	plain      // in '...'
	escaped    // in E'...'
	afterQuote // after the quote that may end a string
	quoted     // in "..."
	afterDollar
	dollarTag  // in the tag that opens a dollar quote
	dollarBody // in the quoted text
	dollarEnd  // in what may be the closing tag; matched counts
)

// class is what a byte means outside of words, strings and comments.
type class uint8

const (
	symbol class = iota
	space
	letter
	digit // also begins nothing
	special
)

// classes follow scan.l of PostgreSQL. All bytes above ASCII are letters.
var classes = func() (t [256]class) {
	for c := range t {
		switch {
		case c >= 0x80, 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			t[c] = letter
		case '0' <= c && c <= '9':
			t[c] = digit
		}
	}
	for _, c := range " \t\n\r\f\v" {
		t[c] = space
	}
	for _, c := range "'\"$-/" {
		t[c] = special
	}
	return t
}()

// inWords are the bytes that a word goes on with.
var inWords = func() (t [256]bool) {
	for c := range t {
		t[c] = classes[c] == letter || classes[c] == digit || c == '$'
	}
	return t
}()

// Scan scans a whole text.
func Scan(text []byte) Effects {
	var s Scanner
	s.Feed(text)
	return s.finish(&s.statement)
}

// Reset makes the scanner ready for another text.
func (s *Scanner) Reset() { *s = Scanner{} }

// Effects returns what the text may do as far as it was fed; final after the
// last Feed.
func (s *Scanner) Effects() Effects {
	end := s.statement
	return s.finish(&end)
}

// finish has the statement end as it does if nothing more is fed.
func (s *Scanner) finish(end *statement) Effects {
	switch s.state {
	case inWord:
		end.word(s.buf[:s.n])
	case afterU:
		end.word([]byte{'u'})
	case afterDash, afterSlash, quoted:
		end.began = true
	}
	end.settle()
	if end.effects&Ambiguous != 0 {
		end.effects |= CopyIn
	}
	return end.effects
}

// Feed takes the next piece of the text.
func (s *Scanner) Feed(b []byte) {
	for len(b) > 0 {
		switch s.state {
		case base:
			b = s.code(b)
		case inWord:
			b = s.restOfWord(b)
		case plain, escaped:
			b = s.inString(b)
		case quoted:
			b = s.inQuoted(b)
		case lineComment:
			b = s.inLineComment(b)
		case blockComment, blockStar, blockSlash:
			b = s.inBlockComment(b)
		case dollarBody, dollarEnd:
			b = s.inDollarQuote(b)
		case afterDollar, dollarTag:
			b = s.openDollarQuote(b)
		default:
			b = s.second(b)
		}
	}
}

// code reads words and symbols, as most of a text is, and returns what is left
// when the state has changed.
func (s *Scanner) code(b []byte) []byte {
	for i := 0; i < len(b); {
		c := b[i]
		switch classes[c] {
		case space:
			i++
		case letter:
			j := i + 1
			for j < len(b) && inWords[b[j]] {
				j++
			}
			if j == len(b) || j == i+1 && (b[j] == '\'' || b[j] == '&') {
				s.n, s.state = 0, inWord
				s.keep(b[i:j])
				return b[j:]
			}
			s.after = base
			s.statement.word(b[i:j])
			i = j
		case symbol:
			s.symbol(c)
			i++
		case digit: // one says what all say
			s.symbol(c)
			for i++; i < len(b) && classes[b[i]] == digit; i++ {
			}
		case special:
			s.open(c)
			return b[i+1:]
		}
	}
	return nil
}

func (s *Scanner) symbol(c byte) {
	s.after = base
	s.statement.symbol(c)
}

// keep adds to buf what has room. Whatever fills buf is no word that is known.
func (s *Scanner) keep(b []byte) {
	s.n += uint8(copy(s.buf[s.n:], b))
}

// open takes the byte that may begin a string, a quoted word or a comment.
func (s *Scanner) open(c byte) {
	switch c {
	case '\'':
		s.openString(max(s.after, plain))
	case '"':
		s.n, s.state, s.after = 0, quoted, base
	case '$':
		s.symbol(c)
		s.n, s.state = 0, afterDollar
	case '-':
		s.state = afterDash
	case '/':
		s.state = afterSlash
	}
}

// restOfWord goes on with a word that was cut, or that might be a prefix.
func (s *Scanner) restOfWord(b []byte) []byte {
	j := 0
	for j < len(b) && inWords[b[j]] {
		j++
	}
	s.keep(b[:j])
	if j == len(b) {
		return nil
	}
	if s.n == 1 {
		switch letter := s.buf[0] | 0x20; {
		case letter == 'e' && b[j] == '\'':
			s.after = base
			s.openString(escaped)
			return b[j+1:]
		case letter == 'u' && b[j] == '&':
			s.state = afterU
			return b[j+1:]
		}
	}
	s.state, s.after = base, base
	s.statement.word(s.buf[:s.n])
	return b[j:]
}

// second takes the byte after a first one that meant nothing by itself.
func (s *Scanner) second(b []byte) []byte {
	c := b[0]
	switch {
	case s.state == afterQuote && c == '\'': // a doubled one
		s.lookAt(b[:1])
		s.openString(s.after)
	case s.state == afterQuote:
		s.state = base
		return b
	case s.state == afterU && c == '\'':
		s.symbol('&') // it may spell any text
		s.statement.effects |= Moment
		s.openString(plain)
	case s.state == afterU && c == '"':
		s.statement.hidden() // its escapes can spell any name
		s.n, s.state, s.after = 0, quoted, base
	case s.state == afterDash && c == '-':
		s.state = lineComment
	case s.state == afterSlash && c == '*':
		s.state, s.depth = blockComment, 1
	default:
		first := byte('/')
		switch s.state {
		case afterU:
			s.statement.word([]byte{'u'})
			first = '&'
		case afterDash:
			first = '-'
		}
		s.state = base
		s.symbol(first)
		return b
	}
	return b[1:]
}

// openString begins a string, or goes on with it if the last one allows that.
func (s *Scanner) openString(kind state) {
	if s.after == base {
		s.moments = moments{}
	}
	s.state, s.run, s.after = kind, backslashes{}, base
	if s.statement.literalOpens(kind) {
		s.n = 0
		return
	}
	s.statement.symbol('\'')
}

// inString reads to the closing quote. A doubled quote ends one string and
// begins another of the same kind, which comes to the same.
func (s *Scanner) inString(b []byte) []byte {
	end := bytes.IndexByte(b, '\'')
	content := b
	if end >= 0 {
		content = b[:end]
	}
	if s.statement.literalWanted() {
		s.keep(content)
	}
	s.lookAt(content)
	run := s.run.after(content)
	if end < 0 {
		s.run = run
		return nil
	}
	s.run = backslashes{}
	rest := b[end+1:]
	if run.some && run.doubtful {
		s.statement.effects |= Ambiguous
	}
	switch {
	case run.odd && s.state == escaped:
		s.lookAt(b[end : end+1]) // an escaped quote
		return rest
	case run.odd:
		s.statement.effects |= Ambiguous // standard_conforming_strings may be off
	}
	s.lookAtEnd()
	s.after, s.state = s.state, afterQuote
	if len(rest) > 0 && rest[0] != '\'' {
		s.state = base
	}
	if s.statement.literalWanted() {
		s.statement.literal(s.buf[:s.n])
	}
	return rest
}

// backslashes describes those at the end of what was read of a string: whether
// there are any, and an odd number; doubtful if the byte before them is not
// ASCII. In some client encodings (SJIS, BIG5, GBK, GB18030, UHC, JOHAB) the
// first of them is then half a character. None of these has a quote there.
type backslashes struct{ some, odd, doubtful bool }

// after returns what holds after b more.
func (r backslashes) after(b []byte) backslashes {
	start := len(b)
	for start > 0 && b[start-1] == '\\' {
		start--
	}
	if start > 0 {
		r = backslashes{doubtful: b[start-1] >= 0x80}
	}
	if n := len(b) - start; n > 0 {
		r.some = true
		r.odd = r.odd != (n%2 == 1)
	}
	return r
}

// inQuoted reads to the closing quote. A doubled quote ends one word and begins
// another: no name that matters has a quote in it.
func (s *Scanner) inQuoted(b []byte) []byte {
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		s.keep(b)
		return nil
	}
	s.keep(b[:end])
	s.state = base
	s.statement.quoted(s.buf[:s.n])
	return b[end+1:]
}
