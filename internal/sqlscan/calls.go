package sqlscan

import "strings"

// place says what the token before a word tells about it. A word with a
// parenthesis behind it is the name of a function in some places only.
type place uint8

const (
	// afterName: behind a name, or a keyword that a name or statement follows:
	// what comes may be an alias, a table, a type, but nothing that is computed.
	// So it is at the beginning of a statement.
	afterName place = iota
	afterSymbol
	afterParen  // a closing one, if that is not the same as afterName: OVER and JOIN are keywords there
	inCatalog   // behind pg_catalog and a dot
	inSchema    // behind another name and a dot
	afterSchema // behind pg_catalog
)

// The places where a word calls a function if a parenthesis is behind it, as a
// set of bits.
const (
	calledAnywhere = 1<<afterSymbol | 1<<afterParen | 1<<inCatalog | 1<<inSchema
	calledInSchema = 1 << inSchema // what is built in
	calledInside   = calledAnywhere &^ (1 << afterParen)
)

// naming are keywords that names or statements follow, no expressions. Types and
// JOIN are names for that purpose.
const naming = `aggregate analyse analyze as bit character copy cross dec exists execute foreign full function group
	grouping inner into left natural only order outer partition prepare primary procedure recursive
	references right routine table tablesample type update verbose view with`

// joining are keywords that are no function behind a closing parenthesis.
const joining = "filter ilike join operator over overlaps similar"

// addCallees gives the words that are known their place in calls, and adds those
// that matter for nothing else. find returns the entry of a word, a new one if
// need be.
func addCallees(find func(string) *entry) {
	each := func(list string, f func(e *entry)) {
		for _, word := range strings.Fields(list) {
			f(find(word))
		}
	}
	each(freeKeywords, func(e *entry) { e.then = afterSymbol })
	each(fixedKeywords, func(e *entry) { e.then, e.called = afterSymbol, calledInSchema })
	each(naming, func(e *entry) { e.then = afterName })
	each(builtins, func(e *entry) { e.called, e.builtin = calledInSchema, true })
	each(joining, func(e *entry) { e.called &= calledInside })
	find("pg_catalog").then = afterSchema
}

// callee takes a word as far as calls go.
func (s *statement) callee(e *entry) {
	s.place = s.next
	s.next = e.then
	s.called = e.called>>s.place&1 != 0
}

// quotedCallee takes a quoted word, which is none of the keywords.
func (s *statement) quotedCallee(e *entry, exact bool) {
	if !exact || !e.builtin && e.then != afterSchema {
		e = &unknown
	}
	s.callee(e)
	if e.builtin {
		s.next = afterName
	}
}

// calleeSymbol takes a symbol.
func (s *statement) calleeSymbol(c byte) {
	next := afterSymbol
	switch c {
	case '(':
		if s.called {
			s.effects |= Calls
		}
		s.depth++
	case ')':
		if next = afterName; s.loose {
			next = afterParen
		}
		s.depth--
	case '.':
		switch {
		case s.next == afterSchema && s.place != afterName:
			next = inCatalog
		case s.place == afterName && s.count > 0:
			next = afterName
		default:
			next = inSchema
		}
	case ',':
		if s.ctes && s.depth == 0 {
			next = afterName
		}
	}
	s.place, s.next, s.called = afterSymbol, next, false
}

// furtherCallee sees to what a word alone doesn't tell.
func (s *statement) furtherCallee(k kind) {
	switch {
	case s.first == kCreate && k == kIndex && (s.count == 1 || s.count == 2 && s.prev == kUnique):
		s.index = true
	case s.index && (k == kOn || k == kUsing):
		s.next = afterName
	case k == kOperator, k == kOn && s.prev == kDistinct, k == kWith && s.prev == kReturning:
		s.loose = true // no other parentheses have an expression right behind them
	case k == kConflict && s.prev == kOn && (s.first == kInsert || s.first == kWith), k == kInsert && s.first == kMerge, (k == kStdin || k == kStdout) && s.first == kCopy:
		s.called = false
	}
}
