package relay

import (
	"bytes"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/ownsql"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// preparation is what was asked before a statement is made under values that are
// not those of the session.
type preparation struct {
	statement *prepared.Statement
	number    uint64   // of the unnamed statement that it is
	values    wire.Row // of read, as they are
}

// remake returns what makes a copy of a statement on the server that is held.
// If the session's values are not those under which the client prepared it,
// they are asked for first, then changed and changed back around it. If it
// returns rows their description is compared with what the client prepared. Both
// has to be answered before anything runs, which wait says; made says that the
// copy itself is on its way.
func (s *statements) remake(c *prepared.Copy) (prelude []byte, made, wait bool) {
	st := c.Statement
	context, certain := s.state.now()
	equal := st.Effects&effects.Analyzed == 0 || !st.Certain || certain && context == st.Context
	p := s.prep
	if !equal && (p == nil || p.statement != st || p.values == nil) { // not asked, or without success
		p = &preparation{statement: st, number: c.Number}
		s.prep = p
		prelude = s.ex.appendHidden(prelude, ownsql.ReadContext, &note{values: &p.values})
		return prelude, false, true
	}
	s.prep = nil
	prelude = s.ex.appendCloses(prelude)
	if c.Name != "" {
		prelude = s.ex.appendSentinel(prelude)
	}
	if !equal {
		prelude = s.ex.appendHidden(prelude, ownsql.InContext(st.Context), nil)
	}
	s.ex.push(entry{kind: parse, flags: ours, note: &note{copy: c}})
	s.ex.counts.ServerParses++
	prelude = wire.AppendParse(prelude, c.Name, st.Text()+"\x00"+st.Types)
	if st.Described && st.Rows {
		s.ex.push(entry{kind: describe, flags: ours, note: &note{copy: c}})
		prelude = wire.AppendNamed(prelude, wire.Describe, 'S', c.Name)
		wait = true
	}
	if !equal {
		prelude = s.ex.appendHidden(prelude, ownsql.InContext(prepared.ContextOf(p.values)), nil)
		wait = true
	}
	return prelude, true, wait
}

// carryUnnamed sees to it that the server's unnamed statement is the client's
// when the client's next message is there.
func (s *statements) carryUnnamed() (prelude []byte, wait bool) {
	n := &s.unnamed
	switch last := len(n.candidates) - 1; {
	case last >= 0 && s.outdated(&n.candidates[last]):
		return nil, true
	case last < 0 && n.now.number != 0 && s.outdated(&n.now):
		if !s.ex.ledger.empty() {
			return nil, true
		}
		s.ex.server.unnamed, n.carrying = 0, 0
	}
	switch {
	case n.now.number != 0 && s.ex.server.unnamed == n.now.number, n.comes(s.ex.batch.number):
		return s.ex.out[:0], false
	case n.dropping > 0, len(n.candidates) > 0:
		return nil, true
	case n.now.number == 0 || n.stuck():
		return s.ex.out[:0], false
	case n.carrying == n.now.number && n.carryBatch == s.ex.batch.number:
		return s.ex.out[:0], false
	case n.carrying == n.now.number && !s.ex.ledger.empty():
		return nil, true
	}
	u := &n.now
	rest := u.parse[wire.HeaderSize+1:] // behind the empty name
	text, types, _ := bytes.Cut(rest, []byte{0})
	if len(u.types) > 0 {
		types = u.types
	}
	if u.effects&effects.Names != 0 {
		t := s.translate(text, false)
		if t.wait {
			return t.prelude, true
		}
		prelude, text, u.ops, u.namesVersion = t.prelude, t.text, t.ops, s.namesVersion()
	}
	st := prepared.Unshared(string(text), prepared.Analysis{
		Effects: u.effects, Types: string(types), Context: u.context, Certain: u.certain,
		Described: len(u.rows) > 0, Rows: len(u.rows) > 0, Columns: prepared.ColumnsOf(u.rows),
	})
	if s.prep != nil && s.prep.number == u.number {
		s.prep.statement = st // it was asked for already
	}
	c := &prepared.Copy{Statement: st, Number: u.number}
	more, made, wait := s.remake(c)
	if made {
		n.carrying, n.carryBatch = u.number, s.ex.batch.number
	}
	return append(prelude, more...), wait
}

// described takes the description of a statement that we have asked for.
// typ is that of the message.
func (s *statements) described(n *note, typ byte, body []byte) {
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
			s.changed = append(s.changed, n.copy)
			if n.copy.Name != "" {
				s.ex.server.copies.Drop(n.copy)
			}
		}
	}
}

// namesVersion counts what may have changed what a name stands for on the server
// that is held.
func (s *statements) namesVersion() uint64 { return s.names.Changes() + s.ex.server.copies.Changes() }

// outdated reports whether what a plan names may be something else by now.
func (s *statements) outdated(p *plan) bool {
	return p.effects&effects.Names != 0 && len(p.parse) > 0 && p.namesVersion != s.namesVersion()
}
