package sqlscan

import "strings"

// kind is what a word means to the scan of statements.
type kind uint8

const (
	none kind = iota // no word yet, or a symbol was between
	other
	function // means the same anywhere, quoted or not

	// The words that begin a statement of interest.
	kAlter
	kBegin
	kCall
	kClose
	kCopy
	kCreate
	kDeallocate
	kDeclare
	kDiscard
	kDo
	kDrop
	kEnds // COMMIT and all that ends a transaction
	kExecute
	kExplain
	kInsert
	kListen
	kLoad
	kMerge
	kPrepare
	kReset
	kSet
	kStart
	kUnlisten
	kUpdate

	// The words that matter further on.
	kAll
	kAs
	kAuthorization
	kConflict
	kDefault
	kDistinct
	kExtension
	kGlobal
	kHold
	kIndex
	kInto
	kOn
	kOperator
	kPgSettings
	kPrepared
	kReplace
	kReturning
	kSession
	kSetConfig
	kStdin
	kStdout
	kTemp
	kTo
	kTrue
	kUnique
	kUsing
	kWith
	kZone

	// Those after which a symbol may matter.
	kConstraints
	kLocal
	kTransaction
)

// entry is a word that the scan knows.
type entry struct {
	text string // in lower case
	kind kind
	// effects of a function wherever it is named, and of a keyword that begins
	// a statement.
	effects Effects
	sets    Effects // what setting the parameter of this name does beyond Settings
	called  uint8   // the places where it may be a function that does anything
	then    place   // of the next word
	builtin bool    // a function that leaves the session as it is
}

// anySetting is what comes of setting a parameter whose name isn't seen.
const (
	anySetting = Settings | Role | SessionAuth | Seed
	anyName    = anySetting | Analysis | SearchPath
)

// words are the keywords and parameters that the scan knows.
var words = [...]entry{
	{text: "alter", kind: kAlter, effects: Analyzed},
	{text: "begin", kind: kBegin, effects: Begins},
	{text: "call", kind: kCall, effects: Opaque | Analyzed},
	{text: "close", kind: kClose, effects: Releases},
	{text: "create", kind: kCreate, effects: Analyzed},
	{text: "deallocate", kind: kDeallocate, effects: Releases},
	{text: "declare", kind: kDeclare, effects: Analyzed},
	{text: "discard", kind: kDiscard, effects: Releases},
	{text: "do", kind: kDo, effects: Opaque | Analyzed},
	{text: "drop", kind: kDrop, effects: Releases},
	{text: "execute", kind: kExecute, effects: Execute | Names | Analyzed},
	{text: "explain", kind: kExplain, effects: Analyzed},
	{text: "insert", kind: kInsert, effects: Analyzed},
	{text: "listen", kind: kListen, effects: Listen},
	{text: "load", kind: kLoad, effects: Load},
	{text: "merge", kind: kMerge, effects: Analyzed},
	{text: "prepare", kind: kPrepare},
	{text: "reset", kind: kReset, effects: Settings | Releases | Resets},
	{text: "set", kind: kSet},
	{text: "start", kind: kStart, effects: Begins},
	{text: "unlisten", kind: kUnlisten, effects: Releases},
	{text: "update", kind: kUpdate, effects: Analyzed},
	{text: "copy", kind: kCopy, effects: Analyzed},
	{text: "delete", kind: other, effects: Analyzed},
	{text: "import", kind: other, effects: Analyzed},
	{text: "select", kind: other, effects: Analyzed},
	{text: "table", kind: other, effects: Analyzed},
	{text: "values", kind: other, effects: Analyzed},
	{text: "commit", kind: kEnds},
	{text: "end", kind: kEnds},
	{text: "rollback", kind: kEnds},
	{text: "abort", kind: kEnds},

	{text: "all", kind: kAll, sets: Analysis | SearchPath},
	{text: "as", kind: kAs},
	{text: "authorization", kind: kAuthorization, sets: Role | SessionAuth | Analysis},
	{text: "conflict", kind: kConflict},
	{text: "default", kind: kDefault},
	{text: "distinct", kind: kDistinct},
	{text: "constraints", kind: kConstraints},
	{text: "extension", kind: kExtension},
	{text: "global", kind: kGlobal},
	{text: "hold", kind: kHold},
	{text: "index", kind: kIndex},
	{text: "into", kind: kInto},
	{text: "local", kind: kLocal},
	{text: "on", kind: kOn},
	{text: "operator", kind: kOperator},
	{text: "pg_settings", kind: kPgSettings},
	{text: "replace", kind: kReplace},
	{text: "returning", kind: kReturning},
	{text: "role", kind: other, sets: Role | Analysis},
	{text: "prepared", kind: kPrepared},
	{text: "seed", kind: other, sets: Seed},
	{text: "session", kind: kSession},
	{text: "session_authorization", kind: other, sets: SessionAuth | Role | Analysis},
	{text: "set_config", kind: kSetConfig},
	{text: "stdin", kind: kStdin},
	{text: "stdout", kind: kStdout},
	{text: "temp", kind: kTemp},
	{text: "temporary", kind: kTemp},
	{text: "to", kind: kTo},
	{text: "transaction", kind: kTransaction},
	{text: "true", kind: kTrue},
	{text: "unique", kind: kUnique},
	{text: "using", kind: kUsing},
	{text: "with", kind: kWith, effects: Analyzed},
	{text: "zone", kind: kZone},

	// Parameters that parse analysis reads, and what SET calls some of them.
	{text: "array_nulls", kind: other, sets: Analysis},
	{text: "backslash_quote", kind: other, sets: Analysis},
	{text: "client_encoding", kind: other, sets: Analysis},
	{text: "datestyle", kind: other, sets: Analysis},
	{text: "default_text_search_config", kind: other, sets: Analysis},
	{text: "extra_float_digits", kind: other, sets: Analysis},
	{text: "intervalstyle", kind: other, sets: Analysis},
	{text: "lc_monetary", kind: other, sets: Analysis},
	{text: "names", kind: other, sets: Analysis},
	{text: "quote_all_identifiers", kind: other, sets: Analysis},
	{text: "schema", kind: other, sets: Analysis | SearchPath},
	{text: "search_path", kind: other, sets: Analysis | SearchPath},
	{text: "standard_conforming_strings", kind: other, sets: Analysis},
	{text: "time", kind: other, sets: Analysis},
	{text: "timezone", kind: other, sets: Analysis},
	{text: "timezone_abbreviations", kind: other, sets: Analysis},
	{text: "transform_null_equals", kind: other, sets: Analysis},
	{text: "xml", kind: other, sets: Analysis},
	{text: "xmloption", kind: other, sets: Analysis},
}

const tempSchema = "pg_temp" // pg_temp_3 is one too

// maxWord is longer than any word that is known.
const maxWord = 40

// pure are the first words of commands that nothing is analysed for, as far as
// no other list has them.
const pure = `analyse analyze checkpoint cluster comment fetch grant lock move notify reassign refresh
	reindex release revoke savepoint security show truncate vacuum`

// dictionary holds words by their hashes: each in the slot of its hash, or in the
// next that was free.
type dictionary struct {
	slots [1 << slotBits]slot
	words []*entry
}

const slotBits = 13 // a third of the slots are taken

// slot holds the number of a word, counted from 1, and a part of its hash. Most
// words of a text are names; that they are in no dictionary is seen without a
// look at any that is.
type slot struct{ number, tag uint16 }

var known = func() *dictionary {
	d := &dictionary{}
	for _, list := range [][]entry{words[:], functions[:]} {
		for i := range list {
			d.add(&list[i])
		}
	}
	find := func(word string) *entry {
		e := d.find([]byte(word))
		if e == nil {
			e = &entry{text: word, kind: other}
			d.add(e)
		}
		return e
	}
	for _, word := range strings.Fields(pure) {
		find(word)
	}
	addCallees(find)
	return d
}()

func (d *dictionary) add(e *entry) {
	e.called = calledAnywhere
	d.words = append(d.words, e)
	place, tag := hash([]byte(e.text))
	for d.slots[place].number != 0 {
		place = (place + 1) % uint32(len(d.slots))
	}
	d.slots[place] = slot{uint16(len(d.words)), tag}
}

// find finds a word in any case, or nil.
func (d *dictionary) find(w []byte) *entry {
	for place, tag := hash(w); ; place++ {
		s := d.slots[place%uint32(len(d.slots))]
		if s.number == 0 {
			return nil
		}
		if s.tag == tag {
			if e := d.words[s.number-1]; len(e.text) == len(w) && hasPrefixFold(w, e.text) {
				return e
			}
		}
	}
}

// hash returns the slot of a word, which must not be empty, and its tag. They are
// the same for all cases of it.
func hash(w []byte) (place uint32, tag uint16) {
	n := len(w)
	h := uint32(w[0]|0x20) | uint32(w[n/2]|0x20)<<8 | uint32(w[n-1]|0x20)<<16 | uint32(w[n/4]^byte(n)|0x20)<<24
	h *= 0x9e3779b1
	h ^= h >> 15
	h *= 0x85ebca6b
	return h >> (32 - slotBits), uint16(h)
}

// unknown stands for all other words.
var unknown = entry{kind: other, effects: Analyzed, called: calledAnywhere}

// lookup finds a word in any case.
func lookup(w []byte) *entry {
	if e := known.find(w); e != nil {
		return e
	}
	return &unknown
}

// hasPrefixFold compares as PostgreSQL folds keywords, by ASCII alone.
func hasPrefixFold(w []byte, lower string) bool {
	if len(w) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := w[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
