package pgmodel

import (
	"strconv"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
	"github.com/pgseal/pgseal/internal/wire"
)

func (b *Backend) parseMessage(f *fields) *Error {
	name, text := parser.TruncateIdentifier(f.text()), f.text()
	types := make([]uint32, f.count())
	for i := range types {
		types[i] = uint32(f.int32())
	}
	list, parseErr := b.cluster.parse(text)
	if parseErr == nil && len(list) == 1 && b.mustWait(list[0], atParse) {
		return nil
	}
	if err := b.session.xact.startCommand(); err != nil {
		return err
	}
	if name == "" {
		b.session.statements.drop("")
	}
	if parseErr != nil {
		return parseErr
	}
	p := &prepared{types: types} // an empty text keeps those that it was given
	switch len(list) {
	case 0:
	case 1:
		if b.session.xact.aborted() && !list[0].IsTransactionExit() {
			return errAborted()
		}
		var err *Error
		if p, err = b.planner.prepare(list[0], types); err != nil {
			return err
		}
	default:
		return errorf("42601", "cannot insert multiple commands into a prepared statement")
	}
	if err := b.session.statements.store(name, p); err != nil {
		return err
	}
	b.session.xact.current.nextCommand()
	b.out.empty(wire.ParseComplete)
	return nil
}

func (b *Backend) bindMessage(f *fields) *Error {
	portalName, name := parser.TruncateIdentifier(f.text()), f.text()
	formats := f.formats()
	args := make([][]byte, f.count())
	for i := range args {
		if n := f.int32(); n >= 0 {
			args[i] = append([]byte{}, f.take(n)...)
		}
	}
	results := f.formats()
	p, err := b.session.statements.fetch(name)
	if err != nil {
		return err
	}
	if b.mustWait(p.stmt, atBind) {
		return nil
	}
	if err := b.session.xact.startCommand(); err != nil {
		return err
	}
	if len(formats) > 1 && len(formats) != len(args) || len(args) != len(p.types) {
		return errorf("08P01", "bind message supplies %d parameters, but prepared statement %q requires %d", len(args), name, len(p.types))
	}
	if b.session.xact.aborted() && (!p.stmt.IsTransactionExit() || len(args) != 0) {
		return errAborted()
	}
	portal, err := b.session.portals.create(portalName, b.session.xact.nestLevel())
	if err != nil {
		return err
	}
	texts := make([]*string, len(args))
	for i, a := range args {
		if a == nil {
			continue
		}
		text, err := readText(p.types[i], string(a))
		if err != nil {
			return err
		}
		texts[i] = &text
	}
	if err := b.planner.revalidate(p); err != nil {
		return err
	}
	if p.stmt != nil {
		if err := fold(p.stmt); err != nil {
			return err
		}
		portal.args, portal.formats = texts, results
		if err := b.executor.start(portal, p.plan); err != nil {
			return err
		}
	}
	b.out.empty(wire.BindComplete)
	return nil
}

func (b *Backend) describeMessage(what byte, name string) *Error {
	if what != 'S' && what != 'P' {
		return errorf("08P01", "invalid DESCRIBE message subtype %d", what)
	}
	if b.mustWait(b.described(what, name), atDescribe) {
		return nil
	}
	if err := b.session.xact.startCommand(); err != nil {
		return err
	}
	if what == 'S' {
		return b.describeStatement(name)
	}
	p := b.session.portals[parser.TruncateIdentifier(name)]
	if p == nil {
		return errorf("34000", "portal %q does not exist", name)
	}
	if b.session.xact.aborted() && p.columns != nil {
		return errAborted()
	}
	return b.describe(p.plan.stmt, p.columns, p.formats)
}

// described is the statement whose result a Describe has to look up, if any.
func (b *Backend) described(what byte, name string) *parser.Stmt {
	if what == 'P' {
		if p := b.session.portals[parser.TruncateIdentifier(name)]; p != nil && p.columns != nil && p.plan.stmt.Kind == parser.Execute {
			return p.plan.stmt
		}
	} else if p, err := b.session.statements.fetch(name); err == nil && p.columns != nil {
		return p.stmt
	}
	return nil
}

func (b *Backend) describeStatement(name string) *Error {
	p, err := b.session.statements.fetch(name)
	if err != nil {
		return err
	}
	if b.session.xact.aborted() && p.columns != nil {
		return errAborted()
	}
	b.out.parameterDescription(p.types)
	if p.columns != nil {
		if err := b.planner.revalidate(p); err != nil {
			return err
		}
	}
	return b.describe(p.stmt, p.columns, nil)
}

// describe sends what is known of a result. For that of EXECUTE, the statement
// that it runs is looked at again.
func (b *Backend) describe(s *parser.Stmt, columns []Column, formats []int16) *Error {
	if columns == nil {
		b.out.empty(wire.NoData)
		return nil
	}
	if s.Kind == parser.Execute {
		p, err := b.session.statements.fetch(s.Name)
		if err != nil {
			return err
		}
		if err := b.planner.revalidate(p); err != nil {
			return err
		}
	}
	if s.Kind == parser.Fetch && b.session.portals[s.Name] == nil {
		b.exit() // PostgreSQL 15 and 18 follow a null pointer here
		return nil
	}
	b.out.rowDescription(columns, formats)
	return nil
}

func (b *Backend) executeMessage(f *fields) *Error {
	name, limit := parser.TruncateIdentifier(f.text()), f.int32()
	p := b.session.portals[name]
	if p == nil {
		return errorf("34000", "portal %q does not exist", name)
	}
	if p.plan == &emptyPlan {
		b.out.empty(wire.EmptyQueryResponse)
		return nil
	}
	if b.mustWait(p.plan.stmt, atExecute) {
		return nil
	}
	if err := b.session.xact.startCommand(); err != nil {
		return err
	}
	if b.session.xact.aborted() && (p.released || !p.plan.stmt.IsTransactionExit()) {
		return errAborted()
	}
	if limit <= 0 {
		limit = -1
	}
	tag, done, err := b.executor.run(p, limit)
	if b.copying, p.copying = p.copying, nil; err != nil || b.copying != nil {
		return err
	}
	b.finishExecute(p, tag, done)
	return nil
}

// finishExecute ends an Execute that went well.
func (b *Backend) finishExecute(p *portal, tag string, done bool) {
	switch {
	case !done:
		b.out.empty(wire.PortalSuspended)
		b.session.xact.pipelining = true
		return
	case p.plan.stmt.IsTransaction() || b.session.xact.immediate:
		b.session.xact.immediate = false
		b.finishXact()
	default:
		b.session.xact.current.nextCommand()
		b.session.xact.pipelining = true
	}
	b.out.complete(tag)
}

func (b *Backend) closeMessage(what byte, name string) *Error {
	switch {
	case what == 'S':
		b.session.statements.drop(name)
	case what == 'P':
		delete(b.session.portals, parser.TruncateIdentifier(name))
	default:
		return errorf("08P01", "invalid CLOSE message subtype %d", what)
	}
	b.out.empty(wire.CloseComplete)
	return nil
}

// functionCall knows int4pl, with its arguments as text.
func (b *Backend) functionCall(f *fields) *Error {
	if err := b.session.xact.startCommand(); err != nil {
		return err
	}
	if b.session.xact.aborted() {
		return errAborted()
	}
	oid := f.int32()
	if oid != 177 {
		return errorf("42883", "function with OID %d does not exist", oid)
	}
	f.formats()
	sum := 0
	for range f.count() {
		n, _ := strconv.Atoi(string(f.take(f.int32())))
		sum += n
	}
	b.out.functionResult(strconv.Itoa(sum))
	return nil
}
