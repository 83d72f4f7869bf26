package relay

import (
	"bytes"
	"strings"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// shift is a place in a text that was rewritten.
type shift struct{ at, by int }

// translation is a text with the names of servers in it.
type translation struct {
	effects effects.Set // of the statements of the protocol that it executes
	text    []byte
	prelude []byte // goes in front of it
	wait    bool   // prelude has to be answered before
	changed string // what stands for a statement whose columns have changed
	ends    bool   // it may end a transaction, or its failure
	ops     []names.Op
	shifts  []shift
}

// translate puts the names that statements have on the server in the place of a
// client's. ends says that the text may end a transaction, or its failure.
func (s *statements) translate(text []byte, ends bool) (t translation) {
	t.ends = ends
	if s.made == nil {
		s.made = map[string]string{}
		defer func() { s.made = nil }()
	}
	local := map[string]string{} // what earlier statements of the text made of names
	done := 0
	for _, ref := range sqlscan.NameRefs(text, nil) {
		own, verb := ref.Name, effects.Set(ref.Verb)
		server, known := local[own]
		if !known {
			server, t.wait = s.serverName(&t, verb, own)
			if t.wait {
				return t
			}
			if server != "" && server == t.changed {
				local[own] = server
			}
		}
		switch verb {
		case effects.Prepare:
			if server == "" {
				server = prepared.NewName()
			}
			local[own] = server
		case effects.Deallocate:
			if server != "" {
				local[own] = ""
			}
		case effects.Execute:
			s.makes(local, own)
		}
		if server == "" {
			server = s.cfg.absentName
		}
		t.ops = append(t.ops, names.Op{Statement: ref.Statement, Own: own, Verb: verb, Server: server, Changed: server == t.changed})
		t.text = append(append(append(t.text, text[done:ref.Start]...), ' '), server...)
		t.shifts = append(t.shifts, shift{len(t.text), len(server) + 1 - (ref.End - ref.Start)})
		done = ref.End
	}
	t.text = append(t.text, text[done:]...)
	return t
}

// makes notes what the statement of a name makes of names when it is executed.
func (s *statements) makes(local map[string]string, own string) {
	if nm := s.names.Get(own); nm != nil {
		s.names.Reach(nm.Ops, func(op *names.Op) {
			switch op.Verb {
			case effects.Prepare:
				local[op.Own] = op.Server
			case effects.Deallocate:
				local[op.Own] = ""
			}
		})
	}
}

// serverName returns what a name of the client's is on the server, empty for
// nothing, for a statement of SQL that does this to it. It may take something in
// front, and even that this is answered first.
func (s *statements) serverName(t *translation, verb effects.Set, own string) (server string, wait bool) {
	nm := s.names.Get(own)
	switch {
	case nm != nil && nm.Making != "":
		return nm.Making, false
	case !nm.Stands():
		return "", false
	case nm.Leaving:
		return "", true
	case nm.SQL || nm.Open > 0:
		if verb == effects.Execute {
			t.effects |= nm.Effects()
		}
		return nm.Server, false
	case verb == effects.Execute && t.ends && s.ex.status == wire.StatusFailed && s.ex.server.findFor(nm) == nil:
		return "", false // it can't be made before the transaction has ended, nor behind that
	case verb == effects.Execute:
		prelude, server, n, wait := s.resolve([]byte(own), nm, bind)
		t.prelude = append(t.prelude, prelude...)
		if n != nil && n.changed {
			server = prepared.NewName()
			t.changed = server
		}
		t.effects |= nm.Effects()
		// It may fail, and what names the statement shall not be tried then.
		wait = wait || len(prelude) > 0 && nm.Statement.Effects&effects.Names == 0 && s.ex.status != wire.StatusFailed
		return server, wait
	}
	// DEALLOCATE and PREPARE get one that is there for them alone: the server's
	// copy may be others' too.
	server = prepared.NewName()
	t.prelude = wire.AppendParse(s.ex.appendCloses(t.prelude), server, "\x00\x00\x00")
	s.ex.push(entry{kind: parse, flags: ours})
	if verb == effects.Prepare {
		s.ex.server.copies.CloseLater(server)
	}
	return server, false
}

// complete takes the completion of a statement of a text that names others.
func (s *statements) complete(n *note) {
	for ; n.next < len(n.ops) && n.ops[n.next].Statement <= n.over; n.next++ {
		if n.ops[n.next].Statement == n.over {
			s.names.Reach(n.ops[n.next:n.next+1], s.did)
		}
	}
	n.over++
}

// did takes what a statement has done to a name.
func (s *statements) did(op *names.Op) {
	switch op.Verb {
	case effects.Prepare:
		nm := s.names.Enter(op.Own)
		s.names.MadeBySQL(nm, true)
		nm.Server, nm.Made = op.Server, s.ex.ledger.pushed
	case effects.Deallocate:
		s.ex.server.copies.ForgetName(op.Server) // it may have become the copy of others, too
		if nm := s.names.Get(op.Own); nm != nil {
			s.names.Clear(nm)
		}
	}
}

// ownName returns what the client calls the statement that the server knows by a
// name. e is what it was sent for last.
func (s *statements) ownName(server string, e *entry) (own string, ok bool) {
	if e != nil {
		switch {
		case e.note != nil && e.note.own != "":
			return e.note.own, true
		case e.name != nil:
			return e.name.Own, true
		}
		if e.note != nil {
			if own, ok := s.names.NamedBy(e.note.ops, server); ok {
				return own, true
			}
		}
	}
	for _, nm := range s.names.All() {
		if nm.Server == server && (nm.SQL || nm.Open > 0) {
			return nm.Own, true
		}
		if nm.Statement != nil && s.ex.server != nil {
			if c := s.ex.server.copies.Find(nm.Statement); c != nil && c.Name == server {
				return nm.Own, true
			}
		}
	}
	return "", false
}

// reword returns an ErrorResponse in the client's own terms: with its names of
// statements, and positions in the text as it sent it. It returns m if there
// is nothing to change.
func (s *statements) reword(m []byte, e *entry) []byte {
	var shifts []shift
	if e != nil && e.note != nil {
		shifts = e.note.shifts
	}
	if !bytes.Contains(m, []byte(prepared.Prefix)) && len(shifts) == 0 {
		return m
	}
	out := append([]byte(nil), m[:wire.HeaderSize]...)
	wire.ErrorFields(m[wire.HeaderSize:], func(field byte, value []byte) {
		text := s.ownWords(string(value), e)
		if field == 'P' {
			text = unshift(text, shifts)
		}
		out = append(append(append(out, field), text...), 0)
	})
	out = append(out, 0)
	wire.PutLength(out)
	return out
}

// ownWords returns a text with the client's names in the place of servers'.
func (s *statements) ownWords(text string, e *entry) string {
	at := strings.Index(text, prepared.Prefix)
	if at < 0 {
		return text
	}
	end := at + len(prepared.Prefix)
	for end < len(text) && (text[end] >= 'a' && text[end] <= 'z' || text[end] >= '0' && text[end] <= '9') {
		end++
	}
	own, ok := s.ownName(text[at:end], e)
	if !ok {
		return text[:end] + s.ownWords(text[end:], e)
	}
	return text[:at] + own + s.ownWords(text[end:], e)
}
