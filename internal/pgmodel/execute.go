package pgmodel

import (
	"strconv"
)

// execute runs a portal's statement for the first time and leaves its rows and
// tag in the portal.
func (b *Backend) execute(p *portal, top bool) (err *Error) {
	s := p.plan.stmt
	p.tag = s.tag
	switch s.kind {
	case kindSelect:
		row := make([][]byte, len(s.items))
		for i, e := range s.items {
			if row[i], err = b.evaluate(p, i, e); err != nil {
				return err
			}
		}
		p.rows = [][][]byte{row}
	case kindSelectTable:
	case kindSelectSeries:
		b.series(p)
	case kindInsert:
		return b.insertRow(p)
	case kindExtra:
		return b.extra(p)
	default:
		if s.isTransaction() {
			p.tag, err = b.transactionStmt(s)
			return err
		}
		return b.utility(p, top)
	}
	return nil
}

// startSelect takes the snapshot of SELECT a FROM t.
func (b *Backend) startSelect(p *portal) {
	p.rows = b.visible(p.plan.table)
	if p.plan.stmt.count {
		p.rows = [][][]byte{{[]byte(strconv.Itoa(len(p.rows)))}}
	}
}

func (b *Backend) series(p *portal) {
	s := p.plan.stmt
	for g := 1; g <= s.n; g++ {
		if g == s.bad {
			p.bad = errorf("22012", "division by zero")
			return
		}
		v := g
		if s.bad > 0 {
			v = 1 / (s.bad - g)
		}
		p.rows = append(p.rows, [][]byte{strconv.AppendInt(nil, int64(v), 10)})
	}
}

func (b *Backend) insertRow(p *portal) *Error {
	s, t := p.plan.stmt, p.plan.table
	var v []byte
	e := s.args[0]
	switch {
	case e.param == 0:
		v = []byte(e.args[0])
	case p.args[e.param-1] != nil:
		v = []byte(*p.args[e.param-1])
	}
	b.insert(t, v)
	p.tag = "INSERT 0"
	if s.returning {
		p.rows = [][][]byte{{v}}
	} else {
		p.tag = "INSERT 0 1"
	}
	return nil
}

func (b *Backend) extra(p *portal) *Error {
	args := make([]string, len(p.args))
	for i, a := range p.args {
		if a != nil {
			args[i] = *a
		}
	}
	r, ok := b.cluster.Extra(b, p.plan.stmt.text, args)
	if !ok {
		return errorf("42601", "syntax error in %q", p.plan.stmt.text)
	}
	if r.Err != nil {
		return errorf(r.Err.Code, "%s", r.Err.Message)
	}
	if p.describe && r.Columns != nil && p.columns == nil {
		b.rowDescription(r.Columns, nil)
	}
	p.columns, p.rows, p.tag, p.whole = r.Columns, r.Rows, r.Tag, r.Tag != ""
	if r.Columns == nil {
		p.strategy = multiQuery
	}
	if p.tag == "" {
		p.tag = "SELECT"
	}
	return nil
}

// evaluate is one item of a SELECT.
func (b *Backend) evaluate(p *portal, i int, e expr) ([]byte, *Error) {
	switch {
	case e.param > 0:
		if v := p.args[e.param-1]; v != nil {
			return []byte(*v), nil
		}
		return nil, nil
	case e.fn == "":
		if e.typ == typeBool {
			return []byte(e.args[0][:1]), nil
		}
		return []byte(e.args[0]), nil
	case e.fn == "epoch":
		return []byte(p.plan.folded[i]), nil
	}
	return b.call(e.fn, e.args)
}

// call is a function. An empty value is what void functions return.
func (b *Backend) call(fn string, args []string) ([]byte, *Error) {
	switch fn {
	case "current_user":
		if role := b.settings["role"].text; role != "none" {
			return []byte(role), nil
		}
		return []byte(b.settings["session_authorization"].text), nil
	case "set_config":
		if err := b.change(args[0], args[1], args[2] == "true"); err != nil {
			return nil, err
		}
		s, _ := b.setting(args[0], false)
		return []byte(s.text), nil
	case "current_setting":
		s, err := b.setting(args[0], false)
		switch {
		case err == nil:
			return []byte(s.text), nil
		case len(args) > 1 && args[1] == "true":
			return nil, nil
		}
		return nil, err
	case "pg_advisory_lock", "pg_advisory_xact_lock":
		b.lockAdvisory(args[0], fn == "pg_advisory_xact_lock")
	case "pg_advisory_unlock":
		n, _ := strconv.ParseInt(args[0], 10, 64)
		if !b.unlockAdvisory(n, false) {
			b.warn("01000", "you don't own a lock of type ExclusiveLock")
			return []byte("f"), nil
		}
		b.cluster.released = true
		return []byte("t"), nil
	case "pg_advisory_unlock_all":
		b.unlockAll()
	case "pg_notify":
		b.queue(args[0], args[1])
	}
	return []byte{}, nil
}

// utility is ProcessUtility without transaction commands.
func (b *Backend) utility(p *portal, top bool) (err *Error) {
	s := p.plan.stmt
	p.whole = true
	switch s.kind {
	case kindSet, kindReset:
		return b.setStmt(s, top)
	case kindResetAll:
		b.resetAll()
	case kindShow:
		set, err := b.setting(s.name, false)
		if err != nil {
			return err
		}
		p.rows = [][][]byte{{[]byte(set.text)}}
	case kindDiscardAll:
		return b.discardAll(top)
	case kindDiscardPlans:
		b.planResets++
	case kindDiscardTemp:
		b.discardTemp()
	case kindListen, kindUnlisten:
		b.listen(s)
	case kindNotify:
		b.queue(s.name, s.value)
	case kindDo:
		return b.runInner(s.inner)
	case kindCreate:
		return b.createTable(s.name, s.temp, s.dropAtCommit)
	case kindDrop:
		return b.dropTable(s)
	case kindAlter:
		return b.alterTable(s)
	case kindTruncate:
		return b.truncate(s)
	case kindCopyIn:
		return b.startCopyIn(p)
	case kindCopyOut:
		return b.copyOut(p)
	case kindDeclare, kindFetch, kindClose:
		return b.cursorStmt(p, top)
	default:
		return b.preparedStmt(p)
	}
	return nil
}

func (b *Backend) setStmt(s *stmt, top bool) *Error {
	if s.local && top && b.block == blockStarted {
		b.warn("25P01", "SET LOCAL can only be used in transaction blocks")
	}
	if s.name == "session_authorization" {
		return b.setUser(s)
	}
	if s.kind == kindReset || s.isDefault {
		return b.resetOne(s.name, s.local)
	}
	return b.change(s.name, s.value, s.local)
}

func (b *Backend) discardAll(top bool) *Error {
	if !top {
		return errorf("25001", "DISCARD ALL cannot be executed from a function")
	}
	if err := b.requireTopLevel("DISCARD ALL"); err != nil {
		return err
	}
	clear(b.portals)
	b.resetAll()
	if err := b.setUser(&stmt{kind: kindReset}); err != nil {
		return err
	}
	clear(b.statements)
	b.listen(&stmt{kind: kindUnlisten})
	b.unlockAll()
	b.planResets++
	b.discardTemp()
	return nil
}

func (b *Backend) discardTemp() {
	temp := b.temp
	b.temp = map[string]*table{}
	b.undo(func() { b.temp = temp })
}

// runInner runs a statement within another one, for its effect.
func (b *Backend) runInner(s *stmt) *Error {
	plan, err := b.analyze(s, nil)
	if err != nil {
		return err
	}
	if err := b.planned(s); err != nil {
		return err
	}
	return b.execute(&portal{plan: plan, columns: plan.columns}, false)
}
