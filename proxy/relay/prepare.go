package relay

import (
	"bytes"
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
	"github.com/pgseal/pgseal/proxy/relay/sessionsql"
)

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

// onParse takes a Parse, which is whole.
func (r *Relay) onParse(m []byte) edit {
	own, rest, ok := bytes.Cut(m[wire.HeaderSize:], []byte{0})
	text, types, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || !r.cfg.Shared { // PostgreSQL has an error for that
		r.x.push(entry{kind: parse})
		if ok2 {
			r.parsedUnshared(own, r.state.scan(text))
		}
		return edit{}
	}
	seen := r.scanParse(m, text)
	if e := r.state.refuses(seen); e != nil {
		return r.denyParse(e, m)
	}
	if e := r.prepareFor(seen); e.exact || e.wait {
		return e
	}
	r.state.look(seen, text)
	if len(own) == 0 {
		return r.parseUnnamed(m, text, types, seen)
	}
	nm := r.stmts.names.lookUp(own)
	switch {
	case nm != nil && nm.leaving:
		return edit{wait: true}
	case nm == nil && len(r.stmts.names.byName) >= maxNamed:
		return edit{err: errNames}
	case nm.stands() && nm.open == 0:
		return r.parseTaken(m, own, rest)
	}
	return r.parseNamed(m, own, text, types, seen)
}

// scanParse is scan for a Parse. That the client's unnamed statement is parsed
// once more, as drivers do for each execution, is seen without it.
func (r *Relay) scanParse(m, text []byte) effects.Set {
	if u := &r.stmts.unnamed.now; u.effects&effects.Names == 0 && len(u.parse) > 0 && bytes.Equal(u.parse, m) {
		return u.effects
	}
	seen := r.state.scan(text)
	if seen&effects.Analyzed == 0 && effects.ReadsTwoWays(text) {
		seen |= effects.Analyzed
	}
	return seen
}

var errNames = wire.Fatal(wire.CodeProgramLimit, "too many prepared statements in one session")

// parsedUnshared notes a Parse of a session that keeps its server: only what the
// statement may do counts.
func (r *Relay) parsedUnshared(own []byte, seen effects.Set) {
	if seen&effects.Noted == 0 {
		return
	}
	r.stmts.unnamed.now.effects |= seen // of all statements of the session together
}

// parseTaken takes a Parse of a name that stands for a statement. PostgreSQL
// reads it, and then says what it thinks of using a name twice.
func (r *Relay) parseTaken(m, own, rest []byte) edit {
	taken := prepared.NewName()
	out := r.x.appendDoomed(r.x.out[:0])
	r.x.push(entry{kind: parse, flags: ours})
	r.x.push(entry{kind: parse, note: &note{own: string(shorten(own))}})
	r.x.server.copies.Doom(taken)
	return whole(m, wire.AppendParse(wire.AppendParse(out, taken, "\x00\x00\x00"), taken, rest))
}

// parseNamed takes a Parse of a name that is free, as far as is known.
func (r *Relay) parseNamed(m, own, text, types []byte, seen effects.Set) edit {
	context, certain := r.state.now()
	capture := !certain && seen&effects.Analyzed != 0
	if capture && !r.x.batch.open && r.state.unsure(r.stmts.unnamed.stuck()) {
		return edit{wait: true} // it is known when PostgreSQL has answered what it is asked
	}
	out := r.x.appendProbe(r.x.appendDoomed(r.x.out[:0]))
	d := &draft{}
	d.Text, d.Types, d.Effects = string(text), string(types), seen
	sent, n := text, &note{draft: d}
	nm := r.stmts.names.enter(string(own))
	if nm.open == 0 {
		nm.server = prepared.NewName()
	}
	if seen&effects.Names != 0 {
		nm.making = nm.server // what it says of its own name is about itself
		t := r.stmts.translate(text, false)
		nm.making = ""
		out = append(out, t.lead...)
		if t.wait {
			if !nm.stands() {
				delete(r.stmts.names.byName, nm.own)
			}
			return edit{out: out, wait: true}
		}
		sent, n.shifts, n.ops = t.text, t.shifts, t.ops
		d.ops = t.ops
		seen |= t.effects
		d.Effects = seen
	}
	nm.ops = d.ops
	nm.may |= seen
	d.name, d.server, d.made, d.sent = nm, nm.server, r.x.ledger.pushed, prepared.Now()
	d.Kept = r.stmts.names.reserve(prepared.Size(d.Text))
	if d.Context, d.Certain = context, certain || !capture; capture || seen&(effects.Moment|effects.Names) != 0 {
		d.Private = prepared.NextNumber()
	}
	if seen&effects.Analyzed == 0 {
		d.Context = "" // nothing reads it
	}
	nm.open += 2
	r.stmts.names.changes++
	r.x.push(entry{kind: parse, name: nm, note: n})
	r.x.counts.ServerParses++
	out = wire.AppendParse(out, nm.server, string(sent)+"\x00"+string(types))
	out = wire.AppendNamed(out, wire.Describe, 'S', nm.server)
	if !capture {
		r.x.push(entry{kind: describe, flags: ours | final, note: &note{draft: d}})
		return whole(m, out)
	}
	r.x.push(entry{kind: describe, flags: ours, note: &note{draft: d}})
	out = r.x.appendHidden(out, sessionsql.ReadContext, &note{values: &d.values})
	last := r.x.ledger.last()
	last.flags |= final
	last.note = &note{draft: d}
	return whole(m, out)
}

// denyParse has PostgreSQL refuse a Parse.
func (r *Relay) denyParse(why *wire.Error, m []byte) edit {
	e := entry{kind: parse, flags: denied, note: &note{deny: why}}
	name := r.cfg.nobody
	if m[wire.HeaderSize] == 0 { // the Parse ends the unnamed statement
		e.flags |= unnamed
		name = ""
		r.stmts.unnamed.candidates = append(r.stmts.unnamed.candidates, plan{})
	}
	r.x.push(e)
	return whole(m, wire.AppendParse(r.x.out[:0], name, deniedText+"\x00\x00\x00"))
}

// onBind takes a Bind, whose names at least are there.
func (r *Relay) onBind(m []byte, complete bool) (e edit, more bool) {
	names := m[wire.HeaderSize:]
	if !r.cfg.Shared {
		if len(names) == 0 && !complete {
			return edit{}, true // which portal it is for
		}
		r.stmts.heedBind(len(names) > 0 && names[0] == 0, r.stmts.unnamed.now.effects)
		r.x.push(entry{kind: bind})
		return edit{}, false
	}
	portal := bytes.IndexByte(names, 0)
	length := -1
	if portal >= 0 {
		length = bytes.IndexByte(names[portal+1:], 0)
	}
	if length < 0 {
		if !complete && len(m) < wholeMessage {
			return edit{}, true
		}
		if !complete {
			return edit{err: violation("invalid message format")}, false
		}
		r.x.push(entry{kind: bind}) // PostgreSQL has an error for that
		return edit{}, false
	}
	own := names[portal+1 : portal+1+length]
	head := wire.HeaderSize + portal + 1 + length + 1
	var nm *name
	if len(own) > 0 {
		nm = r.stmts.names.lookUp(own)
	}
	seen := r.stmts.effectsOf(own, nm)
	if e := r.prepareFor(seen); e.wait || e.exact {
		return e, false
	}
	lead, server, nt, wait := r.stmts.resolve(own, nm, bind)
	if wait {
		return edit{out: lead, wait: true}, false
	}
	if nt == nil && len(own) > maxName {
		nt = &note{own: string(own)}
	}
	if nt != nil && nt.changed && nm != nil && complete {
		return r.refuseChanged(m, nm, nt, names[:portal], names[portal+1+length+1:]), false
	}
	r.stmts.heedBind(portal == 0, seen)
	if seen&effects.SearchPath != 0 && complete {
		r.state.custom.Note(m[head:]) // the name may be one of the values
	}
	r.x.push(entry{kind: bind, name: nm, note: nt})
	if portal == 0 {
		r.stmts.portals.plan = 0
		if len(own) == 0 {
			r.stmts.portals.plan = r.stmts.unnamed.latest()
		}
	}
	r.stmts.bindPortal(names[:portal], own, nm)
	if len(lead) == 0 && len(own) == 0 && server == "" {
		return edit{}, false
	}
	at := len(lead)
	out := append(lead, m[:head-len(own)-1]...)
	out = append(append(out, server...), 0)
	binary.BigEndian.PutUint32(out[at+1:], binary.BigEndian.Uint32(m[1:])+uint32(len(server)-len(own)))
	return edit{out: out, cut: head}, false
}

// refuseChanged has a Bind fail whose statement returns other columns than the
// client prepared. PostgreSQL looks at the values before, so they are bound to a
// statement with the same parameters first.
func (r *Relay) refuseChanged(m []byte, nm *name, nt *note, portal, values []byte) edit {
	server := prepared.NewName()
	r.x.push(entry{kind: parse, flags: ours})
	r.x.push(entry{kind: bind, flags: ours, note: &note{own: nt.own}})
	r.x.push(entry{kind: bind, name: nm, note: nt})
	r.x.server.copies.Doom(server)
	out := wire.AppendParse(r.x.out[:0], server, "\x00"+nm.st.Types)
	at := len(out)
	out = append(out, wire.Bind, 0, 0, 0, 0)
	out = append(append(append(append(append(out, portal...), 0), server...), 0), values...)
	wire.PutLength(out[at:])
	return whole(m, wire.AppendBind(out, r.cfg.nobody))
}

// onClose takes a Close, which is whole. Other clients may use what the name
// stands for on the server, so it stays there: PostgreSQL is content to close
// what does not exist.
func (r *Relay) onClose(m []byte) edit {
	if !r.cfg.Shared || len(m) < wire.HeaderSize+2 || m[wire.HeaderSize] != 'S' || m[len(m)-1] != 0 {
		r.x.push(entry{kind: closing})
		return edit{}
	}
	own := m[wire.HeaderSize+1 : len(m)-1]
	if len(own) == 0 {
		r.stmts.unnamed.dropping++
		r.x.push(entry{kind: closing, flags: unnamed})
		return edit{}
	}
	nm := r.stmts.names.lookUp(own)
	if nm != nil && (nm.leaving || nm.open > 0) {
		return edit{wait: true}
	}
	server := r.cfg.nobody
	if nm != nil {
		nm.open++
		r.stmts.names.changes++
		nm.leaving, nm.may = true, nm.effects()
		if nm.sql {
			server = nm.server
		} else if c := r.x.server.copies.Find(nm.st); c != nil && nm.bound {
			server = c.Name
			r.x.server.copies.Lose(c)
		}
	}
	r.x.push(entry{kind: closing, name: nm})
	return whole(m, wire.AppendNamed(r.x.out[:0], wire.CloseMessage, 'S', server))
}

// onExecute takes an Execute, which is whole.
func (r *Relay) onExecute(m []byte) edit {
	e := entry{kind: execute}
	seen := r.stmts.portals.effects(len(m) > wire.HeaderSize && m[wire.HeaderSize] == 0)
	if seen&(gates|effects.Resets|effects.Opaque) == 0 {
		r.x.push(e)
		return edit{}
	}
	if len(r.stmts.portals.ops) > 0 {
		if portal, _, ok := bytes.Cut(m[wire.HeaderSize:], []byte{0}); ok {
			if ops := r.stmts.portals.ops[string(portal)]; ops != nil {
				e.note = &note{ops: ops}
			}
		}
	}
	r.x.push(e)
	out := append(r.x.out[:0], m...)
	if back := r.params.toBringBack(seen); len(back) > 0 {
		sql := sessionsql.BringBack(back, seen&(effects.Settings|effects.Unseen) == 0)
		if seen&effects.CopyIn == 0 {
			out = r.x.appendHidden(out, sql, nil)
		} else { // it is one of several statements, and that has to be known first
			r.x.batch.back = sql
		}
	}
	if seen&gates != 0 {
		out = wire.AppendFlush(out)
		r.x.flushed = r.x.ledger.pushed
		r.x.hold()
	}
	return whole(m, out)
}
