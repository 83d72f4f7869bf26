package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// appendCloses appends what closes statements that are no longer used. Within a
// batch it appends nothing: what the client has sent in it may still use them.
func (x *exchange) appendCloses(dst []byte) []byte {
	if x.batch.open {
		return dst
	}
	for _, name := range x.server.copies.ToClose() {
		dst = wire.AppendNamed(dst, wire.CloseMessage, 'S', name)
		x.push(entry{kind: closing, flags: ours, note: &note{own: name}})
	}
	x.server.copies.Closing()
	return dst
}

// appendSentinel appends what makes the statement whose absence shows later that
// something has deallocated all statements.
func (x *exchange) appendSentinel(dst []byte) []byte {
	s := x.server
	if s.sentinel != "" {
		return dst
	}
	s.sentinel = prepared.NewName()
	x.push(entry{kind: parse, flags: ours | checksSentinel})
	return wire.AppendParse(dst, s.sentinel, "\x00\x00\x00")
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
