package effects

import (
	"bytes"

	"github.com/pgseal/pgseal/internal/sqlscan"
)

// Set is what a statement may do, or what a client has left in its session. It
// holds the bits of [sqlscan.Effects], which mean here what they mean there, and
// some that no text shows.
type Set uint64

// What texts show. Package sqlscan explains them.
const (
	Settings      = Set(sqlscan.Settings)
	Role          = Set(sqlscan.Role)
	SessionAuth   = Set(sqlscan.SessionAuth)
	TempObjects   = Set(sqlscan.TempObjects)
	AdvisoryLock  = Set(sqlscan.AdvisoryLock)
	Listen        = Set(sqlscan.Listen)
	HoldCursor    = Set(sqlscan.HoldCursor)
	Prepare       = Set(sqlscan.Prepare)
	Execute       = Set(sqlscan.Execute)
	Load          = Set(sqlscan.Load)
	Seed          = Set(sqlscan.Seed)
	Sequence      = Set(sqlscan.Sequence)
	Other         = Set(sqlscan.Other)
	Opaque        = Set(sqlscan.Opaque)
	Ambiguous     = Set(sqlscan.Ambiguous)
	Releases      = Set(sqlscan.Releases)
	Deallocate    = Set(sqlscan.Deallocate)
	DeallocateAll = Set(sqlscan.DeallocateAll)
	DiscardAll    = Set(sqlscan.DiscardAll)
	Local         = Set(sqlscan.Local)
	LocalRole     = Set(sqlscan.LocalRole)
	Hidden        = Set(sqlscan.Hidden)
	CopyIn        = Set(sqlscan.CopyIn)
	Analysis      = Set(sqlscan.Analysis)
	SearchPath    = Set(sqlscan.SearchPath)
	Moment        = Set(sqlscan.Moment)
	Calls         = Set(sqlscan.Calls)
	Names         = Set(sqlscan.Names)
	Resets        = Set(sqlscan.Resets)
	Several       = Set(sqlscan.Several)
	Analyzed      = Set(sqlscan.Analyzed)
	Exits         = Set(sqlscan.Exits)
)

// More reasons to keep a client on its server.
const (
	UnknownState   Set = 1 << (63 - iota) // PostgreSQL could not be asked
	LargeStatement                        // the text of a prepared statement is not kept
	LargeSettings                         // so are the session's parameters
	Privileged                            // a parameter is set that the role may not set itself
	TemporaryPath                         // search_path names pg_temp

	// Dotted is no reason: a text that sets parameters has a name with a dot in it,
	// or one that may have.
	Dotted
)

// What may be left in a session, by how it is dealt with.
const (
	// Probed is what PostgreSQL can be asked for, and keeps the client on its
	// server while it is there.
	Probed = TempObjects | AdvisoryLock | Listen | HoldCursor | Prepare | SessionAuth
	// Lasting can't be asked for: it keeps the client there to the end.
	Lasting = Load | Seed | Sequence | Other
	// Pinning is all that keeps a client on its server.
	Pinning = Probed | Lasting
	// Carried follows the client to its next server.
	Carried = Settings | Role
	// NotResettable outlives even DISCARD ALL, so the server ends with the session.
	NotResettable = Load | Seed | Other | UnknownState
	// Unseen may be anything.
	Unseen = Opaque | Ambiguous
	// Forgets ends statements of the protocol.
	Forgets = DeallocateAll | DiscardAll
	// Noted is what a statement's text shows that has to be acted on; most
	// statements show nothing of it.
	Noted = Pinning | Carried | Unseen | Forgets | Execute | Releases | Deallocate | Local | LocalRole | Hidden | CopyIn |
		Analysis | SearchPath | Calls | Names | Resets
)

// reasons names what keeps a client on its server, for people.
var reasons = []struct {
	bit  Set
	name string
}{
	{TempObjects, "temporary object"},
	{AdvisoryLock, "advisory lock"},
	{Listen, "LISTEN"},
	{HoldCursor, "cursor WITH HOLD"},
	{Prepare, "PREPARE"},
	{SessionAuth, "SESSION AUTHORIZATION"},
	{Load, "LOAD"},
	{Seed, "random seed"},
	{Sequence, "sequence value"},
	{Other, "other state"},
	{UnknownState, "unknown state"},
	{LargeStatement, "large prepared statement"},
	{LargeSettings, "large parameters"},
	{Privileged, "privileged parameter"},
	{TemporaryPath, "search_path with pg_temp"},
}

// Reasons names the bits of what keeps a client on its server.
func (s Set) Reasons() []string {
	var list []string
	for _, r := range reasons {
		if s&r.bit != 0 {
			list = append(list, r.name)
		}
	}
	return list
}

// Of returns the effects of a text.
func Of(text []byte) Set {
	seen := Set(sqlscan.Scan(text))
	if seen&TempObjects == 0 && bytes.Contains(text, temporarySchema) {
		seen |= TempObjects // in a string, as of SET LOCAL search_path
	}
	if seen&(Carried|Unseen) != 0 && mayNameCustom(text) {
		seen |= Dotted
	}
	return widen(seen)
}

// OfLarge returns the effects of a text that was scanned in pieces. Whether
// there is a name with a dot in it is not known.
func OfLarge(seen sqlscan.Effects) Set { return widen(Set(seen)) }

// mayNameCustom reports whether a text may hold the name of a custom parameter.
func mayNameCustom(text []byte) bool { return bytes.IndexByte(text, '.') >= 0 || ReadsTwoWays(text) }

// ReadsTwoWays reports whether a text means something else under another
// standard_conforming_strings or client_encoding, even if nothing of it is
// analysed.
func ReadsTwoWays(text []byte) bool {
	for _, c := range text {
		if c == '\\' || c >= 0x80 {
			return true
		}
	}
	return false
}

// widen adds what follows from effects: what a text that reads in two ways may
// hold, and that if search_path may have been changed,
// also for the transaction, what is created may be temporary.
func widen(seen Set) Set {
	if seen&(Ambiguous|Hidden) != 0 { // anything may be in it
		seen |= Analysis | SearchPath | Moment | Calls | Resets | Several | Analyzed
	}
	if seen&SearchPath != 0 {
		seen |= TempObjects
	}
	return seen
}

var temporarySchema = []byte("pg_temp")

// Rejected returns what keeps a client on its server, as far as the text of a
// statement shows that it leaves it there.
func (s Set) Rejected() Set {
	// A SET LOCAL search_path alone makes nothing temporary.
	if s&SearchPath != 0 {
		s &^= TempObjects
	}
	// DISCARD ALL or RESET SESSION AUTHORIZATION alone leaves nothing.
	if s&Resets != 0 && s&(Several|Analyzed|Unseen) == 0 {
		s &^= SessionAuth
	}
	return s & Pinning
}
