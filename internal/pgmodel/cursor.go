package pgmodel

import "strconv"

// cursorStmt runs DECLARE, FETCH and CLOSE.
func (b *Backend) cursorStmt(p *portal, top bool) *Error {
	s := p.plan.stmt
	switch {
	case s.kind == kindDeclare:
		if !s.hold && top && b.block == blockStarted {
			return errorf("25P01", "DECLARE CURSOR can only be used in transaction blocks")
		}
		plan, err := b.analyze(s.inner, nil)
		if err != nil {
			return err
		}
		if err := b.planned(s.inner); err != nil {
			return err
		}
		cursor, err := b.createPortal(s.name)
		if err != nil {
			return err
		}
		if err := b.startPortal(cursor, plan); err != nil {
			return err
		}
		cursor.hold = s.hold
		return nil
	case s.all:
		for name, other := range b.portals {
			if other != p {
				delete(b.portals, name)
			}
		}
		return nil
	}
	cursor := b.portals[s.name]
	if cursor == nil {
		return errorf("34000", "cursor %q does not exist", s.name)
	}
	if s.kind == kindClose {
		if cursor == p {
			return errorf("24000", "cannot drop active portal %q", s.name)
		}
		b.dropPortal(s.name, cursor)
		return nil
	}
	return b.fetchStmt(p, cursor)
}

func (b *Backend) fetchStmt(p, cursor *portal) *Error {
	if cursor.failed || cursor.done || cursor == p {
		return errorf("55000", "portal %q cannot be run", cursor.name)
	}
	if cursor.strategy == multiQuery {
		return errorf("XX000", "unsupported portal strategy")
	}
	if !cursor.run {
		if err := b.execute(cursor, false); err != nil {
			cursor.failed = true
			return err
		}
		cursor.run = true
	}
	var err *Error
	if p.rows, err = cursor.take(p.plan.stmt.n); err != nil {
		cursor.failed = true
		return err
	}
	p.whole = p.strategy == multiQuery
	if p.whole {
		p.tag += " " + strconv.Itoa(len(p.rows))
	}
	return nil
}
