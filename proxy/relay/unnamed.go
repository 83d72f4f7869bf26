package relay

import (
	"bytes"
	"slices"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/names"
)

// unnamedStatement is the client's unnamed statement, which follows it to a
// server where it is used: the one that is confirmed, and those on their way.
type unnamedStatement struct {
	now        plan   // as far as it is confirmed
	candidates []plan // whose Parse is not answered
	spare      []byte // a buffer for the next of those
	dropping   int    // Query messages that end it, once the server takes them up
	carrying   uint64 // which is on its way to the server
	carryBatch uint32 // and in which batch
}

// plan is an unnamed statement.
type plan struct {
	number       uint64 // which no other session's has; 0: there is none
	parse        []byte // its Parse message, empty if it was too large to keep
	effects      effects.Set
	rows         []byte // the body of the RowDescription that the client was sent; empty: none
	types        []byte // the body of the ParameterDescription that it was sent; empty: none
	none         bool   // the client was sent NoData
	context      string
	certain      bool       // context is known
	sure         bool       // its Parse begins a batch, so that the server can't skip it
	batch        uint32     // that its Parse is in
	ops          []names.Op // what it does to names when it runs
	namesVersion uint64     // when those were looked up, by namesVersion of statements
	missed       bool       // what it executes was not there at its Parse, or its columns had changed
}

// Bounds of what is kept of unnamed statements whose Parse is not answered.
const (
	keptPlans = 4
	maxPlans  = 256 << 10
	// keepPlan is how large a buffer a session may keep for its next.
	keepPlan = 1 << 10
)

// confirm has the first candidate be the unnamed statement.
func (u *unnamedStatement) confirm() {
	u.spareOf(&u.now)
	rows, types := u.now.rows[:0], u.now.types[:0]
	u.now = u.candidates[0]
	u.now.rows, u.now.types = rows, types
	u.drop()
}

// drop takes the first candidate for the unnamed statement out.
func (u *unnamedStatement) drop() {
	last := len(u.candidates) - 1
	copy(u.candidates, u.candidates[1:])
	u.candidates[last] = plan{}
	u.candidates = u.candidates[:last]
}

// spareOf keeps the buffer of a plan that is over for the next.
func (u *unnamedStatement) spareOf(p *plan) {
	if u.spare == nil && cap(p.parse) <= keepPlan {
		u.spare = p.parse[:0]
	}
}

// noRows returns the types of the parameters of the unnamed statement, as a Parse
// message tells them, if it is known to return no rows and PostgreSQL would look
// at something else to describe it: on a server whose unnamed statement is
// another, or if what it executes was not there at its Parse and may be now.
func (u *unnamedStatement) noRows(onServer uint64) (types string, ok bool) {
	switch {
	case u.now.number == 0 || len(u.candidates) > 0 || u.dropping > 0 || len(u.now.parse) == 0:
		return "", false
	case u.now.missed:
		_, types, _ := bytes.Cut(u.now.parse[wire.HeaderSize+1:], []byte{0})
		return string(types), true
	}
	return string(u.now.types), u.now.none && len(u.now.types) > 0 && onServer != u.now.number
}

// latest returns the number of the unnamed statement that was sent last.
func (u *unnamedStatement) latest() uint64 {
	if last := len(u.candidates) - 1; last >= 0 {
		return u.candidates[last].number
	}
	return u.now.number
}

// ops returns what the unnamed statement does to names when it runs.
func (u *unnamedStatement) ops() []names.Op {
	if last := len(u.candidates) - 1; last >= 0 {
		return u.candidates[last].ops
	}
	if u.now.number != 0 {
		return u.now.ops
	}
	return nil
}

// stuck reports whether there is an unnamed statement that was too large to
// keep.
func (u *unnamedStatement) stuck() bool { return u.now.number != 0 && len(u.now.parse) == 0 }

// comes reports whether the server is sure to have an unnamed statement of the
// client's by the time it takes up another message of this batch, or skips it.
func (u *unnamedStatement) comes(batch uint32) bool {
	last := len(u.candidates) - 1
	return last >= 0 && (u.candidates[last].batch == batch || slices.ContainsFunc(u.candidates, func(p plan) bool { return p.sure }))
}
