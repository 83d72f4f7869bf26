package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/names"
)

// onDescribe takes a Describe, which is whole.
func (q *requests) onDescribe(m []byte) edit {
	if !q.cfg.Shared || len(m) < wire.HeaderSize+2 || m[wire.HeaderSize] != 'S' || m[len(m)-1] != 0 {
		e := entry{kind: describe}
		if len(m) == wire.HeaderSize+2 && m[wire.HeaderSize] == 'P' {
			e.plan = q.stmts.portals.plan
		}
		if len(q.stmts.portals.ops) > 0 && len(m) >= wire.HeaderSize+2 {
			if e.note = q.stmts.executes(q.stmts.portals.ops[string(m[wire.HeaderSize+1:len(m)-1])], "", false); e.note != nil {
				q.ex.push(e)
				return whole(m, wire.AppendNamed(q.ex.out[:0], wire.Describe, 'S', q.cfg.nobody))
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
	lead, server, n, wait := q.stmts.resolve(own, nm, describe)
	if wait {
		return edit{out: lead, wait: true}
	}
	if c := q.stmts.namesLost(own, nm); c != nil && n == nil {
		n, server = c, q.cfg.nobody
	}
	if n == nil && len(own) > names.MaxName {
		n = &note{own: string(own)}
	}
	e := entry{kind: describe, note: n, name: nm}
	if len(own) == 0 {
		e.plan = q.stmts.unnamed.latest()
	}
	q.ex.push(e)
	out := wire.AppendNamed(lead, wire.Describe, 'S', server)
	if q.ex.server.copies.CloseLast(server) {
		// It was made for this message: a batch of many must not pile them up.
		q.ex.push(entry{kind: closing, flags: ours, note: &note{own: server}})
		out = wire.AppendNamed(out, wire.CloseMessage, 'S', server)
	}
	return whole(m, out)
}
