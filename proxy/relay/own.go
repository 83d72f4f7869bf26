package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// appendDoomed appends what closes statements that nobody uses any more. What
// the client has sent in this batch may.
func (x *exchange) appendDoomed(dst []byte) []byte {
	if x.batch.open {
		return dst
	}
	for _, name := range x.server.copies.Doomed() {
		dst = wire.AppendNamed(dst, wire.CloseMessage, 'S', name)
		x.push(entry{kind: closing, flags: ours, note: &note{own: name}})
	}
	x.server.copies.CloseDoomed()
	return dst
}

// appendProbe appends what makes the statement by which it is seen later whether
// something has ended all statements.
func (x *exchange) appendProbe(dst []byte) []byte {
	s := x.server
	if s.probe != "" {
		return dst
	}
	s.probe = prepared.NewName()
	x.push(entry{kind: parse, flags: ours | probe})
	return wire.AppendParse(dst, s.probe, "\x00\x00\x00")
}

// appendHidden appends the messages that run one statement which returns a row,
// in the midst of what the client sends, and leave nothing behind.
func (x *exchange) appendHidden(dst []byte, sql string, n *note) []byte {
	name := prepared.NewName()
	dst = wire.AppendParse(dst, name, sql+"\x00\x00\x00")
	at := len(dst)
	dst = append(dst, wire.Bind, 0, 0, 0, 0)
	dst = append(append(append(append(dst, name...), 0), name...), 0, 0, 0, 0, 0, 0, 0)
	wire.PutLength(dst[at:])
	at = len(dst)
	dst = append(dst, wire.Execute, 0, 0, 0, 0)
	dst = append(append(dst, name...), 0, 0, 0, 0, 0)
	wire.PutLength(dst[at:])
	dst = wire.AppendNamed(wire.AppendNamed(dst, wire.CloseMessage, 'P', name), wire.CloseMessage, 'S', name)
	for _, k := range []kind{parse, bind, execute, closing, closing} {
		e := entry{kind: k, flags: ours}
		if k == execute {
			e.note = n
		}
		x.push(e)
	}
	return dst
}
