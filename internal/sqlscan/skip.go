package sqlscan

import "bytes"

// inLineComment reads to the end of the line.
func (s *Scanner) inLineComment(b []byte) []byte {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		end = len(b)
	}
	if cr := bytes.IndexByte(b[:end], '\r'); cr >= 0 {
		end = cr
	}
	if end == len(b) {
		return nil
	}
	s.state = base
	return b[end+1:]
}

// inBlockComment reads to the end of the outermost comment.
func (s *Scanner) inBlockComment(b []byte) []byte {
	for i, c := range b {
		switch {
		case c == '/' && s.state == blockStar:
			s.state = blockComment
			if s.depth--; s.depth == 0 {
				s.state = base
				return b[i+1:]
			}
		case c == '*' && s.state == blockSlash:
			s.state = blockComment
			s.depth++
		case c == '*':
			s.state = blockStar
		case c == '/':
			s.state = blockSlash
		default:
			s.state = blockComment
		}
	}
	return nil
}

// openDollarQuote takes the first byte after a dollar, or one of the tag.
func (s *Scanner) openDollarQuote(b []byte) []byte {
	c := b[0]
	switch {
	case c == '$':
		s.state, s.matched, s.moments = dollarBody, 0, moments{}
		return b[1:]
	case s.state == afterDollar && classes[c] == digit: // a parameter
		s.state = base
		return b[1:]
	case classes[c] == letter || s.state == dollarTag && classes[c] == digit:
		if s.state = dollarTag; int(s.n) < len(s.buf) {
			s.keep(b[:1])
			return b[1:]
		}
	}
	// Too long a tag to keep, or a dollar that makes a syntax error, unless in
	// the client's encoding the odd byte is half a letter.
	s.statement.effects |= Ambiguous | Hidden
	s.state = base
	return b
}

// inDollarQuote reads to the closing tag.
func (s *Scanner) inDollarQuote(b []byte) []byte {
	if s.state == dollarBody {
		start := bytes.IndexByte(b, '$')
		if start < 0 {
			s.lookAt(b)
			return nil
		}
		s.lookAt(b[:start+1])
		s.state, s.matched = dollarEnd, 0
		return b[start+1:]
	}
	c := b[0]
	switch {
	case s.matched == s.n && c == '$':
		s.state = base
	case s.matched < s.n && c == s.buf[s.matched]:
		s.matched++
	default: // what looked like the tag is text
		s.lookAt(s.buf[:s.matched])
		s.lookAt(b[:1])
		if s.matched = 0; c != '$' { // which may open the tag itself
			s.state = dollarBody
		}
	}
	return b[1:]
}
