package relay

import (
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/ownsql"
)

// onQuery takes a Query.
func (q *requests) onQuery(m []byte, complete bool) edit {
	if q.ex.onlyOwnRan() {
		return edit{wait: true} // whether it is skipped is not known before
	}
	if !complete {
		q.scanLarge(wire.Query)
		q.pushQuery(entry{kind: query})
		q.ex.block()
		return edit{}
	}
	text := cString(m[wire.HeaderSize:])
	seen := q.state.scan(text)
	if seen&effects.Noted == 0 {
		q.pushQuery(entry{kind: query})
		return edit{}
	}
	if e := q.state.rejects(seen); e != nil {
		q.pushQuery(entry{kind: query, flags: rejected, note: &note{reject: e}})
		return whole(m, wire.AppendQuery(q.ex.out[:0], rejectedText))
	}
	if e := q.prepareFor(seen); e.wait || e.exact {
		return e
	}
	q.state.noteCustomNames(seen, text)
	e := entry{kind: query}
	var ed edit
	if seen&effects.Names != 0 && q.cfg.Shared {
		alone := !q.ex.batch.open && q.ex.ledger.empty() && !q.ex.batch.mixed
		t := q.stmts.translate(text, seen&effects.Exits != 0)
		if t.wait {
			return edit{out: t.prelude, wait: true}
		}
		if alone && len(t.prelude) > 0 {
			t.prelude = wire.AppendSync(t.prelude)
			q.ex.push(entry{kind: syncing, flags: ours | bestEffort})
		}
		if !alone && len(t.prelude) > 0 {
			e.flags |= hasPrelude
			q.ex.block()
		}
		e.note = &note{ops: t.ops, shifts: t.shifts, changed: t.changed != ""}
		seen |= t.effects
		ed = whole(m, wire.AppendQuery(t.prelude, string(t.text)))
	}
	q.state.noteEffects(seen)
	if back := q.params.toRestore(seen); seen&effects.CopyIn == 0 && len(back) > 0 {
		e.flags |= restoreFollows
		q.pushQuery(e)
		q.ex.push(entry{kind: query, flags: ours | restore})
		if ed.cut == 0 {
			ed = whole(m, append(q.ex.out[:0], m...))
		}
		ed.out = wire.AppendQuery(ed.out, ownsql.Restore(back, seen&(effects.Settings|effects.Unseen) == 0))
		q.ex.block()
		return ed
	}
	q.pushQuery(e)
	if seen&gates != 0 {
		q.ex.block()
	}
	return ed
}

// pushQuery notes a Query, which ends the unnamed statement once the server
// takes it up.
func (q *requests) pushQuery(e entry) {
	x := q.ex
	if x.batch.runs || x.batch.ownRuns {
		x.batch.mixed = true
		e.flags |= late
	}
	if q.stmts.unnamed.now.number != 0 || len(q.stmts.unnamed.candidates) > 0 {
		e.flags |= dropsPlan
		q.stmts.unnamed.dropping++
	}
	x.push(e)
}

// prepareFor sees to what a statement with these effects needs of the server
// before it is sent.
func (q *requests) prepareFor(seen effects.Set) edit {
	if !q.cfg.Shared {
		return edit{}
	}
	atStart := q.ex.atStart()
	if seen&effects.Resets != 0 && (seen&(effects.Several|effects.Analyzed|effects.Unseen) != 0 && q.params.asks() || q.params.custom) {
		q.params.exact = true // from now on
		if q.ex.ledger.readies > 0 && !q.ex.batch.open && !q.ex.server.params.Covers(q.params.startup) {
			return edit{wait: true} // whether a transaction is open is not known before
		}
		if atStart && !q.ex.server.params.Covers(q.params.startup) && q.stmts.holdsFor() == 0 && !q.ex.desynced {
			// What the client has left on this server has to be known before
			// that is given back, and a message that it is amid be over.
			ready := q.state.toAsk() == 0 && q.ex.left == 0
			return edit{exact: ready, wait: !ready}
		}
	}
	if seen&effects.Sequence != 0 && q.state.foreignSequences && atStart {
		// currval and lastval shall say that they were not called yet in this
		// session, rather than what another client was told.
		q.state.foreignSequences = false
		q.ex.server.unnamed, q.ex.foreignUnnamed = 0, false
		q.ex.push(entry{kind: query, flags: ours | bestEffort})
		return edit{out: wire.AppendQuery(nil, "DISCARD SEQUENCES"), wait: true}
	}
	return edit{}
}

// onCall takes a FunctionCall, which names its function by number. Any but a few
// may do what can't be seen, as DO may.
func (q *requests) onCall(m []byte) edit {
	if q.ex.onlyOwnRan() {
		return edit{wait: true}
	}
	seen := effects.Opaque
	if len(m) >= wire.HeaderSize+4 {
		seen = effects.OfCall(binary.BigEndian.Uint32(m[wire.HeaderSize:]))
	}
	if q.cfg.Shared && seen != 0 {
		if e := q.prepareFor(seen); e.wait || e.exact {
			return e
		}
		q.state.noteCustomNames(seen, m[wire.HeaderSize:])
	}
	q.state.noteEffects(seen)
	e := entry{kind: call}
	if q.ex.batch.runs || q.ex.batch.ownRuns {
		q.ex.batch.mixed = true
		e.flags |= late
	}
	q.ex.push(e)
	return edit{}
}

// onSync takes a Sync.
func (q *requests) onSync(m []byte) edit {
	if q.ex.copy.state == copying {
		q.ex.ledger.push(entry{kind: copySync})
		q.ex.copy.syncs++
		q.ex.batch.restore = "" // a COPY resets nothing
		return edit{}
	}
	if q.ex.batch.restore != "" && !q.ex.skipping {
		out := q.ex.appendHidden(q.ex.out[:0], q.ex.batch.restore, nil)
		q.ex.push(entry{kind: syncing})
		return whole(m, append(out, m...))
	}
	q.ex.skipping = false
	q.ex.push(entry{kind: syncing})
	return edit{}
}
