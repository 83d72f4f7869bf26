package relay

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/names"
)

// changedResult returns the error that PostgreSQL has for a prepared statement
// whose columns are not what they were, with the severity of the one that it had
// for a statement that does not exist. Drivers prepare anew when they see its
// routine.
func changedResult(body []byte) []byte {
	out := []byte{wire.ErrorResponse, 0, 0, 0, 0}
	wire.ErrorFields(body, func(field byte, value []byte) {
		if field == 'S' || field == 'V' {
			out = append(append(append(out, field), value...), 0)
		}
	})
	for _, f := range []string{"C0A000", "Mcached plan must not change result type", "Fplancache.c", "RRevalidateCachedQuery"} {
		out = append(append(out, f...), 0)
	}
	out = append(out, 0)
	wire.PutLength(out)
	return out
}

// unshift returns a position in a text as the client sent it. It counts
// characters, which the names that were put in have as many of as bytes.
func unshift(field string, shifts []shift) string {
	at, err := strconv.Atoi(field)
	if err != nil {
		return field
	}
	back := 0
	for _, s := range shifts {
		if at > s.at {
			back += s.by
		}
	}
	return strconv.Itoa(at - back)
}

// failed takes an ErrorResponse. The entry that it answers decides what the client gets.
func (a *answers) failed(m []byte, size int, e *entry, st *Step) {
	body := m[wire.HeaderSize:]
	a.ex.copyFailed()
	if a.ex.copy.torn && !bytes.Contains(body, outOfPlace) {
		// The COPY had failed before, and the server waits for the rest of a
		// message that it does not get.
		a.life.end = violation("unexpected message during COPY from stdin")
	}
	if e == nil {
		a.tell(m, body, size, nil, st)
		return
	}
	entry := *e
	switch {
	case e.is(setsUp):
		a.life.refused = refusal(body, size)
	case e.is(cleans):
		a.ex.desynced = true // it is as its client left it
	case e.is(probesState) && a.state.probe != nil:
		a.state.probe.answer.Failed = true
		a.state.probe.canceled = bytes.Contains(body, canceled)
	case e.kind == describe && e.is(checksSentinel):
		a.ex.server.forgetCopies()
	}
	if e.kind.extended() {
		a.ex.ledger.pop()
		a.stmts.aborted(&entry)
		a.skipRest(entry.is(ours))
	}
	if entry.is(ours) && (!entry.kind.extended() || !entry.inBatch()) || a.life.left {
		return
	}
	a.tell(m, body, size, &entry, st)
}

// tell passes an error to the client.
func (a *answers) tell(m, body []byte, size int, e *entry, st *Step) {
	st.ErrorBody = body[:min(size, len(body))]
	st.Insert = m
	if len(body) < size {
		*st = Step{} // it passes as it comes
		return
	}
	switch {
	case e == nil:
	case e.note != nil && e.note.reject != nil:
		st.Rejected = e.note.reject
		st.Insert = e.note.reject.Append(nil)
	case e.note != nil && e.note.changed && bytes.Contains(body, noStatement) && e.note.blames(body):
		st.Insert = changedResult(body)
	default:
		if bytes.Contains(body, noStatement) && a.stmts.namesCopy(body) {
			a.ex.server.forgetCopies() // something that can't be seen has dropped them
		}
		st.Insert = a.stmts.reword(m, e)
	}
	if e != nil && e.kind == describe && e.note != nil && e.note.types != "" && bytes.Contains(body, noStatement) {
		// PostgreSQL has sent the ParameterDescription by the time it notices.
		t := append([]byte{wire.ParameterDescription, 0, 0, 0, 0}, e.note.types...)
		wire.PutLength(t)
		st.Insert = append(t, st.Insert...)
	}
}

// blames reports whether an error is about the statement whose columns have
// changed, if a text may name several.
func (n *note) blames(body []byte) bool {
	return len(n.ops) == 0 || slices.ContainsFunc(n.ops, func(op names.Op) bool { return op.Changed && bytes.Contains(body, []byte(op.Server)) })
}

// skipRest drops what the server skips after an error in a batch. own says that
// the message which failed was ours: if it was sent for a Query, the client shall
// read what it reads where the Query fails itself.
func (a *answers) skipRest(own bool) {
	for !a.ex.ledger.empty() {
		next := a.ex.ledger.first()
		switch {
		case next.kind == syncing:
			if next.note != nil {
				next.note.failed = true
			}
			return
		case next.kind == copySync:
			a.ex.skipping = true
			return
		case next.is(hasPrelude) && own:
			a.stmts.skip(next)
			next.kind, next.note, next.flags = syncing, nil, 0
			a.ex.needsSync = true
			return
		}
		e := a.ex.ledger.pop()
		own = own && e.is(ours)
		a.stmts.skip(&e)
	}
	if own && a.ex.waiting.hasPrelude && a.ex.waiting.waits {
		a.ex.push(entry{kind: syncing})
		a.ex.needsSync, a.ex.waiting.hasPrelude, a.ex.waiting.drop = true, false, true
		return
	}
	a.ex.skipping = true
}

// outOfPlace is the field of an ErrorResponse that says that the protocol was
// violated.
var outOfPlace = []byte("\x00C" + wire.CodeProtocolViolation + "\x00")

// noStatement is the field of an ErrorResponse that says that a prepared
// statement does not exist.
var noStatement = []byte("\x00C" + wire.CodeInvalidStatement + "\x00")

// canceled is the field of an ErrorResponse that says that a statement was
// canceled, by a request that came late or by a short statement_timeout.
var canceled = []byte("\x00C" + wire.CodeQueryCanceled + "\x00")

// refusal turns the server's error about a query of ours, which sets the
// parameters of a session or cleans up after one, into the end of the session.
func refusal(body []byte, size int) *wire.Error {
	if len(body) >= size {
		if e, err := wire.ParseError(body[:size]); err == nil {
			e.Severity = "FATAL"
			return e
		}
	}
	return wire.Fatal(wire.CodeInvalidParameter, "the server rejected the parameters of this session")
}
