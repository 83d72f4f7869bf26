package relay

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
)

// What becomes of a session that has left something on its server: session_state
// of the configuration.
const (
	Strict = "strict" // like Pin, and PostgreSQL is asked after every function that may have left something
	Pin    = "pin"    // it keeps the server
	Reject = "reject" // the statement is refused
	Ignore = "ignore" // nothing
)

// What may be left in a session, by how it is dealt with.
const (
	settings = sqlscan.Settings
	analysis = sqlscan.Analysis
	// surveyed is what PostgreSQL can be asked for, and keeps the client on its
	// server while it is there.
	surveyed = sqlscan.TempObjects | sqlscan.AdvisoryLock | sqlscan.Listen | sqlscan.HoldCursor |
		sqlscan.Prepare | sqlscan.SessionAuth
	// lasting can't be asked for: it keeps the client there to the end.
	lasting = sqlscan.Load | sqlscan.Seed | sqlscan.Sequence | sqlscan.Other
	// pinning is all that keeps a client on its server.
	pinning = surveyed | lasting
	// carried follows the client to its next server.
	carried = sqlscan.Settings | sqlscan.Role
	// indelible outlives even DISCARD ALL, so the server ends with the session.
	indelible = sqlscan.Load | sqlscan.Seed | sqlscan.Other | unknownState
	// opaque may be anything.
	opaque = sqlscan.Opaque | sqlscan.Unsure
	// forgets ends statements of the protocol.
	forgets = sqlscan.DeallocateAll | sqlscan.DiscardAll
	// noted is what a statement's text shows that anybody has to heed; most
	// statements show nothing of it.
	noted = pinning | carried | opaque | forgets | sqlscan.Execute | sqlscan.Releases | sqlscan.Deallocate | sqlscan.Local |
		sqlscan.LocalRole | sqlscan.Hidden | sqlscan.CopyIn | sqlscan.Analysis | sqlscan.SearchPath | sqlscan.Calls |
		sqlscan.Names | sqlscan.Resets
)

// More reasons to stay, beside those that a text shows.
const (
	unknownState   sqlscan.Effects = 1 << 31 // PostgreSQL could not be asked
	largeStatement sqlscan.Effects = 1 << 30 // the text of a prepared statement is not kept
	largeSettings  sqlscan.Effects = 1 << 29 // so are the session's parameters
	privileged     sqlscan.Effects = 1 << 28 // a parameter is set that the role may not set itself
	temporaryPath  sqlscan.Effects = 1 << 27 // search_path names pg_temp

	// dotted is no reason: a text that sets parameters has a name with a dot in it,
	// or one that may have.
	dotted sqlscan.Effects = 1 << 26
)

// reasons names what keeps a client on its server, for people.
var reasons = []struct {
	bit  sqlscan.Effects
	name string
}{
	{sqlscan.TempObjects, "temporary object"},
	{sqlscan.AdvisoryLock, "advisory lock"},
	{sqlscan.Listen, "LISTEN"},
	{sqlscan.HoldCursor, "cursor WITH HOLD"},
	{sqlscan.Prepare, "PREPARE"},
	{sqlscan.SessionAuth, "SESSION AUTHORIZATION"},
	{sqlscan.Load, "LOAD"},
	{sqlscan.Seed, "random seed"},
	{sqlscan.Sequence, "sequence value"},
	{sqlscan.Other, "other state"},
	{unknownState, "unknown state"},
	{largeStatement, "large prepared statement"},
	{largeSettings, "large parameters"},
	{privileged, "parameter of another role's rights"},
	{temporaryPath, "search_path with pg_temp"},
}

// Reasons names the bits of what keeps a client on its server.
func Reasons(why sqlscan.Effects) []string {
	var list []string
	for _, r := range reasons {
		if why&r.bit != 0 {
			list = append(list, r.name)
		}
	}
	return list
}

// scan returns the effects of a text, as far as the session heeds them.
func (r *Relay) scan(text []byte) sqlscan.Effects { return r.strictly(scan(text)) }

// strictly takes a function that is not known to be harmless for one that may do
// anything, where the session is followed so, and an EXECUTE in session mode,
// where nobody knows what was prepared.
func (r *Relay) strictly(seen sqlscan.Effects) sqlscan.Effects {
	if r.cfg.Policy == Strict && seen&sqlscan.Calls != 0 || !r.cfg.Shared && seen&sqlscan.Execute != 0 {
		seen |= sqlscan.Opaque
	}
	return seen
}

// scan returns the effects of a text.
func scan(text []byte) sqlscan.Effects {
	seen := sqlscan.Scan(text)
	if seen&sqlscan.TempObjects == 0 && bytes.Contains(text, temporarySchema) {
		seen |= sqlscan.TempObjects // in a string, as of SET LOCAL search_path
	}
	if seen&(carried|opaque) != 0 && mayNameCustom(text) {
		seen |= dotted
	}
	return widen(seen)
}

// mayNameCustom reports whether a text may hold the name of a custom parameter.
func mayNameCustom(text []byte) bool { return bytes.IndexByte(text, '.') >= 0 || readsTwoWays(text) }

// widen adds what follows from effects: what a text that reads in two ways may
// hold, and that where search_path may have been changed,
// also for the transaction, what is created may be temporary.
func widen(seen sqlscan.Effects) sqlscan.Effects {
	if seen&(sqlscan.Unsure|sqlscan.Hidden) != 0 { // anything may be in it
		seen |= sqlscan.Analysis | sqlscan.SearchPath | sqlscan.Moment | sqlscan.Calls | sqlscan.Resets | sqlscan.Several | sqlscan.Analyzed
	}
	if seen&sqlscan.SearchPath != 0 {
		seen |= sqlscan.TempObjects
	}
	return seen
}

var temporarySchema = []byte("pg_temp")

// effects follows what a client may have left in its session. What its
// statements show is a suspicion; PostgreSQL is asked for the truth before the
// server is lent to anybody else.
type effects struct {
	suspect  sqlscan.Effects // seen in statements since PostgreSQL was asked
	pins     sqlscan.Effects // what keeps the client on its server
	since    time.Time       // when that began
	within   sqlscan.Effects // what statements of PREPARE may do when they are executed
	foreign  bool            // others used the server's sequences since the client did
	custom   custom
	opaque   int // what the ledger had had when a text that may do anything was sent last
	canceled int // surveys in vain
}

// heed notes what a statement that is sent may do.
func (r *Relay) heed(seen sqlscan.Effects) {
	if seen&noted == 0 {
		return
	}
	e := &r.effects
	if r.server != nil && seen&(sqlscan.Calls|opaque) != 0 {
		r.server.unverified = true
	}
	if !r.cfg.Shared {
		e.pins |= seen & indelible
		e.suspect |= seen & (settings | opaque | sqlscan.Calls | sqlscan.Local)
		return
	}
	if seen&sqlscan.Seed != 0 && seen&sqlscan.SearchPath != 0 {
		// A name that is not seen is hardly ever that of the seed. Nobody else
		// is to meet one.
		seen &^= sqlscan.Seed
		r.server.seeded, r.server.unlisted = true, true
	}
	if seen&sqlscan.Prepare != 0 {
		e.within |= seen
	}
	if seen&sqlscan.Execute != 0 {
		seen |= e.within
	}
	if seen&opaque != 0 {
		seen |= analysis
		e.opaque = r.ledger.pushed
	}
	e.suspect |= seen &^ sqlscan.Calls
	if r.cfg.Policy == Pin || r.cfg.Policy == Strict {
		e.pin(seen & lasting)
	}
}

func (e *effects) pin(why sqlscan.Effects) {
	if e.pins == 0 && why != 0 {
		e.since = time.Now()
	}
	e.pins |= why
}

// toAsk returns what PostgreSQL has to be asked for before it is known what the
// session has left.
func (r *Relay) toAsk() sqlscan.Effects {
	e := &r.effects
	if !r.cfg.Shared {
		return 0
	}
	ask := e.suspect & (surveyed | carried)
	if e.suspect&opaque != 0 {
		ask |= surveyed | carried | sqlscan.Opaque
	}
	if e.suspect&sqlscan.Releases != 0 {
		ask |= e.pins & surveyed
	}
	if r.cfg.Policy == Ignore {
		ask &= carried
	}
	return ask
}

// refuses returns why a statement is not to be run at all, or nil.
func (r *Relay) refuses(seen sqlscan.Effects) *wire.Error {
	// A SET LOCAL search_path alone makes nothing temporary.
	if seen&sqlscan.SearchPath != 0 {
		seen &^= sqlscan.TempObjects
	}
	// DISCARD ALL or RESET SESSION AUTHORIZATION alone leaves nothing.
	if seen&sqlscan.Resets != 0 && seen&(sqlscan.Several|sqlscan.Analyzed|opaque) == 0 {
		seen &^= sqlscan.SessionAuth
	}
	if !r.cfg.Shared || r.cfg.Policy != Reject || seen&pinning == 0 {
		return nil
	}
	return &wire.Error{
		Severity: "ERROR", Code: wire.CodeFeatureNotSupported,
		Message: strings.Join(Reasons(seen&pinning), ", ") + " not supported in transaction pooling (session_state = reject)",
		Hint:    "Use a database or role with pool_mode session, or set session_state to pin.",
	}
}

// deniedText is what PostgreSQL is sent in place of a statement that is denied:
// it has to refuse it, so that the transaction fails as after any error.
const deniedText = "pgseal does not run this statement"

// Bounds of the names of custom parameters that are looked for in a session:
// each is remembered, and stands in every question.
const (
	maxCustom     = 64
	maxCustomSize = 256
)

// custom holds the names that may be those of a session's custom parameters,
// such as app.tenant. PostgreSQL can't be asked which of them there are
// (pg_settings leaves them out), only for the value of one that is named.
type custom struct {
	names    []string // in lower case
	overflow bool     // there are more, or longer ones
}

// look looks at a text that may set parameters for the names of such that
// PostgreSQL has to be asked for one by one.
func (r *Relay) look(seen sqlscan.Effects, text []byte) {
	if !r.cfg.Shared || seen&(carried|opaque) == 0 {
		return
	}
	if seen&(opaque|dotted) != 0 {
		r.server.unlisted = true
		r.effects.custom.note(text)
	}
}

// note looks for such names in a statement. Columns and tables read the same; to
// ask for one too many does no harm.
func (c *custom) note(text []byte) {
	var name []byte
	for i := 0; i < len(text); {
		if !inName(text[i]) {
			i++
			continue
		}
		name = name[:0]
		for j := i; j < len(text) && inName(text[j]); { // blanks may stand about a dot
			if len(name) > 0 && text[j] != '.' && name[len(name)-1] != '.' {
				break
			}
			for i = j; i < len(text) && inName(text[i]); i++ {
				name = append(name, text[i])
			}
			j = skipBlanks(text, i)
		}
		if bytes.IndexByte(name, '.') >= 0 {
			c.add(string(name))
		}
	}
}

func skipBlanks(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] >= '\t' && text[i] <= '\r') {
		i++
	}
	return i
}

// inName reports whether a byte may be part of a name with dots, in quotes or
// not.
func inName(b byte) bool {
	return b == '.' || b == '"' || b == '_' || b == '$' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || b >= 0x80
}

// lower is strings.ToLower for ASCII alone, which is what PostgreSQL folds in the
// names of parameters.
func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// add takes one name, if it is one.
func (c *custom) add(name string) {
	name = lower(strings.ReplaceAll(name, `"`, ""))
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' || part[0] == '$' {
			return
		}
	}
	switch {
	case !strings.Contains(name, "."), slices.Contains(c.names, name):
	case len(c.names) >= maxCustom || len(name) > maxCustomSize:
		c.overflow = true
	default:
		c.names = append(c.names, name)
	}
}
