package pgmodel

import (
	"strconv"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
	"github.com/pgseal/pgseal/internal/wire"
)

// utility is ProcessUtility without transaction commands.
func (ex *executor) utility(p *portal, top bool) (err *Error) {
	s, session := p.plan.stmt, ex.session
	x := session.xact.current
	p.whole = true
	switch s.Kind {
	case parser.Set, parser.Reset:
		return ex.set(s, top)
	case parser.ResetAll:
		session.settings.resetAll(session.xact.nestLevel())
	case parser.Show:
		text, err := session.settings.show(s.Name)
		if err != nil {
			return err
		}
		p.rows = [][][]byte{{[]byte(text)}}
	case parser.DiscardAll:
		return ex.discardAll(top)
	case parser.DiscardPlans:
		ex.planner.reset()
	case parser.DiscardTemp:
		session.names.discardTemp(x)
	case parser.Listen:
		session.async.listen(x, s.Name)
	case parser.Unlisten:
		session.async.unlisten(x, s.Name)
	case parser.Notify:
		x.notify(s.Name, s.Value)
	case parser.Do:
		return ex.do(p)
	case parser.Create, parser.Drop, parser.Alter, parser.Truncate:
		return ex.define(s)
	case parser.CopyIn:
		return ex.copyIn(p)
	case parser.CopyOut:
		return ex.copyOut(p)
	case parser.Declare:
		return ex.declare(s, top)
	case parser.Fetch:
		return ex.fetch(p)
	case parser.Close:
		return ex.close(p)
	case parser.Prepare:
		return ex.prepare(s)
	case parser.Execute:
		return ex.executePrepared(p)
	case parser.Deallocate:
		if _, err := session.statements.fetch(s.Name); err != nil {
			return err
		}
		session.statements.drop(s.Name)
	case parser.DeallocateAll:
		session.statements.dropAll()
	}
	return nil
}

// set runs SET and RESET.
func (ex *executor) set(s *parser.Stmt, top bool) *Error {
	xact, settings := &ex.session.xact, &ex.session.settings
	if s.Local && top && xact.block == blockStarted {
		ex.out.warn("25P01", "SET LOCAL can only be used in transaction blocks")
	}
	level := xact.nestLevel()
	toDefault := s.Kind == parser.Reset || s.IsDefault
	switch user := s.Name == "session_authorization"; {
	case user && toDefault:
		return settings.resetUser(level, s.Local)
	case user:
		return settings.setUser(level, s.Value, s.Local)
	case toDefault:
		return settings.reset(level, s.Name, s.Local)
	}
	return settings.set(level, s.Name, s.Value, s.Local)
}

func (ex *executor) discardAll(top bool) *Error {
	if !top {
		return errorf("25001", "DISCARD ALL cannot be executed from a function")
	}
	session := ex.session
	if err := session.xact.requireTopLevel("DISCARD ALL"); err != nil {
		return err
	}
	x, level := session.xact.current, session.xact.nestLevel()
	clear(session.portals)
	session.settings.resetAll(level)
	if err := session.settings.resetUser(level, false); err != nil {
		return err
	}
	session.statements.dropAll()
	session.async.unlisten(x, "")
	session.locks.unlockAll(&session.proc)
	ex.planner.reset()
	session.names.discardTemp(x)
	return nil
}

// do runs a statement within another one, for its effect.
func (ex *executor) do(p *portal) *Error {
	plan, err := ex.planner.planNow(p.plan.stmt.Inner)
	if err != nil {
		return err
	}
	inner := &portal{plan: plan, columns: plan.columns}
	err = ex.execute(inner, false)
	p.copying = inner.copying
	return err
}

// define runs DDL.
func (ex *executor) define(s *parser.Stmt) *Error {
	x, names := ex.session.xact.current, &ex.session.names
	switch s.Kind {
	case parser.Create:
		if s.Temp {
			return names.createTemp(x, s.Name, s.DropAtCommit)
		}
		return names.create(x, s.Name)
	case parser.Drop:
		return ex.drop(s)
	}
	t, err := names.open(x, s.Name, true)
	if err != nil {
		return err
	}
	if err := ex.session.portals.checkNotInUse(t); err != nil {
		return err
	}
	if s.Kind == parser.Alter {
		t.setType(x, typeByName[s.Type])
	} else {
		t.truncate(x)
	}
	return nil
}

// drop is DROP TABLE.
func (ex *executor) drop(s *parser.Stmt) *Error {
	x, names := ex.session.xact.current, &ex.session.names
	t := names.find(x, s.Name)
	switch {
	case t == nil && s.IfExists:
		ex.out.notice(wire.NoticeResponse, "NOTICE", errorf("00000", "table %q does not exist, skipping", s.Name))
		return nil
	case t == nil:
		return errorf("42P01", "table %q does not exist", s.Name)
	case names.temp[s.Name] != t:
		t.lock(x, true)
	}
	if err := ex.session.portals.checkNotInUse(t); err != nil {
		return err
	}
	names.drop(x, t)
	return nil
}

// declare is DECLARE CURSOR.
func (ex *executor) declare(s *parser.Stmt, top bool) *Error {
	xact := &ex.session.xact
	if !s.Hold && top && xact.block == blockStarted {
		return errorf("25P01", "DECLARE CURSOR can only be used in transaction blocks")
	}
	plan, err := ex.planner.planNow(s.Inner)
	if err != nil {
		return err
	}
	cursor, err := ex.session.portals.create(s.Name, xact.nestLevel())
	if err != nil {
		return err
	}
	if err := ex.start(cursor, plan); err != nil {
		return err
	}
	cursor.hold = s.Hold
	return nil
}

// close is CLOSE, of a cursor or of all.
func (ex *executor) close(p *portal) *Error {
	s, portals := p.plan.stmt, ex.session.portals
	if s.All {
		portals.dropOthers(p)
		return nil
	}
	cursor, err := portals.cursor(s.Name)
	switch {
	case err != nil:
		return err
	case cursor == p:
		return errorf("24000", "cannot drop active portal %q", s.Name)
	}
	portals.drop(cursor)
	return nil
}

func (ex *executor) fetch(p *portal) *Error {
	cursor, err := ex.session.portals.cursor(p.plan.stmt.Name)
	switch {
	case err != nil:
		return err
	case cursor.failed || cursor.done || cursor == p:
		return errorf("55000", "portal %q cannot be run", cursor.name)
	case cursor.strategy == multiQuery:
		return errorf("XX000", "unsupported portal strategy")
	}
	if !cursor.run {
		if err := ex.execute(cursor, false); err != nil {
			cursor.failed = true
			return err
		}
		cursor.run = true
	}
	if p.rows, err = cursor.take(p.plan.stmt.N); err != nil {
		cursor.failed = true
		return err
	}
	p.whole = p.strategy == multiQuery
	if p.whole {
		p.tag += " " + strconv.Itoa(len(p.rows))
	}
	return nil
}

// prepare is PREPARE.
func (ex *executor) prepare(s *parser.Stmt) *Error {
	prepared, err := ex.planner.prepare(s.Inner, nil)
	if err != nil {
		return err
	}
	prepared.fromSQL = true
	return ex.session.statements.store(s.Name, prepared)
}

// executePrepared is EXECUTE.
func (ex *executor) executePrepared(p *portal) *Error {
	s := p.plan.stmt
	stored, err := ex.session.statements.fetch(s.Name)
	if err != nil {
		return err
	}
	if len(stored.types) > 0 && len(s.Args) != len(stored.types) {
		return errorf("42601", "wrong number of parameters for prepared statement %q", s.Name)
	}
	args := make([]*string, len(stored.types))
	for i, a := range s.Args[:len(args)] {
		if a.Kind == parser.Param {
			return errorf("42P02", "there is no parameter $%d", a.Param)
		}
		text, err := readText(stored.types[i], a.Value)
		if err != nil {
			return err
		}
		args[i] = &text
	}
	if err := ex.planner.revalidate(stored); err != nil {
		return err
	}
	if stored.stmt == nil {
		return nil
	}
	if err := fold(stored.stmt); err != nil {
		return err
	}
	inner := &portal{plan: stored.plan, args: args, columns: stored.columns}
	if stored.stmt.Kind == parser.SelectTable {
		ex.snapshot(inner)
	}
	if err := ex.execute(inner, false); err != nil {
		return err
	}
	if inner.bad != nil {
		return inner.bad // its rows are collected before any is sent
	}
	p.rows, p.tag, p.whole, p.copying = inner.rows, inner.tag, inner.whole, inner.copying
	switch {
	case inner.plan.columns == nil:
		p.whole = true
	case p.strategy == multiQuery:
		p.tag = inner.count(len(inner.rows))
	}
	return nil
}
