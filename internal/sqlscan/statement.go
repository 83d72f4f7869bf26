package sqlscan

// statement follows the words of one statement after the other, and keeps what
// they do.
type statement struct {
	effects Effects
	named   Effects // what the first argument of set_config says, once arg is argRead
	done    uint32  // statements before it
	current
}

// current is what is known of the statement that the text is in.
type current struct {
	depth  int32    // of parentheses
	first  kind     // the statement's first word
	prev   kind     // the word just before, none after a symbol
	count  uint8    // words so far, no further than a few
	wants  want     // what the next word is
	place  place    // of the word just before
	next   place    // of the next word
	called bool     // a parenthesis makes the word just before a call
	ctes   bool     // no statement yet after WITH
	index  bool     // it is CREATE INDEX
	loose  bool     // an expression may begin behind a closing parenthesis
	update bool     // UPDATE was among the words
	ends   bool     // it ends a transaction, unless more words tell otherwise
	began  bool     // it has anything
	arg    argument // how far we are in the call of set_config
}

// want says what the next word of a statement is.
type want uint8

const (
	wantsFirst     want = iota // the statement's first word
	wantsNothing               // no special one
	wantsParameter             // what SET sets
	wantsLocal                 // what SET LOCAL sets
	wantsReset                 // what RESET resets
	wantsName                  // the name of a prepared statement
)

// end is the end of a statement.
func (s *statement) end() {
	s.settle()
	s.current = current{}
}

// settle draws what follows from the end of the statement, as far as it goes.
func (s *statement) settle() {
	if s.arg != argNone {
		s.stray()
	}
	if s.ends {
		s.effects |= Ends | Exits
		s.ends = false
	}
	if s.began {
		if s.done++; s.done > 1 {
			s.effects |= Several
		}
	}
}

// symbol takes a byte that is neither of a word nor of a string, or the one that
// a string begins with.
func (s *statement) symbol(c byte) {
	if c == ';' {
		s.end()
		return
	}
	s.began = true
	if s.prev >= kConstraints && s.count == 2 {
		s.afterScope(c)
	}
	if s.arg != argNone {
		s.argumentSymbol(c)
	}
	s.calleeSymbol(c)
	s.prev = none
}

// afterScope takes the symbol that shows a second word to be no keyword, or to
// be one.
func (s *statement) afterScope(c byte) {
	switch {
	case s.first == kSet && c == '.':
		s.effects |= Settings // SET local.name: a parameter of a class called local
	case s.first == kPrepare && c == '(': // PREPARE transaction (int) AS
		s.effects |= Names | Analyzed
	case s.first == kPrepare && s.prev == kTransaction:
		s.ends = true // PREPARE TRANSACTION 'name'
	}
}

// quoted takes a quoted identifier. Functions are meant only if their name is
// in lower case; names of parameters are compared in any case.
func (s *statement) quoted(w []byte) {
	e := &unknown
	if len(w) > 0 && len(w) < maxWord {
		e = lookup(w)
	}
	s.stray()
	if s.wants != wantsNothing {
		s.wanted(e)
	} else if s.first == kDeallocate {
		s.effects |= Deallocate | Names
	}
	exact := e.text == string(w)
	s.quotedCallee(e, exact)
	if exact {
		s.anywhere(e)
	}
	s.temporary(w)
	s.advance(other)
}

// word takes an unquoted identifier or keyword, in any case and not empty.
func (s *statement) word(w []byte) {
	e := lookup(w)
	if s.arg != argNone {
		s.argumentWord(e.kind)
	}
	s.callee(e)
	if s.ctes && s.depth == 0 && e.effects&Analyzed != 0 && e.kind != kWith && e != &unknown {
		s.ctes = false
	}
	if e.kind == other {
		if e == &unknown {
			s.temporary(w)
		}
		if s.wants != wantsNothing {
			s.wanted(e)
		}
		s.advance(other)
		return
	}
	s.anywhere(e)
	if s.first == none {
		s.begin(e)
	} else {
		s.further(e)
	}
	s.advance(e.kind)
}

func (s *statement) advance(k kind) {
	if s.first == none {
		s.first, s.began = k, true
	}
	s.prev = k
	if s.count < 4 {
		s.count++
	}
}

// temporary looks for the schema of temporary objects.
func (s *statement) temporary(w []byte) {
	if len(w) >= len(tempSchema) && w[0]|0x20 == 'p' && w[2] == '_' && hasPrefixFold(w, tempSchema) {
		s.effects |= TempObjects
	}
}

// anywhere handles the words that mean the same wherever they are.
func (s *statement) anywhere(e *entry) {
	switch e.kind {
	case function:
		s.effects |= e.effects
	case kSetConfig:
		s.arg = argName
	case kPgSettings:
		if s.update { // a rule of that view calls set_config
			s.effects |= anyName | Resets
		}
	case kUpdate:
		s.update = true
	}
}

// begin takes the first word of a statement.
func (s *statement) begin(e *entry) {
	if e.kind != function {
		s.effects |= e.effects
	}
	s.wants = wantsNothing
	switch e.kind {
	case kWith:
		s.ctes = true
	case kSet:
		s.wants = wantsParameter
	case kReset:
		s.wants = wantsReset
	case kPrepare, kDeallocate:
		s.wants = wantsName
	case kEnds:
		s.ends = true
	}
}

// wanted takes a word that was waited for and is no keyword there.
func (s *statement) wanted(e *entry) {
	wants := s.wants
	s.wants = wantsNothing
	switch wants {
	case wantsFirst:
		s.effects |= e.effects
	case wantsParameter:
		s.effects |= Settings | e.sets
	case wantsLocal:
		s.effects |= locally(e.sets)
	case wantsReset:
		s.effects |= e.sets &^ Seed
	case wantsName:
		s.effects |= Names
		if s.first == kDeallocate {
			s.effects |= Deallocate
		} else {
			s.effects |= Analyzed
		}
	}
}

// further takes a later word of a statement that is a keyword or may be one.
func (s *statement) further(e *entry) {
	k := e.kind
	if k == kTemp && s.makesTemp() {
		s.effects |= TempObjects
	}
	s.furtherCallee(k)
	switch s.first {
	case kSet:
		s.furtherOfSet(e)
	case kReset:
		if s.wants == wantsReset || k == kAuthorization {
			s.wants = wantsReset
			s.wanted(e)
		}
	case kPrepare:
		s.furtherOfPrepare(e)
	case kDeclare:
		if k == kHold && s.prev == kWith {
			s.effects |= HoldCursor
		}
	case kDiscard:
		if k == kAll {
			s.effects |= DiscardAll | DeallocateAll | Settings | Role | SessionAuth | Analysis | SearchPath | Resets
		}
	case kDeallocate:
		switch {
		case k == kAll:
			s.effects |= DeallocateAll
		case s.wants == wantsName:
			s.wanted(e)
		}
		s.wants = wantsNothing
	case kCreate, kAlter:
		if k == kExtension && s.count == 1 {
			s.effects |= Opaque
		}
		if k == kExecute && s.prev == kAs {
			s.effects |= Execute | Names
		}
	case kExplain:
		if k == kExecute {
			s.effects |= Execute | Names
		}
	case kCopy:
		if k == kStdin {
			s.effects |= CopyIn
		}
	case kEnds:
		if k == kTo || k == kPrepared { // ROLLBACK TO a savepoint, COMMIT PREPARED
			s.ends = false
		}
		if k == kTo {
			s.effects |= Exits
		}
	}
}

// makesTemp says whether the word TEMP, being next, makes something temporary.
func (s *statement) makesTemp() bool {
	switch s.prev {
	case kCreate, kReplace, kLocal, kGlobal:
		return true
	case kInto: // but INSERT INTO temp means a table of that name
		return s.count != 2 || s.first != kInsert && s.first != kMerge
	}
	return false
}

// hidden takes the beginning of a quoted identifier in Unicode escapes.
func (s *statement) hidden() {
	s.effects |= Ambiguous | Hidden
	if s.next != afterName {
		s.effects |= Calls
	}
	switch s.wants {
	case wantsParameter, wantsLocal, wantsReset:
		s.effects |= Analysis | SearchPath
	}
}

// furtherOfPrepare tells PREPARE TRANSACTION from the statement of that name.
func (s *statement) furtherOfPrepare(e *entry) {
	switch {
	case s.wants == wantsName && e.kind == kTransaction:
		s.wants = wantsNothing // what comes next decides
	case s.wants == wantsName:
		s.wanted(e)
	case e.kind == kAs:
		s.effects |= Prepare | Names | Analyzed
	}
}

// furtherOfSet takes a keyword after SET.
func (s *statement) furtherOfSet(e *entry) {
	switch k := e.kind; {
	case s.wants == wantsParameter:
		s.parameterOrScope(e)
	case s.wants == wantsLocal && k == kSession:
		// AUTHORIZATION comes next
	case s.wants == wantsLocal:
		s.wanted(e)
	case k == kDefault, k == kLocal && s.prev == kZone:
		s.effects |= Resets
	}
}

// parameterOrScope takes a keyword after SET or SET SESSION.
func (s *statement) parameterOrScope(e *entry) {
	k := e.kind
	switch {
	case k == kSession:
		// the name comes next
	case k >= kConstraints && s.count == 1: // the transaction's
		s.wants = wantsNothing
		if k == kLocal {
			s.wants = wantsLocal
			s.effects |= Local
		}
	default:
		s.wanted(e)
	}
}

// locally is what setting a parameter does within the transaction.
func locally(sets Effects) Effects {
	e := sets & (Analysis | SearchPath | Seed) // which no end of a transaction takes back
	if sets&(Role|SessionAuth) != 0 {
		e |= LocalRole
	}
	return e
}
