package relay

import (
	"bytes"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// statements are what the client has prepared, as the server that is held has
// it: it translates names, and makes there what is missing.
type statements struct {
	cfg     *Config
	ex      *exchange
	state   *sessionState
	life    *life
	names   names.Names
	unnamed unnamedStatement
	portals names.Portals
	prep    *preparation
	changed []*prepared.Copy  // whose columns are not what the client prepared
	made    map[string]string // statements that name others, made for the text that is translated
	depth   int               // of statements that execute each other
}

// attach notes that another server is held.
func (s *statements) attach() {
	s.prep, s.changed, s.unnamed.carrying = nil, nil, 0
	s.portals.Clear()
	s.portals.Plan = 0
}

// detach notes that the server is no longer held: what it owes never comes.
func (s *statements) detach() {
	for !s.ex.ledger.empty() {
		e := s.ex.ledger.pop()
		s.skip(&e)
	}
	if s.cfg.Shared {
		s.names.LeaveServer()
	}
}

// noteBind notes what a statement may do that is about to run.
func (s *statements) noteBind(noPortal bool, seen effects.Set) {
	s.portals.NoteEffects(noPortal, seen&effects.Noted)
	if seen&effects.Noted == 0 {
		return
	}
	s.state.noteEffects(seen)
	if seen&(effects.Unseen|effects.Dotted) != 0 && s.cfg.Shared {
		s.ex.server.params.Unlisted = true // of this server too, not only of that where it was prepared
	}
}

// bindPortal remembers portals whose execution does something to names.
func (s *statements) bindPortal(portal, own []byte, nm *names.Name) {
	var ops []names.Op
	switch {
	case nm != nil:
		ops = nm.Ops
	case len(own) == 0:
		ops = s.unnamed.ops()
	}
	s.portals.Bind(portal, ops)
}

// holdsFor returns what keeps the client on its server beyond its transaction.
func (s *statements) holdsFor() effects.Set {
	if !s.cfg.Shared {
		return 0
	}
	why := s.state.pins
	if s.unnamed.stuck() || s.names.Bound() > 0 {
		why |= effects.LargeStatement
	}
	if s.names.BySQL() > 0 {
		why |= effects.Prepare
	}
	return why
}

// parsed takes the answer to the last message that was sent for a draft: from
// now on its name stands for a statement.
func (s *statements) parsed(d *draft) {
	nm := d.name
	if !d.parsed || s.life.left {
		s.undo(d)
		return
	}
	if d.values != nil {
		d.Context, d.Certain = prepared.ContextOf(d.values), true
	}
	st := s.cfg.Statements.Intern(s.cfg.User, &d.Draft)
	s.names.MadeBySQL(nm, false)
	nm.Statement, nm.Kept, nm.Ops, nm.Made = st, d.Kept, d.ops, d.made
	nm.Sent, nm.Since = d.sent, prepared.Now()
	if !d.Kept {
		s.names.Bind(nm)
	}
	s.ex.server.copies.Add(&prepared.Copy{Statement: st, Name: d.server, Confirmed: true, Sent: d.sent}, s.cfg.MaxCopies)
	s.names.Settle(nm)
}

// undo takes back what was done for a draft that came to nothing.
func (s *statements) undo(d *draft) {
	if d.Kept {
		d.Kept = false
		s.names.Free(prepared.Size(d.Text))
	}
	s.names.Settle(d.name)
}

// noteRows remembers how the rows of the unnamed statement were described to the
// client.
func (s *statements) noteRows(typ byte, body []byte, size int) {
	u := &s.unnamed.now
	u.none = typ == wire.NoData
	if u.rows = u.rows[:0]; typ == wire.RowDescription && len(body) == size {
		u.rows = append(u.rows, body...)
	}
}

// over takes a message of the extended-query protocol that has had its effect.
func (s *statements) over(e entry) {
	switch e.kind {
	case parse:
		switch {
		case e.is(unnamed):
			s.unnamed.confirm()
			s.ex.server.unnamed = s.unnamed.now.number
		case e.note == nil:
		case e.note.draft != nil:
			e.note.draft.parsed = true
			if !e.is(final) {
				s.names.Settle(e.name)
			}
		case e.note.copy != nil:
			c := e.note.copy
			c.Confirmed = true
			if c.Name == "" {
				s.ex.server.unnamed, s.unnamed.carrying = c.Number, 0
			} else if known := s.ex.server.copies.Find(c.Statement); known != c && known != nil {
				s.ex.server.copies.CloseLater(c.Name)
			}
		}
	case closing:
		switch {
		case e.is(unnamed):
			s.unnamed.dropping--
			s.unnamed.now.number, s.ex.server.unnamed = 0, 0
		case e.name != nil:
			s.names.Clear(e.name)
			s.names.Settle(e.name)
		}
	}
	if e.is(final) {
		s.parsed(e.note.draft)
	}
}

// aborted takes a message of the extended-query protocol that has failed.
func (s *statements) aborted(e *entry) {
	switch {
	case e.kind == parse && e.is(unnamed): // which ends the one before, too
		s.unnamed.drop()
		s.unnamed.now.number, s.ex.server.unnamed = 0, 0
	case e.kind == parse && e.note != nil && e.note.copy != nil && e.note.copy.Name == "":
		s.ex.server.unnamed, s.unnamed.carrying = 0, 0
	default:
		s.skip(e)
	}
}

// skip undoes what was noted for a message that has no effect.
func (s *statements) skip(e *entry) {
	switch {
	case e.kind == query && e.is(dropsPlan) && !e.is(begun):
		s.unnamed.dropping--
	case e.kind == parse && e.is(unnamed):
		s.unnamed.spareOf(&s.unnamed.candidates[0])
		s.unnamed.drop()
	case e.kind == parse && e.is(checksSentinel) && s.ex.server != nil:
		s.ex.server.sentinel = ""
	case e.kind == closing && e.is(unnamed):
		s.unnamed.dropping--
	case e.kind == closing && e.name != nil:
		e.name.Leaving = false
		s.names.Settle(e.name)
	case e.kind == closing && e.is(ours) && e.note != nil && e.note.own != "" && s.ex.server != nil:
		s.ex.server.copies.CloseLater(e.note.own)
	}
	if e.note == nil {
		return
	}
	if e.note.draft != nil {
		if e.kind == parse && !e.is(final) {
			s.names.Settle(e.name)
		}
		if e.is(final) {
			s.parsed(e.note.draft)
		}
	}
	if c := e.note.copy; c != nil && s.ex.server != nil {
		if c.Name == "" {
			s.unnamed.carrying = 0
		} else if c.Confirmed {
			s.ex.server.copies.Drop(c)
		} else {
			s.ex.server.copies.Forget(c)
		}
	}
}

// namesCopy reports whether an error names a statement that the server is thought
// to have.
func (s *statements) namesCopy(body []byte) bool {
	at := bytes.Index(body, []byte(prepared.Prefix))
	return at >= 0 && s.ex.server.copies.BeginsWithOne(body[at:])
}
