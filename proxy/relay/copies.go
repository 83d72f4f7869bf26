package relay

import (
	"bytes"
	"slices"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
	"github.com/pgseal/pgseal/proxy/relay/sessionsql"
)

// preparation is what was asked before a statement is made under values that are
// not those of the session.
type preparation struct {
	statement *prepared.Statement
	number    uint64   // of the unnamed statement that it is
	values    wire.Row // of read, as they are
}

// remake returns what makes a copy of a statement on the server that is held.
// Where the session's values are not those under which the client prepared it,
// they are asked for first, then changed and changed back around it. Where it
// returns rows their description is compared with what the client prepared. Both
// has to be answered before anything runs, which wait says; made says that the
// copy itself is on its way.
func (r *Relay) remake(c *prepared.Copy) (lead []byte, made, wait bool) {
	st := c.Statement
	context, certain := r.state.now()
	equal := st.Effects&effects.Analyzed == 0 || !st.Certain || certain && context == st.Context
	p := r.names.prep
	if !equal && (p == nil || p.statement != st || p.values == nil) { // not asked, or in vain
		p = &preparation{statement: st, number: c.Number}
		r.names.prep = p
		lead = r.x.appendHidden(lead, sessionsql.ReadContext, &note{values: &p.values})
		return lead, false, true
	}
	r.names.prep = nil
	lead = r.x.appendDoomed(lead)
	if c.Name != "" {
		lead = r.x.appendProbe(lead)
	}
	if !equal {
		lead = r.x.appendHidden(lead, sessionsql.InContext(st.Context), nil)
	}
	r.x.push(entry{kind: parse, flags: ours, note: &note{copy: c}})
	r.x.counts.ServerParses++
	lead = wire.AppendParse(lead, c.Name, st.Text()+"\x00"+st.Types)
	if st.Described && st.Rows {
		r.x.push(entry{kind: describe, flags: ours, note: &note{copy: c}})
		lead = wire.AppendNamed(lead, wire.Describe, 'S', c.Name)
		wait = true
	}
	if !equal {
		lead = r.x.appendHidden(lead, sessionsql.InContext(sessionsql.ContextOf(p.values)), nil)
		wait = true
	}
	return lead, true, wait
}

// parseUnnamed takes a Parse of the unnamed statement.
func (r *Relay) parseUnnamed(m, text, types []byte, seen effects.Set) edit {
	n := &r.names
	p := plan{number: prepared.NextNumber(), effects: seen, parse: n.spare[:0], sure: r.x.sure(), batch: r.x.batch.number}
	n.spare = nil
	p.context, p.certain = r.state.now()
	if pending := len(n.candidates); pending < keptPlans || pending*len(m) < maxPlans {
		p.parse = append(p.parse, m...)
	}
	e := entry{kind: parse, flags: unnamed}
	var out []byte
	if seen&effects.Names != 0 {
		t := r.translate(text, false)
		if t.wait {
			return edit{out: t.lead, wait: true}
		}
		e.note = &note{ops: t.ops, shifts: t.shifts}
		p.ops, p.looked = t.ops, r.looked()
		p.missed = r.executes(t.ops, "", true) != nil
		p.effects |= t.effects
		out = wire.AppendParse(t.lead, "", string(t.text)+"\x00"+string(types))
	}
	n.candidates = append(n.candidates, p)
	r.x.push(e)
	r.x.counts.ServerParses++
	if out == nil {
		return edit{}
	}
	return whole(m, out)
}

// Bounds of what is kept of unnamed statements whose Parse is not answered.
const (
	keptPlans = 4
	maxPlans  = 256 << 10
	// keepPlan is how large a buffer a session may keep for its next.
	keepPlan = 1 << 10
)

// confirmPlan has the first candidate be the unnamed statement.
func (n *names) confirmPlan() {
	n.spareOf(&n.unnamed)
	rows, types := n.unnamed.rows[:0], n.unnamed.types[:0]
	n.unnamed = n.candidates[0]
	n.unnamed.rows, n.unnamed.types = rows, types
	n.dropPlan()
}

// dropPlan takes the first candidate for the unnamed statement out.
func (n *names) dropPlan() {
	last := len(n.candidates) - 1
	copy(n.candidates, n.candidates[1:])
	n.candidates[last] = plan{}
	n.candidates = n.candidates[:last]
}

// looked counts what may have changed what a name stands for on the server that
// is held.
func (r *Relay) looked() uint64 { return r.names.changes + r.x.server.copies.Changes() }

// outdated reports whether what a plan names may be something else by now.
func (r *Relay) outdated(p *plan) bool {
	return p.effects&effects.Names != 0 && len(p.parse) > 0 && p.looked != r.looked()
}

// noRows returns the types of the parameters of the unnamed statement, as a Parse
// message tells them, if it is known to return no rows and PostgreSQL would look
// at something else to describe it: on a server whose unnamed statement is
// another, or where what it executes was not there at its Parse and may be now.
func (n *names) noRows(onServer uint64) (types string, ok bool) {
	u := &n.unnamed
	switch {
	case u.number == 0 || len(n.candidates) > 0 || n.dropping > 0 || len(u.parse) == 0:
		return "", false
	case u.missed:
		_, types, _ := bytes.Cut(u.parse[wire.HeaderSize+1:], []byte{0})
		return string(types), true
	}
	return string(u.types), u.none && len(u.types) > 0 && onServer != u.number
}

// spareOf keeps the buffer of a plan that is over for the next.
func (n *names) spareOf(p *plan) {
	if n.spare == nil && cap(p.parse) <= keepPlan {
		n.spare = p.parse[:0]
	}
}

// latest returns the number of the unnamed statement that was sent last.
func (n *names) latest() uint64 {
	if last := len(n.candidates) - 1; last >= 0 {
		return n.candidates[last].number
	}
	return n.unnamed.number
}

// unnamedOps returns what the unnamed statement does to names when it runs.
func (n *names) unnamedOps() []nameOp {
	if last := len(n.candidates) - 1; last >= 0 {
		return n.candidates[last].ops
	}
	if n.unnamed.number != 0 {
		return n.unnamed.ops
	}
	return nil
}

// stuck reports whether there is an unnamed statement that was too large to
// keep.
func (n *names) stuck() bool { return n.unnamed.number != 0 && len(n.unnamed.parse) == 0 }

// comes reports whether the server is sure to have an unnamed statement of the
// client's by the time it takes up another message of this batch, or skips it.
func (n *names) comes(batch uint32) bool {
	last := len(n.candidates) - 1
	return last >= 0 && (n.candidates[last].batch == batch || slices.ContainsFunc(n.candidates, func(p plan) bool { return p.sure }))
}

// carryUnnamed sees to it that the server's unnamed statement is the client's
// when the client's next message is there.
func (r *Relay) carryUnnamed() (lead []byte, wait bool) {
	n, s := &r.names, r.x.server
	switch last := len(n.candidates) - 1; {
	case last >= 0 && r.outdated(&n.candidates[last]):
		return nil, true
	case last < 0 && n.unnamed.number != 0 && r.outdated(&n.unnamed):
		if !r.x.ledger.empty() {
			return nil, true
		}
		s.unnamed, n.carrying = 0, 0
	}
	switch {
	case n.unnamed.number != 0 && s.unnamed == n.unnamed.number, n.comes(r.x.batch.number):
		return r.x.out[:0], false
	case n.dropping > 0, len(n.candidates) > 0:
		return nil, true
	case n.unnamed.number == 0 || n.stuck():
		return r.x.out[:0], false
	case n.carrying == n.unnamed.number && n.carryBatch == r.x.batch.number:
		return r.x.out[:0], false
	case n.carrying == n.unnamed.number && !r.x.ledger.empty():
		return nil, true
	}
	u := &n.unnamed
	rest := u.parse[wire.HeaderSize+1:] // behind the empty name
	text, types, _ := bytes.Cut(rest, []byte{0})
	if len(u.types) > 0 {
		types = u.types
	}
	if u.effects&effects.Names != 0 {
		t := r.translate(text, false)
		if t.wait {
			return t.lead, true
		}
		lead, text, u.ops, u.looked = t.lead, t.text, t.ops, r.looked()
	}
	st := prepared.Unshared(string(text), prepared.Analysis{
		Effects: u.effects, Types: string(types), Context: u.context, Certain: u.certain,
		Described: len(u.rows) > 0, Rows: len(u.rows) > 0, Columns: prepared.ColumnsOf(u.rows),
	})
	if n.prep != nil && n.prep.number == u.number {
		n.prep.statement = st // it was asked for already
	}
	c := &prepared.Copy{Statement: st, Number: u.number}
	more, made, wait := r.remake(c)
	if made {
		n.carrying, n.carryBatch = u.number, r.x.batch.number
	}
	return append(lead, more...), wait
}

// described takes the description of a statement that we have asked for.
// typ is that of the message.
func (r *Relay) described(n *note, typ byte, body []byte) {
	switch {
	case n == nil:
	case n.draft != nil && typ == wire.ParameterDescription:
		n.draft.Types = string(body)
	case n.draft != nil:
		n.draft.Described, n.draft.Rows = true, typ == wire.RowDescription
		if n.draft.Rows {
			n.draft.Columns = prepared.ColumnsOf(body)
		}
	case n.copy != nil && typ != wire.ParameterDescription:
		st := n.copy.Statement
		if st.Rows != (typ == wire.RowDescription) || st.Rows && prepared.ColumnsOf(body) != st.Columns {
			r.names.changed = append(r.names.changed, n.copy)
			if n.copy.Name != "" {
				r.x.server.copies.Drop(n.copy)
			}
		}
	}
}
