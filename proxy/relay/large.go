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
func (r *Relay) onLargeParse(m []byte, size int) (e edit, more bool) {
	end := bytes.IndexByte(m[wire.HeaderSize:], 0)
	switch {
	case end < 0 && len(m) < wholeMessage:
		return edit{}, true
	case end < 0:
		return edit{err: violation("invalid message format")}, false
	}
	own := m[wire.HeaderSize : wire.HeaderSize+end]
	head := wire.HeaderSize + end + 1
	r.in.large = nil
	if !r.cfg.Shared {
		r.scanLarge(wire.Parse)
		r.x.push(entry{kind: parse})
		return edit{out: append(r.x.out[:0], m[:head]...), cut: head}, false
	}
	server := ""
	if len(own) == 0 {
		r.stmts.unnamed.candidates = append(r.stmts.unnamed.candidates, plan{number: prepared.NextNumber(), effects: effects.Unseen})
		r.x.push(entry{kind: parse, flags: unnamed})
	} else {
		nm := r.stmts.names.lookUp(own)
		if nm != nil && nm.leaving || nm.stands() {
			if !r.x.ledger.empty() || nm.leaving {
				return edit{wait: true}, false
			}
			return edit{err: errLargeTwice}, false
		}
		nm = r.stmts.names.enter(string(own))
		nm.server, nm.may = prepared.NewName(), effects.Unseen
		nm.open++
		d := &draft{name: nm, server: nm.server}
		d.Private, d.Certain, d.Effects = prepared.NextNumber(), true, effects.Unseen
		r.in.large = d
		server = nm.server
		r.x.push(entry{kind: parse, flags: final, name: nm, note: &note{draft: d}})
	}
	r.x.counts.ServerParses++
	r.scanLarge(wire.Parse)
	r.scanner.Feed(nil)
	out := append(append(append(r.x.out[:0], m[:wire.HeaderSize]...), server...), 0)
	binary.BigEndian.PutUint32(out[1:], uint32(4+size+len(server)-len(own)))
	return edit{out: out, cut: head}, false
}

var errLargeTwice = wire.Fatal(wire.CodeDuplicateStatement, "prepared statement already exists, and its text is too large to be looked at")

// scanLarge begins to look at a text that passes in pieces.
func (r *Relay) scanLarge(typ byte) {
	r.in.do, r.in.typ = scanIt, typ
	r.scanner.Reset()
}

// scanMore looks at a piece of text. At the end of the text what was seen takes
// effect.
func (r *Relay) scanMore(b []byte, n int, piece []byte) (st Step, ended bool) {
	text := cString(piece)
	r.scanner.Feed(text)
	if len(text) == len(piece) && r.in.left > 0 {
		return st, false
	}
	r.in.do = passOn
	seen := r.state.strictly(effects.OfLarge(r.scanner.Effects()))
	if e := r.state.refuses(seen); e != nil {
		r.in.left++ // its last byte is withheld, so PostgreSQL will never run it
		r.x.doubt = true
		last := *e
		last.Severity = "FATAL"
		return Step{Used: n, Pass: b[:n-1], Verdict: Failed, Err: &last}, true
	}
	if r.in.typ == wire.Query {
		if seen&(effects.Carried|effects.Unseen) != 0 && r.cfg.Shared { // whose names were not read
			r.x.server.params.Unlisted = true
			r.state.pin(effects.UnknownState)
		}
		r.state.heed(seen)
		return st, false
	}
	if seen&(effects.Carried|effects.Unseen) != 0 && r.cfg.Shared {
		r.x.server.params.Unlisted = true
		r.state.pin(effects.UnknownState)
	}
	switch d := r.in.large; {
	case !r.cfg.Shared:
		r.stmts.unnamed.now.effects |= seen
	case d != nil:
		d.Effects, d.name.may = seen, seen
	case len(r.stmts.unnamed.candidates) > 0:
		r.stmts.unnamed.candidates[len(r.stmts.unnamed.candidates)-1].effects = seen
	}
	r.in.large = nil
	return st, false
}
