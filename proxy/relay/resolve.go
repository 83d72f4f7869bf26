package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// effectsOf returns the effects of whatever a client's name may stand for.
func (r *Relay) effectsOf(own []byte, nm *name) effects.Set {
	if len(own) > 0 {
		return nm.effects()
	}
	var seen effects.Set
	if r.names.unnamed.number != 0 {
		seen = r.names.unnamed.effects
	}
	for i := range r.names.candidates {
		seen |= r.names.candidates[i].effects
	}
	return seen
}

// resolve returns the name on the server of what a client's name stands for, and
// what has to go in front of the message that uses it, a Bind or Describe, or be
// answered before.
func (r *Relay) resolve(own []byte, nm *name, by kind) (lead []byte, server string, n *note, wait bool) {
	switch {
	case len(own) == 0:
		if n := r.changed(own, nil); n != nil {
			switch lost := r.namesLost(own, nil); {
			case lost == nil || lost.changed:
				return r.x.out[:0], r.cfg.nobody, n, false
			case by == describe:
				return r.x.out[:0], r.cfg.nobody, lost, false
			}
			return r.x.out[:0], "", nil, false // PostgreSQL notices when it runs
		}
		if types, ok := r.names.noRows(r.x.server.unnamed); ok && by == describe {
			return r.standIn(types)
		}
		lead, wait = r.carryUnnamed()
		return lead, "", nil, wait
	case !nm.stands():
		return r.x.out[:0], r.cfg.nobody, &note{own: string(own)}, false
	case nm.leaving:
		return nil, "", nil, true
	case nm.open > 0 && nm.may&effects.Names != 0:
		return nil, "", nil, true // what it names is looked up when it runs
	case nm.open > 0 || nm.sql:
		return r.x.out[:0], nm.server, nil, false
	}
	if n := r.changed(own, nm.st); n != nil {
		return r.x.out[:0], r.cfg.nobody, n, false
	}
	renamed := nm.st.Effects&effects.Names != 0 && nm.kept
	if c := r.x.server.findFor(nm); !renamed && c != nil && (c.Confirmed || c.Batch == r.x.batch.number) {
		r.x.server.copies.Use(c)
		return r.x.out[:0], c.Name, nil, false
	}
	if by == describe && nm.st.Described && !nm.st.Rows {
		return r.standIn(nm.st.Types)
	}
	if !renamed && !nm.kept { // and the server that had it is gone
		return r.x.out[:0], r.cfg.nobody, &note{own: string(own)}, false
	}
	if r.x.ledger.readies > 0 {
		return nil, "", nil, true // whether a transaction has failed is not known before
	}
	if r.x.status == wire.StatusFailed && !r.x.batch.runs && by == bind && nm.st.Effects&effects.Exits == 0 {
		// Nothing can be analysed now, and nothing of it would run: what there is
		// to say of the message depends on its parameters only.
		return r.standIn(nm.st.Types)
	}
	if renamed {
		return r.rename(nm)
	}
	c := &prepared.Copy{Statement: nm.st, Name: prepared.NewName(), Batch: r.x.batch.number, Sent: prepared.Now()}
	lead, made, wait := r.remake(c)
	if made {
		// A text that executes several needs them all at once, and is tried again
		// for each: the limit makes room for one more each time.
		r.x.server.copies.Add(c, r.cfg.MaxCopies+r.in.waited)
	}
	return lead, c.Name, nil, wait
}

// standIn makes a statement of nothing with the same parameters, for a message
// whose answer depends on those alone: a Describe of a statement without rows,
// which PostgreSQL does not read anew for it whatever became of its tables, or
// one that will fail.
func (r *Relay) standIn(types string) (lead []byte, server string, n *note, wait bool) {
	lead = r.x.appendDoomed(nil)
	server = prepared.NewName()
	r.x.push(entry{kind: parse, flags: ours})
	r.x.server.copies.Doom(server)
	return wire.AppendParse(lead, server, "\x00"+types), server, nil, false
}

// rename makes a statement that names others once more: what they are on the
// server may have changed since.
func (r *Relay) rename(nm *name) (lead []byte, server string, n *note, wait bool) {
	if nm.making != "" { // it executes itself
		return nil, nm.making, nil, false
	}
	if server := r.names.made[nm.own]; server != "" { // it was made for the text that this is about
		return nil, server, nil, false
	}
	if r.names.depth++; r.names.depth > maxDepth {
		r.names.depth--
		return nil, r.cfg.nobody, &note{own: nm.own}, false
	}
	lead = r.x.appendDoomed(nil)
	server = prepared.NewName()
	nm.making = server
	t := r.translate([]byte(nm.st.Text()), false)
	lead = append(lead, t.lead...)
	nm.making = ""
	r.names.depth--
	if t.wait {
		return lead, "", nil, true
	}
	nm.ops = t.ops
	if r.names.made != nil {
		r.names.made[nm.own] = server
	}
	r.heedBind(false, t.effects)
	r.x.push(entry{kind: parse, name: nm, flags: ours, note: &note{shifts: t.shifts}})
	r.x.server.copies.Doom(server)
	return wire.AppendParse(lead, server, string(t.text)+"\x00"+nm.st.Types), server, nil, false
}

// maxDepth is how many statements may execute each other.
const maxDepth = 100

// changed returns the note of a message that has to fail since the columns of
// its statement, nil for the unnamed one, have changed, or nil.
func (r *Relay) changed(own []byte, st *prepared.Statement) *note {
	for _, c := range r.names.changed {
		if st == nil && c.Name == "" || st != nil && c.Statement == st {
			return &note{own: string(own), changed: true, types: c.Statement.Types}
		}
	}
	return nil
}
