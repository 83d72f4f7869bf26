package relay

import (
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/sessionsql"
)

// onQuery takes a Query.
func (r *Relay) onQuery(m []byte, complete bool) edit {
	if r.x.onlyHelped() {
		return edit{wait: true} // whether it is skipped is not known before
	}
	if !complete {
		r.scanLarge(wire.Query)
		r.pushQuery(entry{kind: query})
		r.x.hold()
		return edit{}
	}
	text := cString(m[wire.HeaderSize:])
	seen := r.state.scan(text)
	if seen&effects.Noted == 0 {
		r.pushQuery(entry{kind: query})
		return edit{}
	}
	if e := r.state.refuses(seen); e != nil {
		r.pushQuery(entry{kind: query, flags: denied, note: &note{deny: e}})
		return whole(m, wire.AppendQuery(r.x.out[:0], deniedText))
	}
	if e := r.prepareFor(seen); e.wait || e.exact {
		return e
	}
	r.state.look(seen, text)
	e := entry{kind: query}
	var ed edit
	if seen&effects.Names != 0 && r.cfg.Shared {
		alone := !r.x.batch.open && r.x.ledger.empty() && !r.x.batch.mixed
		t := r.stmts.translate(text, seen&effects.Exits != 0)
		if t.wait {
			return edit{out: t.lead, wait: true}
		}
		if alone && len(t.lead) > 0 {
			t.lead = wire.AppendSync(t.lead)
			r.x.push(entry{kind: syncing, flags: ours | aside})
		}
		if !alone && len(t.lead) > 0 {
			e.flags |= led
			r.x.hold()
		}
		e.note = &note{ops: t.ops, shifts: t.shifts, changed: t.changed != ""}
		seen |= t.effects
		ed = whole(m, wire.AppendQuery(t.lead, string(t.text)))
	}
	r.state.heed(seen)
	if back := r.params.toBringBack(seen); seen&effects.CopyIn == 0 && len(back) > 0 {
		e.flags |= followed
		r.pushQuery(e)
		r.x.push(entry{kind: query, flags: ours | fix})
		if ed.cut == 0 {
			ed = whole(m, append(r.x.out[:0], m...))
		}
		ed.out = wire.AppendQuery(ed.out, sessionsql.BringBack(back, seen&(effects.Settings|effects.Unseen) == 0))
		r.x.hold()
		return ed
	}
	r.pushQuery(e)
	if seen&gates != 0 {
		r.x.hold()
	}
	return ed
}

// pushQuery notes a Query, which ends the unnamed statement once the server
// takes it up.
func (r *Relay) pushQuery(e entry) {
	if r.x.batch.runs || r.x.batch.helps {
		r.x.batch.mixed = true
		e.flags |= late
	}
	if r.stmts.unnamed.now.number != 0 || len(r.stmts.unnamed.candidates) > 0 {
		e.flags |= dropsPlan
		r.stmts.unnamed.dropping++
	}
	r.x.push(e)
}

// prepareFor sees to what a statement with these effects needs of the server
// before it is sent.
func (r *Relay) prepareFor(seen effects.Set) edit {
	if !r.cfg.Shared {
		return edit{}
	}
	atStart := r.x.atStart()
	if seen&effects.Resets != 0 && (seen&(effects.Several|effects.Analyzed|effects.Unseen) != 0 && r.Asks() || r.params.custom) {
		r.params.exact = true // from now on
		if r.x.ledger.readies > 0 && !r.x.batch.open && !r.x.server.params.Covers(r.params.startup) {
			return edit{wait: true} // whether a transaction is open is not known before
		}
		if atStart && !r.x.server.params.Covers(r.params.startup) && r.stmts.holdsFor() == 0 && !r.x.doubt {
			// What the client has left on this server has to be known before
			// that is given back, and a message that it is amid be over.
			ready := r.state.toAsk() == 0 && r.x.left == 0
			return edit{exact: ready, wait: !ready}
		}
	}
	if seen&effects.Sequence != 0 && r.state.foreign && atStart {
		// currval and lastval shall say that they were not called yet in this
		// session, rather than what another client was told.
		r.state.foreign = false
		r.x.server.unnamed, r.x.stranger = 0, false
		r.x.push(entry{kind: query, flags: ours | aside})
		return edit{out: wire.AppendQuery(nil, "DISCARD SEQUENCES"), wait: true}
	}
	return edit{}
}

// harmlessCalls are the functions for large objects, which is what clients call
// by FunctionCall, and nextval.
var harmlessCalls = map[uint32]bool{
	715: true, 764: true, 765: true, 767: true, 952: true, 953: true, 954: true, 955: true, 956: true, 957: true, 958: true,
	964: true, 1004: true, 1574: true, 3170: true, 3171: true, 3172: true, 3457: true, 3458: true, 3459: true, 3460: true,
}

// onCall takes a FunctionCall, which names its function by number. Any but a few
// may do what can't be seen, as DO may.
func (r *Relay) onCall(m []byte) edit {
	if r.x.onlyHelped() {
		return edit{wait: true}
	}
	seen := effects.Opaque
	if len(m) >= wire.HeaderSize+4 {
		switch function := binary.BigEndian.Uint32(m[wire.HeaderSize:]); {
		case harmlessCalls[function]:
			seen = 0
		case function == 1575 || function == 2559: // currval and lastval
			seen = effects.Sequence
		case function == 1599: // setseed
			seen = effects.Seed
		}
	}
	if r.cfg.Shared && seen != 0 {
		if e := r.prepareFor(seen); e.wait || e.exact {
			return e
		}
		r.state.look(seen, m[wire.HeaderSize:])
	}
	r.state.heed(seen)
	e := entry{kind: call}
	if r.x.batch.runs || r.x.batch.helps {
		r.x.batch.mixed = true
		e.flags |= late
	}
	r.x.push(e)
	return edit{}
}

// onSync takes a Sync.
func (r *Relay) onSync(m []byte) edit {
	if r.x.copy.state == copying {
		r.x.ledger.push(entry{kind: copySync})
		r.x.copy.syncs++
		r.x.batch.back = "" // a COPY resets nothing
		return edit{}
	}
	if r.x.batch.back != "" && !r.x.skipping {
		out := r.x.appendHidden(r.x.out[:0], r.x.batch.back, nil)
		r.x.push(entry{kind: syncing})
		return whole(m, append(out, m...))
	}
	r.x.skipping = false
	r.x.push(entry{kind: syncing})
	return edit{}
}
