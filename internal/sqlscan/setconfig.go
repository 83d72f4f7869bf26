package sqlscan

// argument follows a call of set_config. Only a literal with a comma behind it
// tells which parameter is meant, and so on.
type argument uint8

const (
	argNone       argument = iota
	argName                // set_config was seen
	argOpen                // and the parenthesis
	argInside              // and the quote of the literal
	argRead                // and the whole of the literal
	argValue               // and the comma; named holds what that sets
	argValued              // and a literal, the value
	argFlag                // and a comma
	argFlagInside          // and the quote of a literal
	argLocal               // and what means true
)

// literalOpens reports whether the content of a literal that begins is wanted.
func (s *statement) literalOpens(kind state) bool {
	if kind == plain && (s.arg == argOpen || s.arg == argFlag) {
		s.arg++
		s.prev = none
		return true
	}
	return false
}

func (s *statement) literalWanted() bool { return s.arg == argInside || s.arg == argFlagInside }

// literal takes the content of the string that was wanted.
func (s *statement) literal(text []byte) {
	if s.arg == argFlagInside {
		switch string(text) {
		case "t", "true", "on":
			s.arg = argLocal
		default:
			s.stray()
		}
		return
	}
	s.named, s.arg = Settings, argRead
	if len(text) > 0 {
		s.named |= lookup(text).sets
	}
}

// argumentWord takes a word within the call.
func (s *statement) argumentWord(k kind) {
	if s.arg == argFlag && k == kTrue {
		s.arg = argLocal
		return
	}
	s.stray()
}

// argumentSymbol takes a symbol within the call, or what begins a string.
func (s *statement) argumentSymbol(c byte) {
	switch {
	case s.arg == argName && c == '(', s.arg == argRead && c == ',', s.arg == argValued && c == ',':
		s.arg++
	case s.arg == argValue && c == '\'':
		s.arg++
	case s.arg == argValued && c == '\'': // a doubled quote, or more of the literal
	case s.arg == argLocal && c == ')':
		s.effects |= Local | locally(s.named)
		s.arg = argNone
	default:
		s.stray()
	}
}

// stray takes it that what couldn't be followed of a call means anything.
func (s *statement) stray() {
	switch {
	case s.arg == argNone:
	case s.arg < argValue:
		s.effects |= anyName | Resets
	case s.arg < argFlag:
		s.effects |= s.named | Resets
	default:
		s.effects |= s.named
	}
	s.arg = argNone
}
