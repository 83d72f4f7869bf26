package relay

import "github.com/pgseal/pgseal/internal/wire"

// onDescribe takes a Describe, which is whole.
func (r *Relay) onDescribe(m []byte) edit {
	if !r.cfg.Shared || len(m) < wire.HeaderSize+2 || m[wire.HeaderSize] != 'S' || m[len(m)-1] != 0 {
		e := entry{kind: describe}
		if len(m) == wire.HeaderSize+2 && m[wire.HeaderSize] == 'P' {
			e.plan = r.stmts.portals.plan
		}
		if len(r.stmts.portals.ops) > 0 && len(m) >= wire.HeaderSize+2 {
			if e.note = r.stmts.executes(r.stmts.portals.ops[string(m[wire.HeaderSize+1:len(m)-1])], "", false); e.note != nil {
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
		nm = r.stmts.names.lookUp(own)
	}
	lead, server, n, wait := r.stmts.resolve(own, nm, describe)
	if wait {
		return edit{out: lead, wait: true}
	}
	if c := r.stmts.namesLost(own, nm); c != nil && n == nil {
		n, server = c, r.cfg.nobody
	}
	if n == nil && len(own) > maxName {
		n = &note{own: string(own)}
	}
	e := entry{kind: describe, note: n, name: nm}
	if len(own) == 0 {
		e.plan = r.stmts.unnamed.latest()
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
