package sqlscan

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
	kCreate
	kDeallocate
	kDeclare
	kDiscard
	kDo
	kDrop
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
	kConstraints
	kExtension
	kGlobal
	kHold
	kInto
	kLocal
	kPgSettings
	kReplace
	kRole
	kSeed
	kSession
	kSessionAuthorization
	kSetConfig
	kTemp
	kTransaction
	kWith
)

// entry is a word that the scan knows.
type entry struct {
	text string // in lower case
	kind kind
	// effects of a function wherever it is named, and of a keyword that begins
	// a statement.
	effects Effects
	next    uint8 // the next of the same hash; 0 ends
}

// anySetting is what comes of setting a parameter whose name isn't seen.
const anySetting = Settings | Role | SessionAuth | Seed

// words starts with an empty entry, since 0 ends a chain.
//
// The functions are those of PostgreSQL 14 to 18 and of the modules shipped with
// it whose effect outlives the transaction. A name without parenthesis counts
// too: that is where CREATE AGGREGATE and the like hide a call.
var words = [...]entry{
	{},
	{text: "alter", kind: kAlter},
	{text: "begin", kind: kBegin, effects: Begins},
	{text: "call", kind: kCall, effects: Opaque},
	{text: "close", kind: kClose, effects: Releases},
	{text: "create", kind: kCreate},
	{text: "deallocate", kind: kDeallocate, effects: Releases},
	{text: "declare", kind: kDeclare},
	{text: "discard", kind: kDiscard, effects: Releases},
	{text: "do", kind: kDo, effects: Opaque},
	{text: "drop", kind: kDrop, effects: Releases},
	{text: "execute", kind: kExecute, effects: Execute},
	{text: "explain", kind: kExplain},
	{text: "insert", kind: kInsert},
	{text: "listen", kind: kListen, effects: Listen},
	{text: "load", kind: kLoad, effects: Load},
	{text: "merge", kind: kMerge},
	{text: "prepare", kind: kPrepare},
	{text: "reset", kind: kReset, effects: Settings | Releases},
	{text: "set", kind: kSet},
	{text: "start", kind: kStart, effects: Begins},
	{text: "unlisten", kind: kUnlisten, effects: Releases},
	{text: "update", kind: kUpdate},

	{text: "all", kind: kAll},
	{text: "as", kind: kAs},
	{text: "authorization", kind: kAuthorization},
	{text: "constraints", kind: kConstraints},
	{text: "extension", kind: kExtension},
	{text: "global", kind: kGlobal},
	{text: "hold", kind: kHold},
	{text: "into", kind: kInto},
	{text: "local", kind: kLocal},
	{text: "pg_settings", kind: kPgSettings},
	{text: "replace", kind: kReplace},
	{text: "role", kind: kRole},
	{text: "seed", kind: kSeed},
	{text: "session", kind: kSession},
	{text: "session_authorization", kind: kSessionAuthorization},
	{text: "set_config", kind: kSetConfig, effects: Settings},
	{text: "temp", kind: kTemp},
	{text: "temporary", kind: kTemp},
	{text: "transaction", kind: kTransaction},
	{text: "with", kind: kWith},

	{text: "setseed", kind: function, effects: Seed},
	{text: "currval", kind: function, effects: Sequence},
	{text: "lastval", kind: function, effects: Sequence},
	{text: "pg_advisory_lock", kind: function, effects: AdvisoryLock},
	{text: "pg_advisory_lock_shared", kind: function, effects: AdvisoryLock},
	{text: "pg_try_advisory_lock", kind: function, effects: AdvisoryLock},
	{text: "pg_try_advisory_lock_shared", kind: function, effects: AdvisoryLock},
	{text: "pg_advisory_unlock", kind: function, effects: Releases},
	{text: "pg_advisory_unlock_shared", kind: function, effects: Releases},
	{text: "pg_advisory_unlock_all", kind: function, effects: Releases},

	// Replication and backup.
	{text: "pg_backup_start", kind: function, effects: Other},
	{text: "pg_start_backup", kind: function, effects: Other}, // PostgreSQL 14
	{text: "pg_backup_stop", kind: function, effects: Releases},
	{text: "pg_stop_backup", kind: function, effects: Releases},
	{text: "pg_create_physical_replication_slot", kind: function, effects: Other},
	{text: "pg_create_logical_replication_slot", kind: function, effects: Other},
	{text: "pg_copy_physical_replication_slot", kind: function, effects: Other},
	{text: "pg_copy_logical_replication_slot", kind: function, effects: Other},
	{text: "pg_drop_replication_slot", kind: function, effects: Releases},
	{text: "pg_replication_origin_session_setup", kind: function, effects: Other},
	{text: "pg_replication_origin_session_reset", kind: function, effects: Releases},

	// Functions that run a text as SQL.
	{text: "query_to_xml", kind: function, effects: Opaque},
	{text: "query_to_xmlschema", kind: function, effects: Opaque},
	{text: "query_to_xml_and_xmlschema", kind: function, effects: Opaque},
	{text: "cursor_to_xml", kind: function, effects: Opaque},
	{text: "ts_stat", kind: function, effects: Opaque},
	{text: "ts_rewrite", kind: function, effects: Opaque},
	{text: "crosstab", kind: function, effects: Opaque}, // tablefunc
	{text: "crosstab2", kind: function, effects: Opaque},
	{text: "crosstab3", kind: function, effects: Opaque},
	{text: "crosstab4", kind: function, effects: Opaque},
	{text: "connectby", kind: function, effects: Opaque},
	{text: "xpath_table", kind: function, effects: Opaque}, // xml2

	// Other modules.
	{text: "set_limit", kind: function, effects: Settings}, // pg_trgm
	{text: "dblink_connect", kind: function, effects: Other},
	{text: "dblink_connect_u", kind: function, effects: Other},
	{text: "dblink_disconnect", kind: function, effects: Releases},
	{text: "set_user", kind: function, effects: anySetting}, // the set_user module
	{text: "set_user_u", kind: function, effects: anySetting},
	{text: "set_session_auth", kind: function, effects: anySetting},
	{text: "reset_user", kind: function, effects: anySetting | Releases},
}

const tempSchema = "pg_temp" // pg_temp_3 is one too

// maxWord is longer than any word that is known.
const maxWord = 40

// chains holds the first entry of each hash.
var chains = func() (heads [256]uint8) {
	for i := 1; i < len(words); i++ {
		w := &words[i]
		h := hash([]byte(w.text))
		w.next, heads[h] = heads[h], uint8(i)
	}
	return heads
}()

// hash is the same for all cases of a word, which must not be empty.
func hash(w []byte) uint8 {
	first, last := w[0]|0x20, w[len(w)-1]|0x20
	return first*29 + last*5 + uint8(len(w))*37
}

var unknown = entry{kind: other}

// lookup finds a word in any case.
func lookup(w []byte) *entry {
	for i := chains[hash(w)]; i != 0; i = words[i].next {
		if e := &words[i]; len(e.text) == len(w) && hasPrefixFold(w, e.text) {
			return e
		}
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
