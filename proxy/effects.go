package proxy

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// What may be left in a session, by how it is dealt with.
const (
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
)

// More reasons to stay, beside those that a text shows.
const (
	unknownState  sqlscan.Effects = 1 << 31 // PostgreSQL could not be asked
	largeUnnamed  sqlscan.Effects = 1 << 30 // the unnamed statement is too large to carry
	largeSettings sqlscan.Effects = 1 << 29 // so are the session's parameters
	temporaryPath sqlscan.Effects = 1 << 27 // search_path names pg_temp
	// resets is no reason, but an effect: parameters may get their default.
	resets sqlscan.Effects = 1 << 28
)

// heeded are the effects that the relay makes anything of.
const heeded sqlscan.Effects = 1<<32 - 1

// scan returns the effects of a text.
func scan(text []byte) sqlscan.Effects {
	seen := sqlscan.Scan(text) & heeded &^ (sqlscan.Local | sqlscan.LocalRole | sqlscan.Hidden) // nobody asks
	if seen&sqlscan.TempObjects == 0 && bytes.Contains(text, temporarySchema) {
		seen |= sqlscan.TempObjects // in a string, as of SET LOCAL search_path
	}
	if seen&sqlscan.Settings != 0 && (seen&sqlscan.Releases != 0 || mentionsDefault(text)) {
		seen |= resets
	}
	return seen
}

var temporarySchema = []byte("pg_temp")

// mentionsDefault reports whether the word DEFAULT is in a text.
func mentionsDefault(text []byte) bool {
	const word = "default"
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && bytes.EqualFold(text[i:i+len(word)], []byte(word)) {
			return true
		}
	}
	return false
}

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
	{largeUnnamed, "large unnamed statement"},
	{largeSettings, "large parameters"},
	{temporaryPath, "search_path with pg_temp"},
}

// pinReasons names the bits of pins.
func pinReasons(pins sqlscan.Effects) []string {
	var list []string
	for _, r := range reasons {
		if pins&r.bit != 0 {
			list = append(list, r.name)
		}
	}
	return list
}

// effects follows what a client may have left in its session. What its
// statements show is a suspicion; PostgreSQL is asked for the truth before the
// server is lent to anybody else.
type effects struct {
	policy  string          // a session_state of pool's
	suspect sqlscan.Effects // seen in statements since PostgreSQL was asked
	pins    sqlscan.Effects // what keeps the client on its server
	since   time.Time       // when that began
	within  sqlscan.Effects // what statements of PREPARE may do when they are executed
	denied  *wire.Error     // why the last statement was denied that was
	foreign bool            // others used the server's sequences since the client did
	custom  custom

	canceled int // surveys in vain
}

// heed notes what a statement that is sent may do.
func (e *effects) heed(seen sqlscan.Effects) {
	if seen == 0 {
		return
	}
	if seen&sqlscan.Prepare != 0 {
		e.within |= seen
	}
	if seen&sqlscan.Execute != 0 {
		seen |= e.within
	}
	e.suspect |= seen
	if e.policy == pool.PinState {
		e.pin(seen & lasting)
	}
}

func (e *effects) pin(why sqlscan.Effects) {
	if e.pins == 0 && why != 0 {
		e.since = time.Now()
	}
	e.pins |= why
}

// denies returns why a statement is not to be run at all, or nil.
func (r *relay) denies(seen sqlscan.Effects) *wire.Error {
	if r.effects.policy == pool.RejectState && seen&pinning != 0 {
		return denial(seen)
	}
	return nil
}

// toAsk returns what PostgreSQL has to be asked for before it is known what the
// session has left.
func (e *effects) toAsk() sqlscan.Effects {
	ask := e.suspect & (surveyed | carried)
	if e.suspect&opaque != 0 {
		ask |= surveyed | carried
	}
	if e.suspect&sqlscan.Releases != 0 {
		ask |= e.pins & surveyed
	}
	if e.policy == pool.IgnoreState {
		ask &= carried
	}
	return ask
}

// learn takes PostgreSQL's answer to what it was asked for.
func (e *effects) learn(asked, found sqlscan.Effects) {
	e.pins &^= asked
	if e.policy != pool.IgnoreState {
		e.pin(found)
	}
}

// deniedText is what PostgreSQL is sent in place of a statement that is
// denied: it has to refuse it, so that the transaction fails as after any
// error.
const deniedText = "pgseal does not run this statement"

// fatal returns e as an error that ends the session.
func fatal(e *wire.Error) *wire.Error {
	last := *e // which others may have, too
	last.Severity = "FATAL"
	return &last
}

// denial is what the client is told in place of PostgreSQL's refusal.
func denial(seen sqlscan.Effects) *wire.Error {
	return &wire.Error{
		Severity: "ERROR", Code: wire.CodeFeatureNotSupported,
		Message: "this statement would leave something in the session (" + strings.Join(pinReasons(seen), ", ") +
			"), which session_state of the connection pooler rejects",
		Hint: "Use a database or role with pool_mode session, or set session_state to pin.",
	}
}

// heedQuery sees to a simple Query whose text shows effects.
func (r *relay) heedQuery(seen sqlscan.Effects, text, m []byte) look {
	l := look{kind: pendingQuery}
	x := &r.extended
	size := len(m)
	if e := r.denies(seen); e != nil {
		r.effects.denied = e
		x.out = wire.AppendQuery(x.out[:0], deniedText)
		l.kind, l.edit = pendingDeny, edit{x.out, size}
		return l
	}
	r.read(seen, text)
	r.effects.heed(seen)
	r.barrier = seen&(sqlscan.DiscardAll|sqlscan.DeallocateAll) != 0
	var lead []byte
	own := m
	if seen&sqlscan.Deallocate != 0 && !r.batch {
		lead, own = r.deallocate(text, m)
	}
	if r.startsWithForeignSequences(seen) {
		lead = r.discardSequences(lead)
	}
	if len(lead) > 0 {
		l.edit = edit{append(lead, own...), size}
		m = l.out
	}
	if seen&resets != 0 && r.fix != nil {
		l = r.fixBehind(l, m)
	}
	return l
}

// deallocate has a simple Query deallocate statements that are made for it in
// place of the session's own, which servers know by other names. lead makes
// them, and its answer goes nowhere.
func (r *relay) deallocate(text, m []byte) (lead, own []byte) {
	var sql []byte
	done := 0
	for i, d := range sqlscan.Deallocations(text) {
		if _, known := r.extended.names[d.Name]; !known || r.status == wire.StatusFailed {
			continue
		}
		delete(r.extended.names, d.Name)
		gone := goneName + strconv.Itoa(i)
		lead = appendParse(appendClose(lead, gone), gone, "SELECT 1\x00\x00\x00")
		sql = append(append(append(sql, text[done:d.Start]...), "DEALLOCATE "...), gone...)
		done = d.End
	}
	if done == 0 || !r.pending.push(pendingAside) {
		return nil, m
	}
	return wire.AppendSync(lead), wire.AppendQuery(nil, string(append(sql, text[done:]...)))
}

// denyParse has PostgreSQL refuse a Parse.
func (r *relay) denyParse(why *wire.Error, m []byte) look {
	x := &r.extended
	r.effects.denied = why
	r.server.unnamed = 0 // the Parse ends it
	if m[wire.HeaderSize] == 0 {
		x.unnamed.number = 0
	}
	x.note(event{kind: eventDeny})
	x.sent++
	x.out = appendParse(x.out[:0], "", deniedText+"\x00\x00\x00")
	return look{kind: pendingQuery, edit: edit{x.out, len(m)}}
}

// harmlessCalls are the functions for large objects, which is what clients call
// by FunctionCall, and nextval.
var harmlessCalls = map[uint32]bool{
	715: true, 764: true, 765: true, 767: true, 952: true, 953: true, 954: true, 955: true, 956: true, 957: true, 958: true,
	964: true, 1004: true, 1574: true, 3170: true, 3171: true, 3172: true, 3457: true, 3458: true, 3459: true, 3460: true,
}

// lookAtCall looks at a FunctionCall, which names its function by number. Any
// but a few may do what can't be seen, as DO may.
func (r *relay) lookAtCall(b []byte, whole bool, size int) look {
	l := look{kind: pendingQuery}
	switch {
	case !whole && (size <= wholeMessage || len(b) < wire.HeaderSize+4):
		return look{more: true}
	case r.mixes():
		return look{err: errMixed}
	case size < 4: // PostgreSQL has an error for that
		return l
	}
	seen := sqlscan.Opaque
	switch function := binary.BigEndian.Uint32(b[wire.HeaderSize:]); {
	case harmlessCalls[function]:
		return l
	case function == 1575 || function == 2559: // currval and lastval
		seen = sqlscan.Sequence
	case function == 1599: // setseed
		seen = sqlscan.Seed
	}
	if whole {
		return r.heedQuery(seen, b[wire.HeaderSize:], b)
	}
	r.read(seen, b[wire.HeaderSize:])
	r.effects.heed(seen)
	return l
}

// makeGone appends what prepares the statement that is deallocated in place of
// a client's.
func (x *extended) makeGone(dst []byte) []byte {
	for range 2 {
		x.note(event{kind: eventHide})
		x.sent++
	}
	return appendParse(appendClose(dst, goneName), goneName, "SELECT 1\x00\x00\x00")
}

// read looks at a text that may set parameters for the names of such that
// PostgreSQL has to be asked for one by one.
func (r *relay) read(seen sqlscan.Effects, text []byte) {
	if seen&(carried|opaque) == 0 {
		return
	}
	if seen&opaque != 0 || bytes.IndexByte(text, '.') >= 0 {
		r.server.unlisted = true
		r.effects.custom.note(text)
	}
}

// fixBehind has a message that may reset parameters followed by the query that
// brings back what the client came with, before the client is told that the
// server is ready.
func (r *relay) fixBehind(l look, m []byte) look {
	out := append(append([]byte(nil), m...), r.fix...)
	if l.cut == 0 {
		l.cut = len(m)
	}
	l.out, l.fixed = out, true
	return l
}

// goneName is a statement that exists only to be deallocated in place of one
// that servers know by another name.
const goneName = nameOnServers + "gone"

// deallocates reports whether text deallocates a statement of the protocol's,
// and forgets that.
func (r *relay) deallocates(text []byte) bool {
	name, ok := sqlscan.DeallocateName(text)
	if !ok {
		return false
	}
	if _, known := r.extended.names[name]; !known {
		return false
	}
	if r.status != wire.StatusFailed {
		delete(r.extended.names, name)
	}
	return true
}

// startsWithForeignSequences reports whether what is sent first to a server
// reads what others left in its sequences.
func (r *relay) startsWithForeignSequences(seen sqlscan.Effects) bool {
	if seen&sqlscan.Sequence == 0 || !r.effects.foreign || r.status != wire.StatusIdle || r.batch || !r.pending.onlyOurs() {
		return false
	}
	r.server.unnamed = 0 // our query ends it
	return true
}

// discardSequences appends what makes currval and lastval say that they were
// not called yet in this session, rather than what another client was told.
func (r *relay) discardSequences(dst []byte) []byte {
	r.effects.foreign = false
	r.pending.push(pendingAside)
	return wire.AppendQuery(dst, "DISCARD SEQUENCES")
}
