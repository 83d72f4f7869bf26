package relay

import (
	"bytes"
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/ownsql"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// onParse takes a Parse, which is whole.
func (q *requests) onParse(m []byte) edit {
	own, rest, ok := bytes.Cut(m[wire.HeaderSize:], []byte{0})
	text, types, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || !q.cfg.Shared { // PostgreSQL has an error for that
		q.ex.push(entry{kind: parse})
		if ok2 {
			q.parsedUnshared(own, q.state.scan(text))
		}
		return edit{}
	}
	seen := q.scanParse(m, text)
	if e := q.state.rejects(seen); e != nil {
		return q.rejectParse(e, m)
	}
	if e := q.prepareFor(seen); e.exact || e.wait {
		return e
	}
	q.state.noteCustomNames(seen, text)
	if len(own) == 0 {
		return q.parseUnnamed(m, text, types, seen)
	}
	nm := q.stmts.names.LookUp(own)
	switch {
	case nm != nil && nm.Leaving:
		return edit{wait: true}
	case nm == nil && q.stmts.names.Len() >= maxNamed:
		return edit{err: errNames}
	case nm.Stands() && nm.Open == 0:
		return q.parseTaken(m, own, rest)
	}
	return q.parseNamed(m, own, text, types, seen)
}

// scanParse is scan for a Parse. That the client's unnamed statement is parsed
// once more, as drivers do for each execution, is seen without it.
func (q *requests) scanParse(m, text []byte) effects.Set {
	if u := &q.stmts.unnamed.now; u.effects&effects.Names == 0 && len(u.parse) > 0 && bytes.Equal(u.parse, m) {
		return u.effects
	}
	seen := q.state.scan(text)
	if seen&effects.Analyzed == 0 && effects.ReadsTwoWays(text) {
		seen |= effects.Analyzed
	}
	return seen
}

// maxNamed bounds how many names a session may have.
const maxNamed = 100_000

var errNames = wire.Fatal(wire.CodeProgramLimit, "too many prepared statements in this session (limit 100000)")

// parsedUnshared notes a Parse of a session that keeps its server: only what the
// statement may do counts.
func (q *requests) parsedUnshared(own []byte, seen effects.Set) {
	if seen&effects.Noted == 0 {
		return
	}
	q.stmts.unnamed.now.effects |= seen // of all statements of the session together
}

// parseTaken takes a Parse of a name that stands for a statement. PostgreSQL
// reads it, and then says what it thinks of using a name twice.
func (q *requests) parseTaken(m, own, rest []byte) edit {
	taken := prepared.NewName()
	out := q.ex.appendCloses(q.ex.out[:0])
	q.ex.push(entry{kind: parse, flags: ours})
	q.ex.push(entry{kind: parse, note: &note{own: string(names.Shorten(own))}})
	q.ex.server.copies.CloseLater(taken)
	return whole(m, wire.AppendParse(wire.AppendParse(out, taken, "\x00\x00\x00"), taken, rest))
}

// parseUnnamed takes a Parse of the unnamed statement.
func (q *requests) parseUnnamed(m, text, types []byte, seen effects.Set) edit {
	n := &q.stmts.unnamed
	p := plan{number: prepared.NextNumber(), effects: seen, parse: n.spare[:0], sure: q.ex.sure(), batch: q.ex.batch.number}
	n.spare = nil
	p.context, p.certain = q.state.now()
	if pending := len(n.candidates); pending < keptPlans || pending*len(m) < maxPlans {
		p.parse = append(p.parse, m...)
	}
	e := entry{kind: parse, flags: unnamed}
	var out []byte
	if seen&effects.Names != 0 {
		t := q.stmts.translate(text, false)
		if t.wait {
			return edit{out: t.prelude, wait: true}
		}
		e.note = &note{ops: t.ops, shifts: t.shifts}
		p.ops, p.namesVersion = t.ops, q.stmts.namesVersion()
		p.missed = q.stmts.executes(t.ops, "", true) != nil
		p.effects |= t.effects
		out = wire.AppendParse(t.prelude, "", string(t.text)+"\x00"+string(types))
	}
	n.candidates = append(n.candidates, p)
	q.ex.push(e)
	q.ex.counts.ServerParses++
	if out == nil {
		return edit{}
	}
	return whole(m, out)
}

// parseNamed takes a Parse of a name that is free, as far as is known.
func (q *requests) parseNamed(m, own, text, types []byte, seen effects.Set) edit {
	context, certain := q.state.now()
	capture := !certain && seen&effects.Analyzed != 0
	if capture && !q.ex.batch.open && q.state.unsure(q.stmts.unnamed.stuck()) {
		return edit{wait: true} // it is known when PostgreSQL has answered what it is asked
	}
	out := q.ex.appendSentinel(q.ex.appendCloses(q.ex.out[:0]))
	d := &draft{}
	d.Text, d.Types, d.Effects = string(text), string(types), seen
	sent, n := text, &note{draft: d}
	nm := q.stmts.names.Enter(string(own))
	if nm.Open == 0 {
		nm.Server = prepared.NewName()
	}
	if seen&effects.Names != 0 {
		nm.Making = nm.Server // what it says of its own name is about itself
		t := q.stmts.translate(text, false)
		nm.Making = ""
		out = append(out, t.prelude...)
		if t.wait {
			q.stmts.names.Drop(nm)
			return edit{out: out, wait: true}
		}
		sent, n.shifts, n.ops = t.text, t.shifts, t.ops
		d.ops = t.ops
		seen |= t.effects
		d.Effects = seen
	}
	nm.Ops = d.ops
	nm.May |= seen
	d.name, d.server, d.made, d.sent = nm, nm.Server, q.ex.ledger.pushed, prepared.Now()
	d.Kept = q.stmts.names.Reserve(prepared.Size(d.Text))
	if d.Context, d.Certain = context, certain || !capture; capture || seen&(effects.Moment|effects.Names) != 0 {
		d.Private = prepared.NextNumber()
	}
	if seen&effects.Analyzed == 0 {
		d.Context = "" // nothing reads it
	}
	q.stmts.names.Await(nm, 2)
	q.ex.push(entry{kind: parse, name: nm, note: n})
	q.ex.counts.ServerParses++
	out = wire.AppendParse(out, nm.Server, string(sent)+"\x00"+string(types))
	out = wire.AppendNamed(out, wire.Describe, 'S', nm.Server)
	if !capture {
		q.ex.push(entry{kind: describe, flags: ours | final, note: &note{draft: d}})
		return whole(m, out)
	}
	q.ex.push(entry{kind: describe, flags: ours, note: &note{draft: d}})
	out = q.ex.appendHidden(out, ownsql.ReadContext, &note{values: &d.values})
	last := q.ex.ledger.last()
	last.flags |= final
	last.note = &note{draft: d}
	return whole(m, out)
}

// rejectParse has PostgreSQL refuse a Parse.
func (q *requests) rejectParse(why *wire.Error, m []byte) edit {
	e := entry{kind: parse, flags: rejected, note: &note{reject: why}}
	name := q.cfg.absentName
	if m[wire.HeaderSize] == 0 { // the Parse ends the unnamed statement
		e.flags |= unnamed
		name = ""
		q.stmts.unnamed.candidates = append(q.stmts.unnamed.candidates, plan{})
	}
	q.ex.push(e)
	return whole(m, wire.AppendParse(q.ex.out[:0], name, rejectedText+"\x00\x00\x00"))
}

// onBind takes a Bind, whose names at least are there.
func (q *requests) onBind(m []byte, complete bool) (e edit, more bool) {
	body := m[wire.HeaderSize:]
	if !q.cfg.Shared {
		if len(body) == 0 && !complete {
			return edit{}, true // which portal it is for
		}
		q.stmts.noteBind(len(body) > 0 && body[0] == 0, q.stmts.unnamed.now.effects)
		q.ex.push(entry{kind: bind})
		return edit{}, false
	}
	portal := bytes.IndexByte(body, 0)
	length := -1
	if portal >= 0 {
		length = bytes.IndexByte(body[portal+1:], 0)
	}
	if length < 0 {
		if !complete && len(m) < wholeMessage {
			return edit{}, true
		}
		if !complete {
			return edit{err: violation("invalid message format")}, false
		}
		q.ex.push(entry{kind: bind}) // PostgreSQL has an error for that
		return edit{}, false
	}
	own := body[portal+1 : portal+1+length]
	head := wire.HeaderSize + portal + 1 + length + 1
	var nm *names.Name
	if len(own) > 0 {
		nm = q.stmts.names.LookUp(own)
	}
	seen := q.stmts.effectsOf(own, nm)
	if e := q.prepareFor(seen); e.wait || e.exact {
		return e, false
	}
	prelude, server, nt, wait := q.stmts.resolve(own, nm, bind)
	if wait {
		return edit{out: prelude, wait: true}, false
	}
	if nt == nil && len(own) > names.MaxName {
		nt = &note{own: string(own)}
	}
	if nt != nil && nt.changed && nm != nil && complete {
		return q.refuseChanged(m, nm, nt, body[:portal], body[portal+1+length+1:]), false
	}
	q.stmts.noteBind(portal == 0, seen)
	if seen&effects.SearchPath != 0 && complete {
		q.state.custom.Note(m[head:]) // the name may be one of the values
	}
	q.ex.push(entry{kind: bind, name: nm, note: nt})
	if portal == 0 {
		q.stmts.portals.Plan = 0
		if len(own) == 0 {
			q.stmts.portals.Plan = q.stmts.unnamed.latest()
		}
	}
	q.stmts.bindPortal(body[:portal], own, nm)
	if len(prelude) == 0 && len(own) == 0 && server == "" {
		return edit{}, false
	}
	at := len(prelude)
	out := append(prelude, m[:head-len(own)-1]...)
	out = append(append(out, server...), 0)
	binary.BigEndian.PutUint32(out[at+1:], binary.BigEndian.Uint32(m[1:])+uint32(len(server)-len(own)))
	return edit{out: out, cut: head}, false
}

// refuseChanged has a Bind fail whose statement returns other columns than the
// client prepared. PostgreSQL looks at the values before, so they are bound to a
// statement with the same parameters first.
func (q *requests) refuseChanged(m []byte, nm *names.Name, nt *note, portal, values []byte) edit {
	server := prepared.NewName()
	q.ex.push(entry{kind: parse, flags: ours})
	q.ex.push(entry{kind: bind, flags: ours, note: &note{own: nt.own}})
	q.ex.push(entry{kind: bind, name: nm, note: nt})
	q.ex.server.copies.CloseLater(server)
	out := wire.AppendParse(q.ex.out[:0], server, "\x00"+nm.Statement.Types)
	at := len(out)
	out = append(out, wire.Bind, 0, 0, 0, 0)
	out = append(append(append(append(append(out, portal...), 0), server...), 0), values...)
	wire.PutLength(out[at:])
	return whole(m, wire.AppendBind(out, q.cfg.absentName))
}

// onDescribe takes a Describe, which is whole.
func (q *requests) onDescribe(m []byte) edit {
	if !q.cfg.Shared || len(m) < wire.HeaderSize+2 || m[wire.HeaderSize] != 'S' || m[len(m)-1] != 0 {
		e := entry{kind: describe}
		if len(m) == wire.HeaderSize+2 && m[wire.HeaderSize] == 'P' {
			e.plan = q.stmts.portals.Plan
		}
		if len(m) >= wire.HeaderSize+2 {
			if e.note = q.stmts.executes(q.stmts.portals.Ops(m[wire.HeaderSize+1:len(m)-1]), "", false); e.note != nil {
				q.ex.push(e)
				return whole(m, wire.AppendNamed(q.ex.out[:0], wire.Describe, 'S', q.cfg.absentName))
			}
		}
		q.ex.push(e)
		return edit{}
	}
	own := m[wire.HeaderSize+1 : len(m)-1]
	var nm *names.Name
	if len(own) > 0 {
		nm = q.stmts.names.LookUp(own)
	}
	prelude, server, n, wait := q.stmts.resolve(own, nm, describe)
	if wait {
		return edit{out: prelude, wait: true}
	}
	if c := q.stmts.namesLost(own, nm); c != nil && n == nil {
		n, server = c, q.cfg.absentName
	}
	if n == nil && len(own) > names.MaxName {
		n = &note{own: string(own)}
	}
	e := entry{kind: describe, note: n, name: nm}
	if len(own) == 0 {
		e.plan = q.stmts.unnamed.latest()
	}
	q.ex.push(e)
	out := wire.AppendNamed(prelude, wire.Describe, 'S', server)
	if q.ex.server.copies.CloseLast(server) {
		// It was made for this message: a batch of many must not pile them up.
		q.ex.push(entry{kind: closing, flags: ours, note: &note{own: server}})
		out = wire.AppendNamed(out, wire.CloseMessage, 'S', server)
	}
	return whole(m, out)
}

// onClose takes a Close, which is whole. Other clients may use what the name
// stands for on the server, so it stays there: PostgreSQL allows closing
// what does not exist.
func (q *requests) onClose(m []byte) edit {
	if !q.cfg.Shared || len(m) < wire.HeaderSize+2 || m[wire.HeaderSize] != 'S' || m[len(m)-1] != 0 {
		q.ex.push(entry{kind: closing})
		return edit{}
	}
	own := m[wire.HeaderSize+1 : len(m)-1]
	if len(own) == 0 {
		q.stmts.unnamed.dropping++
		q.ex.push(entry{kind: closing, flags: unnamed})
		return edit{}
	}
	nm := q.stmts.names.LookUp(own)
	if nm != nil && (nm.Leaving || nm.Open > 0) {
		return edit{wait: true}
	}
	server := q.cfg.absentName
	if nm != nil {
		q.stmts.names.Await(nm, 1)
		nm.Leaving, nm.May = true, nm.Effects()
		if nm.SQL {
			server = nm.Server
		} else if c := q.ex.server.copies.Find(nm.Statement); c != nil && nm.Bound {
			server = c.Name
			q.ex.server.copies.Forget(c)
		}
	}
	q.ex.push(entry{kind: closing, name: nm})
	return whole(m, wire.AppendNamed(q.ex.out[:0], wire.CloseMessage, 'S', server))
}

// onExecute takes an Execute, which is whole.
func (q *requests) onExecute(m []byte) edit {
	e := entry{kind: execute}
	seen := q.stmts.portals.Effects(len(m) > wire.HeaderSize && m[wire.HeaderSize] == 0)
	if seen&(gates|effects.Resets|effects.Opaque) == 0 {
		q.ex.push(e)
		return edit{}
	}
	if portal, _, ok := bytes.Cut(m[wire.HeaderSize:], []byte{0}); ok {
		if ops := q.stmts.portals.Ops(portal); ops != nil {
			e.note = &note{ops: ops}
		}
	}
	q.ex.push(e)
	out := append(q.ex.out[:0], m...)
	if back := q.params.toRestore(seen); len(back) > 0 {
		sql := ownsql.Restore(back, seen&(effects.Settings|effects.Unseen) == 0)
		if seen&effects.CopyIn == 0 {
			out = q.ex.appendHidden(out, sql, nil)
		} else { // it is one of several statements, and that has to be known first
			q.ex.batch.restore = sql
		}
	}
	if seen&gates != 0 {
		out = wire.AppendFlush(out)
		q.ex.flushed = q.ex.ledger.pushed
		q.ex.block()
	}
	return whole(m, out)
}
