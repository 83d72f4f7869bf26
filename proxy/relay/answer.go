package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/ownsql"
)

const (
	// smallMessage is up to which size a message of the server that has to be
	// read waits in the driver's buffer. A larger ParameterStatus passes unread.
	smallMessage = 4 << 10
	// hiddenMessage is up to which size one that the client does not get is
	// gathered here.
	hiddenMessage = 1 << 20
)

// answers is where the relay is in what the server sends, and what that means.
type answers struct {
	cfg    *Config
	ex     *exchange
	params *parameters
	state  *sessionState
	stmts  *statements
	life   *life
	hide   bool   // the client does not get the current message
	gather []byte // a message that is hidden and does not come in one piece
	last   byte   // the type of the message that was last passed to the client
}

// attach notes that another server is held.
func (a *answers) attach() { a.hide, a.gather, a.last = false, nil, 0 }

// step takes bytes that the server sent.
func (a *answers) step(b []byte) Step {
	n, x := 0, a.ex
	for {
		if x.left > 0 {
			take := min(x.left, len(b)-n)
			x.left -= take
			n += take
			if a.gather != nil {
				a.gather = append(a.gather, b[n-take:n]...)
				if x.left > 0 {
					return Step{Used: n, Verdict: NeedMore}
				}
				m := a.gather
				a.gather = nil
				st := Step{Used: n, Verdict: goOn(n, b)}
				a.observed(m[0], m, len(m)-wire.HeaderSize, &st)
				return st
			}
			if a.hide {
				return Step{Used: n, Verdict: goOn(n, b)}
			}
		}
		if len(b)-n < wire.HeaderSize {
			return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
		}
		typ, size := wire.ParseHeader(b[n:])
		if limit := wire.ServerLimit(typ); limit < 0 || size < 0 || size > limit {
			return Step{Used: n, Pass: b[:n], Verdict: Failed, Err: violation("lost synchronization with server: invalid message")}
		}
		e := x.ledger.first()
		if hide := a.hides(typ, e); hide != a.hide {
			a.hide = hide
			if n > 0 {
				return Step{Used: n, Pass: b[:n]} // two destinations can't be one piece
			}
		}
		end := n + wire.HeaderSize + size
		if a.reads(typ, size, e) && len(b) < end {
			if size <= smallMessage || !a.hide {
				return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
			}
			if n > 0 {
				return Step{Used: n, Pass: b[:n]}
			}
			a.gather = append(make([]byte, 0, wire.HeaderSize+size), b[:wire.HeaderSize]...)
			x.left = size
			n = wire.HeaderSize
			continue
		}
		m := b[n:min(end, len(b))]
		if a.plain(typ, e) {
			a.last = typ
		} else {
			st := Step{Used: end, Pass: b[:n], Verdict: goOn(end, b)}
			a.observed(typ, m, size, &st)
			switch {
			case st.Verdict == Failed:
				st.Used = n
				return st
			case st.Insert != nil || st.ErrorBody != nil:
				return st
			}
		}
		x.left = size
		n += wire.HeaderSize
		if a.hide {
			take := min(size, len(b)-n)
			x.left -= take
			n += take
			return Step{Used: n, Verdict: goOn(n, b)}
		}
	}
}

// plain reports whether a message changes nothing, as a row.
func (a *answers) plain(typ byte, e *entry) bool {
	switch typ {
	case wire.DataRow, wire.CopyData:
		return e == nil || e.is(begun) && (e.note == nil || e.note.values == nil) && !e.is(probesState)
	}
	return false
}

// reads reports whether the body of such a message is looked at.
func (a *answers) reads(typ byte, size int, e *entry) bool {
	if size > smallMessage {
		switch {
		case e == nil || !a.hide || size > hiddenMessage:
			return (typ == wire.ErrorResponse || typ == wire.ParameterStatus) && size <= wholeMessage
		case typ == wire.DataRow:
			return e.is(probesState) && size <= ownsql.MaxRow || e.note != nil && e.note.values != nil
		}
		return typ == wire.RowDescription || typ == wire.ParameterDescription || typ == wire.ErrorResponse || typ == wire.ParameterStatus
	}
	switch typ {
	case wire.ReadyForQuery, wire.ParameterStatus, wire.ErrorResponse, wire.ParameterDescription, wire.RowDescription:
		return true
	case wire.DataRow:
		return e != nil && (e.is(probesState) || e.note != nil && e.note.values != nil)
	case wire.CommandComplete:
		return size == len(tagDiscardAll) || size == len(tagDeallocateAll)
	}
	return false
}

// Command tags after which a session has no prepared statements.
const (
	tagDiscardAll    = "DISCARD ALL\x00"
	tagDeallocateAll = "DEALLOCATE ALL\x00"
)

// observed follows the server's side of the conversation. m starts with the
// message's header, and is whole if reads asked so. st is the step in which
// the message is replaced or hidden.
func (a *answers) observed(typ byte, m []byte, size int, st *Step) {
	if a.last = typ; a.hide {
		a.last = 0 // the client did not get it
	}
	body := m[wire.HeaderSize:]
	e := a.ex.ledger.first()
	if e != nil && !e.is(begun) && typ != wire.ParameterStatus && typ != wire.NoticeResponse && typ != wire.NotificationResponse {
		a.begin(e)
	}
	switch typ {
	case wire.ReadyForQuery:
		a.ready(m, size, st)
		return
	case wire.ParameterStatus:
		if size > wholeMessage {
			a.state.pin(effects.UnknownState) // it could not be carried
		} else if !a.state.report(body[:size], a.hide || a.life.left) && !a.hide {
			st.Insert = []byte{}
		}
		return
	case wire.ErrorResponse:
		a.failed(m, size, e, st)
		return
	case wire.CopyInResponse, wire.CopyBothResponse:
		a.ex.copyBegins(typ, e)
		return
	case wire.DataRow:
		a.row(e, body, size)
		return
	}
	if e == nil {
		return
	}
	if typ == wire.CloseComplete && a.ex.copy.marked {
		st.Insert = append(a.resolved(), a.appendReports(nil)...)
		return
	}
	switch typ {
	case wire.ParseComplete, wire.BindComplete, wire.CloseComplete, wire.NoData, wire.RowDescription, wire.ParameterDescription,
		wire.PortalSuspended:
		a.answered(typ, e, body, size)
	case wire.EmptyQueryResponse, wire.CommandComplete:
		st.Insert = a.completed(typ, e, body, size)
	}
	if st.Insert == nil && a.hide {
		st.Insert = a.appendReports(nil)
	}
}

// begin notes that the server has taken a message up.
func (a *answers) begin(e *entry) {
	e.flags |= begun
	if e.kind != query {
		return
	}
	a.ex.server.unnamed, a.ex.foreignUnnamed = 0, false
	if e.is(dropsPlan) {
		a.stmts.unnamed.dropping--
		a.stmts.unnamed.spareOf(&a.stmts.unnamed.now)
		a.stmts.unnamed.now = plan{}
	}
}

// row takes a DataRow.
func (a *answers) row(e *entry, body []byte, size int) {
	switch {
	case e == nil:
	case e.is(probesState) && a.state.probe != nil:
		a.state.probe.answer.Row(body[:min(size, len(body))], size)
	case e.note != nil && e.note.values != nil:
		*e.note.values, _ = wire.ParseDataRow(body)
	}
}

// answered takes what completes a message of the extended-query protocol, but
// for Execute.
func (a *answers) answered(typ byte, e *entry, body []byte, size int) {
	want := kind(0)
	switch typ {
	case wire.ParseComplete:
		want = parse
	case wire.BindComplete:
		want = bind
	case wire.CloseComplete:
		want = closing
	case wire.PortalSuspended:
		want = execute
	case wire.ParameterDescription:
		switch {
		case e.kind == describe && e.is(ours):
			a.stmts.described(e.note, typ, body)
		case e.plan != 0 && e.plan == a.stmts.unnamed.now.number && len(body) == size:
			a.stmts.unnamed.now.types = append(a.stmts.unnamed.now.types[:0], body...)
		}
		return
	default:
		if want = describe; e.kind != describe {
			return // of the rows of a Query
		}
	}
	if e.kind != want {
		a.ex.desynced = true
		return
	}
	switch {
	case want != describe:
	case e.is(ours):
		a.stmts.described(e.note, typ, body)
	case e.plan != 0 && e.plan == a.stmts.unnamed.now.number:
		a.stmts.noteRows(typ, body, size)
	}
	a.stmts.over(a.ex.ledger.pop())
}

// completed takes a CommandComplete or EmptyQueryResponse. It returns what the
// client gets in its place.
func (a *answers) completed(typ byte, e *entry, body []byte, size int) (instead []byte) {
	if typ == wire.CommandComplete {
		a.ex.copyDone()
		if !e.is(ours) && len(body) == size && (string(body) == tagDiscardAll || string(body) == tagDeallocateAll) {
			a.ex.server.forgetCopies()
			a.stmts.names.Forget(a.ex.ledger.pushed)
		}
	}
	if e.note != nil && len(e.note.ops) > 0 {
		a.stmts.complete(e.note)
	}
	switch e.kind {
	case execute:
		a.stmts.over(a.ex.ledger.pop())
	case query:
	default:
		a.ex.desynced = true
	}
	return nil
}

// ready takes a ReadyForQuery.
func (a *answers) ready(m []byte, size int, st *Step) {
	x := a.ex
	e := x.ledger.first()
	if size != 1 || e == nil || e.kind.extended() {
		*st = Step{Pass: st.Pass, Verdict: Failed, Err: violation("lost synchronization with server: unexpected ReadyForQuery")}
		return
	}
	switch x.status = m[wire.HeaderSize]; x.status {
	case wire.StatusIdle, wire.StatusInTransaction, wire.StatusFailed:
	default:
		*st = Step{Pass: st.Pass, Verdict: Failed, Err: violation("lost synchronization with server: invalid transaction status")}
		return
	}
	if e.kind == copySync && (x.copy.state == resolving || x.copy.marked) {
		x.copy.ready++ // what it answers is seen later
		return
	}
	popped := x.ledger.pop()
	e = &popped
	switch {
	case e.is(restoreFollows):
		return
	case e.note != nil && e.note.failed && e.note.waitingType == wire.Query:
		x.waiting.drop = true
	case e.note != nil && e.note.failed && e.note.waitingType != 0:
		x.skipping, x.batch.open = true, true // for the client, up to its own Sync
		return
	case e.is(ours) && !e.is(restore):
		a.ourReady(e)
		if !e.is(cleans) { // what it resets is set again for the client's next message
			st.Insert = a.appendReports(nil)
		}
		return
	}
	if e.kind != copySync && x.copy.state != resolving {
		x.copy.state = noCopy
	}
	if e.kind == copySync {
		x.copy.syncs--
	}
	x.answered++
	x.counts.Queries++
	if x.status == wire.StatusIdle {
		x.counts.Transactions++
		a.rested()
	}
	if a.cfg.Single && x.status != wire.StatusIdle && !e.is(late) {
		*st = Step{Pass: st.Pass, Verdict: Failed, Err: errBlock}
		return
	}
	if a.params.withheld {
		if st.Insert = a.appendReports(nil); len(st.Insert) > 0 {
			st.Insert = append(st.Insert, m...)
		}
	}
}

var errBlock = wire.Fatal(wire.CodeFeatureNotSupported, "transaction blocks not allowed in statement pooling mode").
	WithHint("The connection pooler has pool_mode statement for this database or role.")

// rested notes that no transaction is open, if nothing more was sent.
func (a *answers) rested() {
	if !a.ex.ledger.empty() || a.ex.batch.open {
		return
	}
	a.stmts.portals.Clear()
	if a.state.suspect != 0 && a.state.toAsk() == 0 {
		a.state.suspect = 0 // what held for the transaction has ended with it
	}
}

// ourReady takes the end of a query of our own.
func (a *answers) ourReady(e *entry) {
	switch {
	case e.is(wishes) && a.life.refused == nil:
		a.ex.server.params.Set = a.params.wishes
	case e.is(probesState) && a.state.probe != nil:
		a.state.probe.done = true
	case e.is(cleans):
		a.cleaned()
	case e.is(checksSentinel):
		a.ex.server.unverified = false
	}
}

// cleaned takes the answer to the query that brings a server to rest after its
// client.
func (a *answers) cleaned() {
	switch {
	case !a.life.cleaned || a.ex.desynced: // a ROLLBACK
	case a.life.discardsAll:
		a.ex.server.discardedAll()
	case !a.cfg.Shared:
		a.ex.server.params.Unlisted = true // what the client set was not followed
	}
}
