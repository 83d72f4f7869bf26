package pgmodel

// preparedStmt runs PREPARE, EXECUTE and DEALLOCATE.
func (b *Backend) preparedStmt(p *portal) *Error {
	s := p.plan.stmt
	switch s.kind {
	case kindPrepare:
		prepared, err := b.prepare(s.inner, nil)
		if err != nil {
			return err
		}
		prepared.fromSQL = true
		return b.store(s.name, prepared)
	case kindDeallocateAll:
		clear(b.statements)
	case kindDeallocate:
		if _, err := b.fetch(s.name); err != nil {
			return err
		}
		delete(b.statements, s.name)
	case kindExecute:
		return b.executeStmt(p)
	}
	return nil
}

// executeStmt is ExecuteQuery.
func (b *Backend) executeStmt(p *portal) *Error {
	s := p.plan.stmt
	stored, err := b.fetch(s.name)
	if err != nil {
		return err
	}
	if len(stored.types) > 0 && len(s.args) != len(stored.types) {
		return errorf("42601", "wrong number of parameters for prepared statement %q", s.name)
	}
	args := make([]*string, len(stored.types))
	for i, a := range s.args[:len(args)] {
		if a.param > 0 {
			return errorf("42P02", "there is no parameter $%d", a.param)
		}
		text, err := readText(stored.types[i], a.args[0])
		if err != nil {
			return err
		}
		args[i] = &text
	}
	if err := b.revalidate(stored); err != nil {
		return err
	}
	if stored.stmt == nil {
		return nil
	}
	if err := b.planned(stored.stmt); err != nil {
		return err
	}
	inner := &portal{plan: stored.plan, args: args, columns: stored.columns}
	if stored.stmt.kind == kindSelectTable {
		b.startSelect(inner)
	}
	if err := b.execute(inner, false); err != nil {
		return err
	}
	if inner.bad != nil {
		return inner.bad // its rows are collected before any is sent
	}
	p.rows, p.tag, p.whole = inner.rows, inner.tag, inner.whole
	switch {
	case inner.plan.columns == nil:
		p.whole = true
	case p.strategy == multiQuery:
		p.tag = inner.count(len(inner.rows))
	}
	return nil
}
