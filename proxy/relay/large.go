package relay

import (
	"bytes"
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// onLargeParse takes a Parse whose text is too large to be gathered: it passes
// as it comes, and its statement can be had on this server only.
func (q *requests) onLargeParse(m []byte, size int) (e edit, more bool) {
	end := bytes.IndexByte(m[wire.HeaderSize:], 0)
	switch {
	case end < 0 && len(m) < wholeMessage:
		return edit{}, true
	case end < 0:
		return edit{err: violation("invalid message format")}, false
	}
	own := m[wire.HeaderSize : wire.HeaderSize+end]
	head := wire.HeaderSize + end + 1
	q.large = nil
	if !q.cfg.Shared {
		q.scanLarge(wire.Parse)
		q.ex.push(entry{kind: parse})
		return edit{out: append(q.ex.out[:0], m[:head]...), cut: head}, false
	}
	server := ""
	if len(own) == 0 {
		q.stmts.unnamed.candidates = append(q.stmts.unnamed.candidates, plan{number: prepared.NextNumber(), effects: effects.Unseen})
		q.ex.push(entry{kind: parse, flags: unnamed})
	} else {
		nm := q.stmts.names.LookUp(own)
		if nm != nil && nm.Leaving || nm.Stands() {
			if !q.ex.ledger.empty() || nm.Leaving {
				return edit{wait: true}, false
			}
			return edit{err: alreadyExists(own)}, false
		}
		nm = q.stmts.names.Enter(string(own))
		nm.Server, nm.May = prepared.NewName(), effects.Unseen
		nm.Open++
		d := &draft{name: nm, server: nm.Server}
		d.Private, d.Certain, d.Effects = prepared.NextNumber(), true, effects.Unseen
		q.large = d
		server = nm.Server
		q.ex.push(entry{kind: parse, flags: final, name: nm, note: &note{draft: d}})
	}
	q.ex.counts.ServerParses++
	q.scanLarge(wire.Parse)
	q.scanner.Feed(nil)
	out := append(append(append(q.ex.out[:0], m[:wire.HeaderSize]...), server...), 0)
	binary.BigEndian.PutUint32(out[1:], uint32(4+size+len(server)-len(own)))
	return edit{out: out, cut: head}, false
}

func alreadyExists(name []byte) *wire.Error {
	return wire.Fatal(wire.CodeDuplicateStatement, `prepared statement "`+string(name)+`" already exists`)
}

// scanLarge begins to look at a text that passes in pieces.
func (q *requests) scanLarge(typ byte) {
	q.scanning, q.scanned = true, typ
	q.scanner.Reset()
}

// scanMore looks at a piece of text, which may be the last of its message. At the
// end of the text what was seen takes effect, unless it is refused.
func (q *requests) scanMore(piece []byte, last bool) *wire.Error {
	text := cString(piece)
	q.scanner.Feed(text)
	if len(text) == len(piece) && !last {
		return nil
	}
	q.scanning = false
	seen := q.state.strictly(effects.OfLarge(q.scanner.Effects()))
	if e := q.state.rejects(seen); e != nil {
		fatal := *e
		fatal.Severity = "FATAL"
		return &fatal
	}
	if seen&(effects.Carried|effects.Unseen) != 0 && q.cfg.Shared { // whose names were not read
		q.ex.server.params.Unlisted = true
		q.state.pin(effects.UnknownState)
	}
	if q.scanned == wire.Query {
		q.state.noteEffects(seen)
		return nil
	}
	switch d := q.large; {
	case !q.cfg.Shared:
		q.stmts.unnamed.now.effects |= seen
	case d != nil:
		d.Effects, d.name.May = seen, seen
	case len(q.stmts.unnamed.candidates) > 0:
		q.stmts.unnamed.candidates[len(q.stmts.unnamed.candidates)-1].effects = seen
	}
	q.large = nil
	return nil
}
