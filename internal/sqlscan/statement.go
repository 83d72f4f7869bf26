package sqlscan

// statement follows the words of one statement after the other, and keeps what
// they do.
type statement struct {
	effects Effects
	first   kind     // the statement's first word
	prev    kind     // the word just before, none after a symbol
	count   uint8    // words so far, no further than a few
	awaits  bool     // SET still waits for the parameter's name
	local   bool     // and so does SET LOCAL
	update  bool     // UPDATE was among the words
	arg     argument // how far we are in the call of set_config
	named   Effects  // what its first argument says, once arg is argRead
}

// argument follows the first argument of set_config. Only a literal with a
// comma behind it tells which parameter is meant.
type argument uint8

const (
	argNone   argument = iota
	argName            // set_config was seen
	argOpen            // and the parenthesis
	argInside          // and the quote of the literal
	argRead            // and the whole of the literal
)

// end is the end of a statement.
func (s *statement) end() {
	s.settle()
	s.first, s.prev, s.count, s.awaits, s.local, s.update = none, none, 0, false, false, false
}

// settle takes it that any parameter was meant when the argument of set_config
// turns out not to be a literal alone.
func (s *statement) settle() {
	if s.arg != argNone {
		s.effects |= anySetting
		s.arg = argNone
	}
}

// symbol takes a byte that is neither of a word nor of a string.
func (s *statement) symbol(c byte) {
	switch {
	case c == ';':
		s.end()
		return
	case c == '.' && s.first == kSet && s.count == 2 && quietSet(s.prev):
		s.effects |= Settings // SET local.name: a parameter of a class called local
	case s.arg == argNone:
	case s.arg == argName && c == '(':
		s.arg = argOpen
	case s.arg == argRead && c == ',':
		s.effects |= s.named
		s.arg = argNone
	default:
		s.settle()
	}
	s.prev = none
}

// quietSet says whether SET with this word behind it ends with the transaction.
func quietSet(k kind) bool { return k == kLocal || k == kTransaction || k == kConstraints }

// literal takes the content of the string that set_config begins with.
func (s *statement) literal(text []byte) {
	s.named, s.arg = Settings, argRead
	if len(text) == 0 {
		return
	}
	switch lookup(text).kind {
	case kRole:
		s.named |= Role
	case kSessionAuthorization:
		s.named |= SessionAuth | Role
	case kSeed:
		s.named |= Seed
	}
}

// quoted takes a quoted identifier. Functions are meant only if their name is
// in lower case; names of parameters are compared in any case.
func (s *statement) quoted(w []byte) {
	e := &unknown
	if len(w) > 0 && len(w) < maxWord {
		e = lookup(w)
	}
	exact := e.text == string(w)
	switch {
	case s.awaits:
		s.parameter(e.kind)
	case s.local:
		s.localParameter(e.kind)
	case s.first == kReset && s.count == 1:
		s.effects |= resets(e.kind)
	case s.first == kDeallocate:
		s.effects |= Deallocate
	}
	s.settle()
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
		s.settle()
	}
	if e == &unknown {
		s.temporary(w)
		if s.awaits {
			s.parameter(other)
		} else if s.local {
			s.local = false
		} else if s.first == kDeallocate && s.count == 1 {
			s.effects |= Deallocate
		}
		s.advance(other)
		return
	}
	s.anywhere(e)
	if s.first == none {
		s.begin(e)
	} else {
		s.further(e.kind)
	}
	s.advance(e.kind)
}

func (s *statement) advance(k kind) {
	if s.first == none {
		s.first = k
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
		s.effects |= e.effects
		s.arg = argName
	case kPgSettings:
		if s.update { // a rule of that view calls set_config
			s.effects |= anySetting
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
	s.awaits = e.kind == kSet
}

// further takes a later word of a statement.
func (s *statement) further(k kind) {
	if k == kTemp && s.makesTemp() {
		s.effects |= TempObjects
	}
	second := s.count == 1
	switch s.first {
	case kSet:
		switch {
		case s.awaits:
			s.parameterOrScope(k)
		case s.local:
			s.localParameter(k)
		}
	case kReset:
		if second || k == kAuthorization {
			s.effects |= resets(k)
		}
	case kPrepare:
		if k == kAs { // PREPARE TRANSACTION has none
			s.effects |= Prepare
		}
	case kDeclare:
		if k == kHold && s.prev == kWith {
			s.effects |= HoldCursor
		}
	case kDiscard:
		if k == kAll {
			s.effects |= DiscardAll | DeallocateAll | Settings | Role | SessionAuth
		}
	case kDeallocate:
		switch {
		case k == kAll:
			s.effects |= DeallocateAll
		case second:
			s.effects |= Deallocate
		}
	case kCreate, kAlter:
		if k == kExtension && second {
			s.effects |= Opaque
		}
		if k == kExecute && s.prev == kAs {
			s.effects |= Execute
		}
	case kExplain:
		if k == kExecute {
			s.effects |= Execute
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

// parameterOrScope takes a word after SET or SET SESSION.
func (s *statement) parameterOrScope(k kind) {
	switch {
	case k == kSession:
		// the name comes next
	case k == kAuthorization:
		s.effects |= Settings | Role | SessionAuth
		s.awaits = false
	case quietSet(k) && s.count == 1:
		s.awaits = false
		if s.local = k == kLocal; s.local {
			s.effects |= Local
		}
	default:
		s.parameter(k)
	}
}

// localParameter takes a word after SET LOCAL.
func (s *statement) localParameter(k kind) {
	s.local = k == kSession // AUTHORIZATION comes next
	switch k {
	case kRole, kAuthorization, kSessionAuthorization:
		s.effects |= LocalRole
	}
}

// parameter takes the name that SET sets.
func (s *statement) parameter(k kind) {
	s.awaits = false
	s.effects |= Settings
	switch k {
	case kRole:
		s.effects |= Role
	case kSessionAuthorization:
		s.effects |= SessionAuth | Role
	case kSeed:
		s.effects |= Seed
	}
}

// resets is what RESET does beyond Settings.
func resets(k kind) Effects {
	switch k {
	case kRole:
		return Role
	case kAuthorization, kSessionAuthorization:
		return SessionAuth | Role
	}
	return 0
}
