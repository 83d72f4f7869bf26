package relay

import (
	"bytes"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// onDescribe takes a Describe, which is whole.
func (r *Relay) onDescribe(m []byte) edit {
	if !r.cfg.Shared || len(m) < wire.HeaderSize+2 || m[wire.HeaderSize] != 'S' || m[len(m)-1] != 0 {
		e := entry{kind: describe}
		if len(m) == wire.HeaderSize+2 && m[wire.HeaderSize] == 'P' {
			e.plan = r.x.plan
		}
		if len(r.names.portals) > 0 && len(m) >= wire.HeaderSize+2 {
			if e.note = r.executes(r.names.portals[string(m[wire.HeaderSize+1:len(m)-1])], "", false); e.note != nil {
				r.x.push(e)
				return whole(m, wire.AppendNamed(r.x.out[:0], wire.Describe, 'S', r.cfg.nobody))
			}
		}
		r.x.push(e)
		return edit{}
	}
	own := m[wire.HeaderSize+1 : len(m)-1]
	var nm *name
	if len(own) > 0 {
		nm = r.names.lookUp(own)
	}
	lead, server, n, wait := r.resolve(own, nm, describe)
	if wait {
		return edit{out: lead, wait: true}
	}
	if c := r.namesLost(own, nm); c != nil && n == nil {
		n, server = c, r.cfg.nobody
	}
	if n == nil && len(own) > maxName {
		n = &note{own: string(own)}
	}
	e := entry{kind: describe, note: n, name: nm}
	if len(own) == 0 {
		e.plan = r.names.latest()
	}
	r.x.push(e)
	out := wire.AppendNamed(lead, wire.Describe, 'S', server)
	if r.x.server.copies.CloseLast(server) {
		// It was made for this message: a batch of many must not pile them up.
		r.x.push(entry{kind: closing, flags: ours, note: &note{own: server}})
		out = wire.AppendNamed(out, wire.CloseMessage, 'S', server)
	}
	return whole(m, out)
}

// namesLost returns the note of a Describe of a statement with rows that executes
// one which is gone, or whose columns have changed, or nil: PostgreSQL tells of
// its parameters, and then notices.
func (r *Relay) namesLost(own []byte, nm *name) *note {
	u := &r.names.unnamed
	switch {
	case len(own) == 0 && len(r.names.candidates) == 0 && !u.none:
		if ops := r.names.unnamedOps(); len(ops) > 0 {
			_, types, _ := bytes.Cut(u.parse[wire.HeaderSize+1:], []byte{0})
			return r.executes(ops, string(types), len(u.rows) > 0)
		}
	case nm != nil && nm.st != nil && nm.open == 0 && nm.st.Rows:
		return r.executes(nm.ops, nm.st.Types, true)
	}
	return nil
}

// executes returns the note of a message about a statement that executes one
// whose columns have changed, or, if gone counts, one that is gone; or nil.
func (r *Relay) executes(ops []nameOp, types string, gone bool) *note {
	for _, op := range ops {
		if op.verb == effects.Execute && (op.changed || gone && op.server == r.cfg.nobody) {
			return &note{own: op.own, changed: op.changed, types: types}
		}
	}
	return nil
}
