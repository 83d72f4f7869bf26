package sqlscan

import "bytes"

// maxLiteral is how much of a literal is searched. One that is longer may hold
// any word, as far as we care.
const maxLiteral = 1024

// moments looks for words that mean a moment in a literal, in pieces too. It
// holds the states of two automata: one takes backslashes for what they are,
// the other for the beginning of escapes, as a plain string has them if
// standard_conforming_strings is off.
type moments struct {
	bare, escaped uint8
	length        uint16
}

// States of the automata. The letters of the words have those from here on, and
// what is behind a backslash has the state of what is before it, plus
// afterBackslash.
const (
	betweenWords   = 0
	otherWord      = 1
	momentFound    = 2
	afterBackslash = 32
)

type automaton [2 * afterBackslash][256]uint8

var bareWords, escapedWords = automata()

// lookAt goes on with the literal.
func (s *Scanner) lookAt(b []byte) {
	if s.statement.effects&Moment != 0 {
		return
	}
	m := &s.moments
	if len(b) > maxLiteral-int(m.length) {
		s.statement.effects |= Moment
		return
	}
	m.length += uint16(len(b))
	switch {
	case s.state == escaped:
		m.escaped = escapedWords.run(m.escaped, b)
	case s.state != dollarBody && s.state != dollarEnd && (m.bare != m.escaped || bytes.IndexByte(b, '\\') >= 0):
		m.bare, m.escaped = bareWords.run(m.bare, b), escapedWords.run(m.escaped, b)
	default:
		m.bare = bareWords.run(m.bare, b)
		m.escaped = m.bare
	}
	if m.bare == momentFound || m.escaped == momentFound {
		s.statement.effects |= Moment
	}
}

// lookAtEnd sees to the word that the literal ends with. It may yet go on.
func (s *Scanner) lookAtEnd() {
	m := s.moments
	if m.length == 0 || s.statement.effects&Moment != 0 {
		return
	}
	if bareWords[m.bare]['\''] == momentFound || escapedWords[m.escaped]['\''] == momentFound {
		s.statement.effects |= Moment
	}
}

func (a *automaton) run(state uint8, b []byte) uint8 {
	for _, c := range b {
		state = a[state%uint8(len(a))][c]
	}
	return state
}

// automata makes the one that knows no escapes, and the one that does.
func automata() (bare, escaped *automaton) {
	bare = new(automaton)
	for c := range 256 {
		bare[momentFound][c] = momentFound
		if isLetter(c) {
			bare[betweenWords][c], bare[otherWord][c] = otherWord, otherWord
		}
	}
	last := uint8(momentFound)
	for _, word := range []string{"now", "today", "tomorrow", "yesterday"} {
		state := uint8(betweenWords)
		for _, c := range []byte(word) {
			if bare[state][c] == otherWord {
				last++
				for other := range 256 {
					if isLetter(other) {
						bare[last][other] = otherWord
					}
				}
				bare[state][c], bare[state][c&^0x20] = last, last
			}
			state = bare[state][c]
		}
		for c := range 256 {
			if !isLetter(c) {
				bare[state][c] = momentFound
			}
		}
	}
	escaped = new(automaton)
	*escaped = *bare
	for state := range uint8(afterBackslash) {
		behind := &escaped[state+afterBackslash]
		*behind = bare[state]
		for _, c := range []byte("bfnrt") { // which are no letters then
			behind[c] = bare[state][' ']
		}
		for _, c := range []byte("01234567xuU") { // any letter
			behind[c] = momentFound
		}
		if state != momentFound {
			escaped[state]['\\'] = state + afterBackslash
		}
	}
	return bare, escaped
}

func isLetter(c int) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80 }
