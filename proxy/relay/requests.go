package relay

import (
	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
)

// requests says what each message of the client's means, and what goes to the
// server in its place.
type requests struct {
	cfg      *Config
	ex       *exchange
	params   *parameters
	state    *sessionState
	stmts    *statements
	life     *life
	scanner  sqlscan.Scanner // of a text that passes in pieces
	scanning bool            // one does
	scanned  byte            // the type of its message
	large    *draft          // of the Parse that it is in; nil: unnamed, or a Query
}

// edit is what becomes of a client's message: out goes in place of its first cut
// bytes.
type edit struct {
	out   []byte
	cut   int
	wait  bool // the message is not taken yet: out goes, and it waits until the server owes nothing
	exact bool // it has to run on a server that was opened with the client's startup values
	err   *wire.Error
}

// whole returns an edit of all of m.
func whole(m, out []byte) edit { return edit{out: out, cut: len(m)} }

// take looks at a message, of which at least the header is there. more says that
// more of it has to be.
func (q *requests) take(typ byte, m []byte, size int, complete bool) (e edit, more bool) {
	x := q.ex
	if x.copy.state == copying && !inCopy(typ) {
		return q.outOfPlace(typ), false
	}
	if typ == wire.FunctionCall && !complete && len(m) < wire.HeaderSize+4 {
		return edit{}, true // of which function, before anything goes in front of it
	}
	atStart := x.atStart()
	if prelude := q.preludeFor(typ, m); prelude == nil {
		e, more = q.inspect(typ, m, size, complete)
	} else {
		e, more = q.inspectBehind(prelude, typ, m, size, complete)
	}
	x.waiting.hasPrelude = false
	switch {
	case e.exact || more:
	case !e.wait:
		x.waiting.times, x.touched, q.life.cleaned = 0, true, false
		q.stmts.changed = nil // what it waited for is in it
	case atStart && x.batch.open:
		// By itself it fails by itself, and makes no part of the client's batch.
		e.out = wire.AppendSync(e.out)
		x.push(entry{kind: syncing, flags: ours | bestEffort, note: &note{waitingType: typ}})
		x.touched = false // the server is kept for what waits
	default:
		x.waiting.hasPrelude = typ == wire.Query && !atStart && x.batch.open
	}
	return e, more
}

// inspectBehind is inspect for a message with a prelude.
func (q *requests) inspectBehind(prelude []byte, typ byte, m []byte, size int, complete bool) (e edit, more bool) {
	if e, more = q.inspect(typ, m, size, complete); more || e.err != nil || e.exact {
		q.ex.ledger.unpush()
		q.ex.foreignUnnamed, q.ex.batch.open = true, false
		return e, more
	}
	if e.cut == 0 && !e.wait {
		e.out, e.cut = m[:wire.HeaderSize], wire.HeaderSize
	}
	e.out = append(prelude, e.out...)
	return e, false
}

// inCopy reports whether PostgreSQL takes a message of this type while it reads
// the data of a COPY.
func inCopy(typ byte) bool {
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush, wire.Sync:
		return true
	}
	return false
}

// preludeFor returns what has to be sent in front of a message, or nil. Another
// client's unnamed statement is closed before this one sends its first message of
// the extended-query protocol, unless that replaces it. The server can't skip the
// Close: no batch is under way. Likewise what was done for the client's batch is
// ended before a Query.
func (q *requests) preludeFor(typ byte, m []byte) []byte {
	if back := q.ex.batch.restore; typ == wire.Query && back != "" && !q.ex.skipping {
		q.ex.batch.restore = ""
		return q.ex.appendHidden(nil, back, nil) // as the Sync would have, which it stands for
	}
	if (typ == wire.Query || typ == wire.FunctionCall) && q.ex.onlyOwnRan() && q.ex.ledger.empty() && !q.ex.skipping {
		// To PostgreSQL 18 a Query behind what was executed without a Sync is
		// within a transaction. The client executed nothing.
		q.ex.push(entry{kind: syncing, flags: ours | bestEffort})
		return wire.AppendSync(nil)
	}
	if !q.ex.foreignUnnamed {
		return nil
	}
	switch typ {
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.CloseMessage:
	default:
		return nil
	}
	q.ex.foreignUnnamed = false
	q.ex.server.unnamed = 0
	if typ == wire.Parse && len(m) > wire.HeaderSize && m[wire.HeaderSize] == 0 {
		return nil
	}
	q.ex.push(entry{kind: closing, flags: ours})
	return wire.AppendNamed(nil, wire.CloseMessage, 'S', "")
}

func (q *requests) inspect(typ byte, m []byte, size int, complete bool) (e edit, more bool) {
	if q.state.suspect != 0 && !q.ex.batch.open && q.beginsUnsure(typ) {
		return edit{wait: true}, false
	}
	switch typ {
	case wire.CopyData, wire.Flush:
		return edit{}, false
	case wire.Query:
		return q.onQuery(m, complete), false
	case wire.FunctionCall:
		return q.onCall(m), false
	case wire.Bind:
		if e, more = q.onBind(m, complete); !more && !e.wait && !e.exact {
			q.ex.counts.Binds++
		}
		return e, more
	case wire.Parse:
		if !complete {
			e, more = q.onLargeParse(m, size)
		} else {
			e = q.onParse(m)
		}
		if !more && !e.wait {
			q.ex.counts.ClientParses++
		}
		return e, more
	}
	if !complete {
		return edit{}, true
	}
	return q.takeSmall(typ, m), false
}

// beginsUnsure reports whether a message begins a batch while it is not known
// under which values its statements would be analysed, but will be when
// PostgreSQL has answered: to ask in the midst of the batch would be felt.
func (q *requests) beginsUnsure(typ byte) bool {
	switch typ {
	case wire.Bind, wire.Describe, wire.Execute, wire.CloseMessage: // Parse sees to it itself
		return q.state.unsure(q.stmts.unnamed.stuck())
	}
	return false
}

// takeSmall is take for messages that are whole.
func (q *requests) takeSmall(typ byte, m []byte) edit {
	switch typ {
	case wire.Describe:
		return q.onDescribe(m)
	case wire.CloseMessage:
		return q.onClose(m)
	case wire.Execute:
		return q.onExecute(m)
	case wire.Sync:
		return q.onSync(m)
	}
	return q.onCopyEnd(m) // CopyDone, CopyFail
}
