package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/sessionsql"
)

const (
	// smallMessage is up to which size a message of the server that has to be
	// read waits in the driver's buffer. A larger ParameterStatus passes unread.
	smallMessage = 4 << 10
	// hiddenMessage is up to which size one that the client does not get is
	// gathered here.
	hiddenMessage = 1 << 20
)

// FromServer takes bytes that the server sent.
func (r *Relay) FromServer(b []byte) Step {
	n := 0
	for {
		if r.x.left > 0 {
			take := min(r.x.left, len(b)-n)
			r.x.left -= take
			n += take
			if r.from.gather != nil {
				r.from.gather = append(r.from.gather, b[n-take:n]...)
				if r.x.left > 0 {
					return Step{Used: n, Verdict: NeedMore}
				}
				m := r.from.gather
				r.from.gather = nil
				st := Step{Used: n, Verdict: goOn(n, b)}
				r.observed(m[0], m, len(m)-wire.HeaderSize, &st)
				return st
			}
			if r.from.hide {
				return Step{Used: n, Verdict: goOn(n, b)}
			}
		}
		if len(b)-n < wire.HeaderSize {
			return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
		}
		typ, size := wire.ParseHeader(b[n:])
		if limit := wire.ServerLimit(typ); limit < 0 || size < 0 || size > limit {
			return Step{Used: n, Pass: b[:n], Verdict: Failed, Err: violation("the server sent an invalid message")}
		}
		e := r.x.ledger.first()
		if hide := r.hides(typ, e); hide != r.from.hide {
			r.from.hide = hide
			if n > 0 {
				return Step{Used: n, Pass: b[:n]} // two destinations can't be one piece
			}
		}
		end := n + wire.HeaderSize + size
		if r.reads(typ, size, e) && len(b) < end {
			if size <= smallMessage || !r.from.hide {
				return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
			}
			if n > 0 {
				return Step{Used: n, Pass: b[:n]}
			}
			r.from.gather = append(make([]byte, 0, wire.HeaderSize+size), b[:wire.HeaderSize]...)
			r.x.left = size
			n = wire.HeaderSize
			continue
		}
		m := b[n:min(end, len(b))]
		if r.plain(typ, e) {
			r.from.last = typ
		} else {
			st := Step{Used: end, Pass: b[:n], Verdict: goOn(end, b)}
			r.observed(typ, m, size, &st)
			switch {
			case st.Verdict == Failed:
				st.Used = n
				return st
			case st.Insert != nil || st.Told != nil:
				return st
			}
		}
		r.x.left = size
		n += wire.HeaderSize
		if r.from.hide {
			take := min(size, len(b)-n)
			r.x.left -= take
			n += take
			return Step{Used: n, Verdict: goOn(n, b)}
		}
	}
}

// plain reports whether a message changes nothing, as a row.
func (r *Relay) plain(typ byte, e *entry) bool {
	switch typ {
	case wire.DataRow, wire.CopyData:
		return e == nil || e.is(begun) && (e.note == nil || e.note.values == nil) && !e.is(asks)
	}
	return false
}

// hides reports whether a message is kept from the client: all that answers our
// own queries and messages, but for what concerns the client's session anyway,
// and everything once the client has gone.
func (r *Relay) hides(typ byte, e *entry) bool {
	switch {
	case r.life.left:
		return true
	case e == nil || typ == wire.NotificationResponse:
		return false
	case e.kind == copySync:
		return r.x.copy.marked || typ == wire.ReadyForQuery && r.x.copy.state == resolving
	case e.is(ours):
		if e.note != nil && e.note.failed && e.note.lead == wire.Query {
			return typ != wire.ReadyForQuery
		}
		if e.is(fix) {
			return typ != wire.ReadyForQuery
		}
		// What is ours within the client's batch fails in its stead.
		return typ != wire.ErrorResponse || !r.within(e)
	case e.is(followed):
		return typ == wire.ReadyForQuery || typ == wire.ParameterStatus
	}
	return false
}

// within reports whether an entry of ours stands in a batch of the client's.
func (r *Relay) within(e *entry) bool {
	return e.kind.extended() && (e.kind == parse || !e.is(probe))
}

// reads reports whether the body of such a message is looked at.
func (r *Relay) reads(typ byte, size int, e *entry) bool {
	if size > smallMessage {
		switch {
		case e == nil || !r.from.hide || size > hiddenMessage:
			return (typ == wire.ErrorResponse || typ == wire.ParameterStatus) && size <= wholeMessage
		case typ == wire.DataRow:
			return e.is(asks) && size <= sessionsql.MaxRow || e.note != nil && e.note.values != nil
		}
		return typ == wire.RowDescription || typ == wire.ParameterDescription || typ == wire.ErrorResponse || typ == wire.ParameterStatus
	}
	switch typ {
	case wire.ReadyForQuery, wire.ParameterStatus, wire.ErrorResponse, wire.ParameterDescription, wire.RowDescription:
		return true
	case wire.DataRow:
		return e != nil && (e.is(asks) || e.note != nil && e.note.values != nil)
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
// message's header, and is whole where reads asked so. st is the step where the
// message is replaced or hidden.
func (r *Relay) observed(typ byte, m []byte, size int, st *Step) {
	if r.from.last = typ; r.from.hide {
		r.from.last = 0 // what the client does not hear is nobody's last word
	}
	body := m[wire.HeaderSize:]
	e := r.x.ledger.first()
	if e != nil && !e.is(begun) && typ != wire.ParameterStatus && typ != wire.NoticeResponse && typ != wire.NotificationResponse {
		r.begin(e)
	}
	switch typ {
	case wire.ReadyForQuery:
		r.ready(m, size, st)
		return
	case wire.ParameterStatus:
		if size > wholeMessage {
			r.state.pin(effects.UnknownState) // it could not be carried
		} else if !r.state.report(body[:size], r.from.hide || r.life.left) && !r.from.hide {
			st.Insert = []byte{}
		}
		return
	case wire.ErrorResponse:
		r.failed(m, size, e, st)
		return
	case wire.CopyInResponse, wire.CopyBothResponse:
		r.x.copyBegins(typ, e)
		return
	case wire.DataRow:
		r.row(e, body, size)
		return
	}
	if e == nil {
		return
	}
	if typ == wire.CloseComplete && r.x.copy.marked {
		st.Insert = append(r.resolved(), r.told(nil)...)
		return
	}
	switch typ {
	case wire.ParseComplete, wire.BindComplete, wire.CloseComplete, wire.NoData, wire.RowDescription, wire.ParameterDescription,
		wire.PortalSuspended:
		r.answered(typ, e, body, size)
	case wire.EmptyQueryResponse, wire.CommandComplete:
		st.Insert = r.completed(typ, e, body, size)
	}
	if st.Insert == nil && r.from.hide {
		st.Insert = r.told(nil)
	}
}

// told returns what the client has to be told of what our own queries have
// brought about, once none of them is under way.
func (r *Relay) told(dst []byte) []byte {
	if !r.params.held || r.life.left || r.life.trial || r.life.refused != nil {
		return dst
	}
	if e := r.x.ledger.first(); e != nil && (e.is(ours) || e.is(followed)) {
		return dst
	}
	return r.params.catchUp(dst)
}

// begin notes that the server has taken a message up.
func (r *Relay) begin(e *entry) {
	e.flags |= begun
	if e.kind != query {
		return
	}
	r.x.server.unnamed, r.x.stranger = 0, false
	if e.is(dropsPlan) {
		r.stmts.unnamed.dropping--
		r.stmts.unnamed.spareOf(&r.stmts.unnamed.now)
		r.stmts.unnamed.now = plan{}
	}
}

// row takes a DataRow.
func (r *Relay) row(e *entry, body []byte, size int) {
	switch {
	case e == nil:
	case e.is(asks) && r.state.survey != nil:
		r.state.survey.answer.Row(body[:min(size, len(body))], size)
	case e.note != nil && e.note.values != nil:
		*e.note.values, _ = wire.ParseDataRow(body)
	}
}

// answered takes what completes a message of the extended-query protocol, but
// for Execute.
func (r *Relay) answered(typ byte, e *entry, body []byte, size int) {
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
			r.stmts.described(e.note, typ, body)
		case e.plan != 0 && e.plan == r.stmts.unnamed.now.number && len(body) == size:
			r.stmts.unnamed.now.types = append(r.stmts.unnamed.now.types[:0], body...)
		}
		return
	default:
		if want = describe; e.kind != describe {
			return // of the rows of a Query
		}
	}
	if e.kind != want {
		r.x.doubt = true
		return
	}
	switch {
	case want != describe:
	case e.is(ours):
		r.stmts.described(e.note, typ, body)
	case e.plan != 0 && e.plan == r.stmts.unnamed.now.number:
		r.stmts.noteRows(typ, body, size)
	}
	r.stmts.over(r.x.ledger.pop())
}

// completed takes a CommandComplete or EmptyQueryResponse. It returns what the
// client gets in its place.
func (r *Relay) completed(typ byte, e *entry, body []byte, size int) (instead []byte) {
	if typ == wire.CommandComplete {
		r.x.copyDone()
		if !e.is(ours) && len(body) == size && (string(body) == tagDiscardAll || string(body) == tagDeallocateAll) {
			r.x.server.forgetCopies()
			r.stmts.names.forget(r.x.ledger.pushed)
		}
	}
	if e.note != nil && len(e.note.ops) > 0 {
		r.stmts.complete(e.note)
	}
	switch e.kind {
	case execute:
		r.stmts.over(r.x.ledger.pop())
	case query:
	default:
		r.x.doubt = true
	}
	return nil
}

// ready takes a ReadyForQuery.
func (r *Relay) ready(m []byte, size int, st *Step) {
	e := r.x.ledger.first()
	if size != 1 || e == nil || e.kind.extended() {
		*st = Step{Pass: st.Pass, Verdict: Failed, Err: violation("the server became ready without having been asked")}
		return
	}
	switch r.x.status = m[wire.HeaderSize]; r.x.status {
	case wire.StatusIdle, wire.StatusInTransaction, wire.StatusFailed:
	default:
		*st = Step{Pass: st.Pass, Verdict: Failed, Err: violation("the server reported an unknown transaction status")}
		return
	}
	if e.kind == copySync && (r.x.copy.state == resolving || r.x.copy.marked) {
		r.x.copy.ready++ // what it answers is seen later
		return
	}
	popped := r.x.ledger.pop()
	e = &popped
	switch {
	case e.is(followed):
		return
	case e.note != nil && e.note.failed && e.note.lead == wire.Query:
		r.x.waiting.drop = true
	case e.note != nil && e.note.failed && e.note.lead != 0:
		r.x.skipping, r.x.batch.open = true, true // for the client, up to its own Sync
		return
	case e.is(ours) && !e.is(fix):
		r.ourReady(e)
		if !e.is(cleans) { // what it resets is set again for the client's next message
			st.Insert = r.told(nil)
		}
		return
	}
	if e.kind != copySync && r.x.copy.state != resolving {
		r.x.copy.state = noCopy
	}
	if e.kind == copySync {
		r.x.copy.syncs--
	}
	r.x.answered++
	r.x.counts.Queries++
	if r.x.status == wire.StatusIdle {
		r.x.counts.Transactions++
		r.rested()
	}
	if r.cfg.Single && r.x.status != wire.StatusIdle && !e.is(late) {
		*st = Step{Pass: st.Pass, Verdict: Failed, Err: errBlock}
		return
	}
	if r.params.held {
		if st.Insert = r.told(nil); len(st.Insert) > 0 {
			st.Insert = append(st.Insert, m...)
		}
	}
}

var errBlock = wire.Fatal(wire.CodeFeatureNotSupported, "transaction blocks not allowed in statement pooling mode").
	WithHint("The connection pooler has pool_mode statement for this database or role.")

// rested notes that no transaction is open, if nothing more was sent.
func (r *Relay) rested() {
	if !r.x.ledger.empty() || r.x.batch.open {
		return
	}
	r.stmts.portals.clear()
	if r.state.suspect != 0 && r.state.toAsk() == 0 {
		r.state.suspect = 0 // what held for the transaction has ended with it
	}
}

// ourReady takes the end of a query of our own.
func (r *Relay) ourReady(e *entry) {
	switch {
	case e.is(wishes) && r.life.refused == nil:
		r.x.server.params.Set = r.params.wishes
	case e.is(asks) && r.state.survey != nil:
		r.state.survey.over = true
	case e.is(cleans):
		r.cleaned()
	case e.is(probe):
		r.x.server.unverified = false
	}
}

// cleaned takes the answer to the query that brings a server to rest after its
// client.
func (r *Relay) cleaned() {
	switch {
	case !r.life.cleaned || r.x.doubt: // a ROLLBACK
	case r.life.wipes:
		r.x.server.wiped()
	case !r.cfg.Shared:
		r.x.server.params.Unlisted = true // what the client set was not followed
	}
}
