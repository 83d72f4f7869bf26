package relay

import (
	"bytes"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// effectsOf returns the effects of whatever a client's name may stand for.
func (s *statements) effectsOf(own []byte, nm *names.Name) effects.Set {
	if len(own) > 0 {
		return nm.Effects()
	}
	var seen effects.Set
	if s.unnamed.now.number != 0 {
		seen = s.unnamed.now.effects
	}
	for i := range s.unnamed.candidates {
		seen |= s.unnamed.candidates[i].effects
	}
	return seen
}

// resolve returns the name on the server of what a client's name stands for, and
// what has to go in front of the message that uses it, a Bind or Describe, or be
// answered before.
func (s *statements) resolve(own []byte, nm *names.Name, by kind) (prelude []byte, server string, n *note, wait bool) {
	switch {
	case len(own) == 0:
		if n := s.columnsChanged(own, nil); n != nil {
			switch lost := s.namesLost(own, nil); {
			case lost == nil || lost.changed:
				return s.ex.out[:0], s.cfg.absentName, n, false
			case by == describe:
				return s.ex.out[:0], s.cfg.absentName, lost, false
			}
			return s.ex.out[:0], "", nil, false // PostgreSQL notices when it runs
		}
		if types, ok := s.unnamed.noRows(s.ex.server.unnamed); ok && by == describe {
			return s.standIn(types)
		}
		prelude, wait = s.carryUnnamed()
		return prelude, "", nil, wait
	case !nm.Stands():
		return s.ex.out[:0], s.cfg.absentName, &note{own: string(own)}, false
	case nm.Leaving:
		return nil, "", nil, true
	case nm.Open > 0 && nm.May&effects.Names != 0:
		return nil, "", nil, true // what it names is looked up when it runs
	case nm.Open > 0 || nm.SQL:
		return s.ex.out[:0], nm.Server, nil, false
	}
	if n := s.columnsChanged(own, nm.Statement); n != nil {
		return s.ex.out[:0], s.cfg.absentName, n, false
	}
	renamed := nm.Statement.Effects&effects.Names != 0 && nm.Kept
	if c := s.ex.server.findFor(nm); !renamed && c != nil && (c.Confirmed || c.Batch == s.ex.batch.number) {
		s.ex.server.copies.Use(c)
		return s.ex.out[:0], c.Name, nil, false
	}
	if by == describe && nm.Statement.Described && !nm.Statement.Rows {
		return s.standIn(nm.Statement.Types)
	}
	if !renamed && !nm.Kept { // and the server that had it is gone
		return s.ex.out[:0], s.cfg.absentName, &note{own: string(own)}, false
	}
	if s.ex.ledger.readies > 0 {
		return nil, "", nil, true // whether a transaction has failed is not known before
	}
	if s.ex.status == wire.StatusFailed && !s.ex.batch.runs && by == bind && nm.Statement.Effects&effects.Exits == 0 {
		// Nothing can be analysed now, and nothing of it would run: what there is
		// to say of the message depends on its parameters only.
		return s.standIn(nm.Statement.Types)
	}
	if renamed {
		return s.rename(nm)
	}
	c := &prepared.Copy{Statement: nm.Statement, Name: prepared.NewName(), Batch: s.ex.batch.number, Sent: prepared.Now()}
	prelude, made, wait := s.remake(c)
	if made {
		// A text that executes several needs them all at once, and is tried again
		// for each: the limit makes room for one more each time.
		s.ex.server.copies.Add(c, s.cfg.MaxCopies+s.ex.waiting.times)
	}
	return prelude, c.Name, nil, wait
}

// standIn makes a statement of nothing with the same parameters, for a message
// whose answer depends on those alone: a Describe of a statement without rows,
// which PostgreSQL does not read anew for it whatever became of its tables, or
// one that will fail.
func (s *statements) standIn(types string) (prelude []byte, server string, n *note, wait bool) {
	prelude = s.ex.appendCloses(nil)
	server = prepared.NewName()
	s.ex.push(entry{kind: parse, flags: ours})
	s.ex.server.copies.CloseLater(server)
	return wire.AppendParse(prelude, server, "\x00"+types), server, nil, false
}

// rename makes a statement that names others once more: what they are on the
// server may have changed since.
func (s *statements) rename(nm *names.Name) (prelude []byte, server string, n *note, wait bool) {
	if nm.Making != "" { // it executes itself
		return nil, nm.Making, nil, false
	}
	if server := s.made[nm.Own]; server != "" { // it was made for the text that this is about
		return nil, server, nil, false
	}
	if s.depth++; s.depth > names.MaxDepth {
		s.depth--
		return nil, s.cfg.absentName, &note{own: nm.Own}, false
	}
	prelude = s.ex.appendCloses(nil)
	server = prepared.NewName()
	nm.Making = server
	t := s.translate([]byte(nm.Statement.Text()), false)
	prelude = append(prelude, t.prelude...)
	nm.Making = ""
	s.depth--
	if t.wait {
		return prelude, "", nil, true
	}
	nm.Ops = t.ops
	if s.made != nil {
		s.made[nm.Own] = server
	}
	s.noteBind(false, t.effects)
	s.ex.push(entry{kind: parse, name: nm, flags: ours, note: &note{shifts: t.shifts}})
	s.ex.server.copies.CloseLater(server)
	return wire.AppendParse(prelude, server, string(t.text)+"\x00"+nm.Statement.Types), server, nil, false
}

// columnsChanged returns the note of a message that has to fail since the columns of
// its statement, nil for the unnamed one, have changed, or nil.
func (s *statements) columnsChanged(own []byte, st *prepared.Statement) *note {
	for _, c := range s.changed {
		if st == nil && c.Name == "" || st != nil && c.Statement == st {
			return &note{own: string(own), changed: true, types: c.Statement.Types}
		}
	}
	return nil
}

// namesLost returns the note of a Describe of a statement with rows that executes
// one which is gone, or whose columns have changed, or nil: PostgreSQL tells of
// its parameters, and then notices.
func (s *statements) namesLost(own []byte, nm *names.Name) *note {
	u := &s.unnamed.now
	switch {
	case len(own) == 0 && len(s.unnamed.candidates) == 0 && !u.none:
		if ops := s.unnamed.ops(); len(ops) > 0 {
			_, types, _ := bytes.Cut(u.parse[wire.HeaderSize+1:], []byte{0})
			return s.executes(ops, string(types), len(u.rows) > 0)
		}
	case nm != nil && nm.Statement != nil && nm.Open == 0 && nm.Statement.Rows:
		return s.executes(nm.Ops, nm.Statement.Types, true)
	}
	return nil
}

// executes returns the note of a message about a statement that executes one
// whose columns have changed, or, if gone counts, one that is gone; or nil.
func (s *statements) executes(ops []names.Op, types string, gone bool) *note {
	for _, op := range ops {
		if op.Verb == effects.Execute && (op.Changed || gone && op.Server == s.cfg.absentName) {
			return &note{own: op.Own, changed: op.Changed, types: types}
		}
	}
	return nil
}
