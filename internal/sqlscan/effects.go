package sqlscan

import "strings"

// Effects says what a text may do to its session, as far as the text shows.
type Effects uint64

const (
	// Settings: may change session parameters. SET in all its forms but SET
	// LOCAL, SET TRANSACTION and SET CONSTRAINTS; RESET; set_config; UPDATE of
	// pg_settings; DISCARD ALL.
	Settings Effects = 1 << iota
	// Role: SET or RESET ROLE, also by set_config when the name it is given
	// is not a literal. SET SESSION AUTHORIZATION sets the role too.
	Role
	// SessionAuth: SET or RESET SESSION AUTHORIZATION, or the same by set_config.
	SessionAuth
	// TempObjects: CREATE TEMP, SELECT INTO TEMP, anything that names pg_temp.
	TempObjects
	// AdvisoryLock: takes an advisory lock of the session.
	AdvisoryLock
	// Listen: LISTEN.
	Listen
	// HoldCursor: DECLARE ... WITH HOLD.
	HoldCursor
	// Prepare: PREPARE name AS. What the statement in it would do is reported
	// as if it ran.
	Prepare
	// Execute: EXECUTE name, also within EXPLAIN and CREATE TABLE AS. It does
	// what the scan of its PREPARE reported.
	Execute
	// Load: LOAD, of which a session can't rid itself.
	Load
	// Seed: setseed, SET SEED, set_config of seed or of what is no literal.
	// PostgreSQL can't be asked for it.
	Seed
	// Sequence: currval or lastval, which read what an earlier nextval left in
	// the session.
	Sequence
	// Other: a function that makes the session hold something else: a dblink
	// connection, a base backup, a temporary replication slot, a replication
	// origin.
	Other
	// Opaque: runs code that can't be seen: DO, CALL, CREATE or ALTER
	// EXTENSION, functions such as query_to_xml that run their argument. Any
	// state may come of it.
	Opaque
	// Ambiguous: the text can be read in two ways, so anything may be in it.
	Ambiguous

	// Releases: may remove state: DISCARD, UNLISTEN, RESET, CLOSE, DEALLOCATE,
	// DROP, pg_advisory_unlock and its kin.
	Releases
	// Deallocate: DEALLOCATE of one statement; [NameRefs] tells which.
	Deallocate
	// DeallocateAll: DEALLOCATE ALL or DISCARD ALL.
	DeallocateAll
	// DiscardAll: DISCARD ALL. Settings, Role, SessionAuth, DeallocateAll and
	// Releases come with it.
	DiscardAll
	// Begins: BEGIN or START TRANSACTION.
	Begins
	// Local: SET LOCAL, which ends with the transaction.
	Local
	// LocalRole: SET LOCAL ROLE, or SET LOCAL SESSION AUTHORIZATION.
	LocalRole
	// Hidden: a name in Unicode escapes, or a dollar that the scan can't follow.
	// Anything may be behind it, however the session reads its strings. Ambiguous
	// comes with it.
	Hidden
)

// These bits begin at 32.
// They say how a text has to be handled, and none is among [Leaves].
const (
	// CopyIn: COPY and the word STDIN in one statement, so that PostgreSQL may
	// ask for data. Ambiguous brings it along.
	CopyIn Effects = 1 << (iota + 32)
	// Analysis: changes what parse analysis reads, in the session (beside
	// Settings), in the transaction (beside Local) or by RESET: TimeZone,
	// timezone_abbreviations, DateStyle, IntervalStyle, search_path, role,
	// session authorization, client_encoding, standard_conforming_strings,
	// backslash_quote, array_nulls, transform_null_equals, xmloption,
	// lc_monetary, default_text_search_config, extra_float_digits,
	// quote_all_identifiers, or a name that isn't seen.
	Analysis
	// SearchPath: changes search_path, or a setting whose name isn't seen.
	// Analysis comes with it. The role, which "$user" follows, is not in it.
	SearchPath
	// Moment: a literal has one of the words now, today, tomorrow and yesterday
	// in it, which become a constant when the text is analysed. A literal whose
	// escapes may spell one counts too, and one that is too long to search.
	Moment
	// Calls: calls a function that may do what isn't seen.
	Calls
	// Names: names a prepared statement in PREPARE, EXECUTE or DEALLOCATE;
	// [NameRefs] tells where.
	Names
	// Resets: gives a parameter its default: RESET, SET TO DEFAULT, SET TIME
	// ZONE LOCAL, DISCARD ALL, and set_config unless its value is a literal.
	Resets
	// Several: more than one statement. Empty ones do not count.
	Several
	// Analyzed: a statement that PostgreSQL analyses before or while it runs
	// it, which is any but plain commands such as BEGIN, SET, SHOW or LOCK.
	Analyzed
	// Ends: COMMIT, END, ROLLBACK but not to a savepoint, ABORT, PREPARE
	// TRANSACTION.
	Ends
	// Exits: what may run in a transaction that has failed: Ends, and ROLLBACK TO
	// a savepoint.
	Exits
)

// Leaves holds the effects after which the session may differ from what it was
// before, or, with Sequence, needs what it was before. The rest only tell what
// kind of statement was there.
const Leaves = Settings | Role | SessionAuth | TempObjects | AdvisoryLock | Listen | HoldCursor | Prepare |
	Execute | Load | Seed | Sequence | Other | Opaque | Ambiguous

// effectNames are in the order of the bits.
var effectNames = [...]string{
	"settings", "role", "session authorization", "temporary objects", "advisory lock", "listen",
	"cursor with hold", "prepare", "execute", "load", "seed", "sequence", "other", "opaque", "unsure",
	"releases", "deallocate", "deallocate all", "discard all", "begins", "local", "local role", "hidden",
	32: "copy in", "analysis", "search path", "moment", "calls", "names", "resets", "several", "analyzed", "ends", "exits",
}

// String lists the effects in plain words, as in "settings, role".
func (e Effects) String() string {
	var list []string
	for i, name := range effectNames {
		if e&(1<<i) != 0 && name != "" {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}
