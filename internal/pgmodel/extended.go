package pgmodel

import (
	"slices"
	"strconv"

	"github.com/pgseal/pgseal/internal/wire"
)

// prepared is a statement that Parse or PREPARE has stored. stmt is nil for an
// empty text.
type prepared struct {
	stmt    *stmt
	types   []uint32
	columns []Column // as they were first, nil for none
	plan    *plan
	fromSQL bool // by PREPARE
}

func (b *Backend) parseMessage(f *fields) *Error {
	name, text := key(f.text()), f.text()
	types := make([]uint32, f.count())
	for i := range types {
		types[i] = uint32(f.int32())
	}
	list, parseErr := b.cluster.parse(text)
	if parseErr == nil && len(list) == 1 && b.mustWait(list[0], atParse) {
		return nil
	}
	if err := b.startXact(); err != nil {
		return err
	}
	if name == "" {
		b.unnamed = nil
	}
	if parseErr != nil {
		return parseErr
	}
	p := &prepared{types: types} // an empty text keeps those that it was given
	switch len(list) {
	case 0:
	case 1:
		if b.aborted() && !list[0].isExit() {
			return errAborted()
		}
		var err *Error
		if p, err = b.prepare(list[0], types); err != nil {
			return err
		}
	default:
		return errorf("42601", "cannot insert multiple commands into a prepared statement")
	}
	if name == "" {
		b.unnamed = p
	} else if err := b.store(name, p); err != nil {
		return err
	}
	b.nextCommand()
	b.empty(wire.ParseComplete)
	return nil
}

// prepare analyzes a statement for later use.
func (b *Backend) prepare(s *stmt, types []uint32) (*prepared, *Error) {
	if s.kind == kindShow {
		if _, err := b.setting(s.name, false); err != nil {
			return nil, err
		}
	}
	plan, err := b.analyze(s, types)
	if err != nil {
		return nil, err
	}
	return &prepared{stmt: s, types: plan.types, columns: plan.columns, plan: plan}, nil
}

// store is StorePreparedStatement.
func (b *Backend) store(name string, p *prepared) *Error {
	if b.statements[name] != nil {
		return errorf("42P05", "prepared statement %q already exists", name)
	}
	b.statements[name] = p
	return nil
}

// fetch is FetchPreparedStatement, for the unnamed one too.
func (b *Backend) fetch(name string) (*prepared, *Error) {
	p := b.unnamed
	if name != "" {
		p = b.statements[key(name)]
	}
	if p == nil {
		return nil, errorf("26000", "prepared statement %q does not exist", name)
	}
	return p, nil
}

// revalidate is RevalidateCachedQuery: the plan is made again where something
// has changed.
func (b *Backend) revalidate(p *prepared) *Error {
	if p.stmt == nil || p.stmt.isUtility() && p.stmt.kind != kindDeclare {
		return nil // of utility commands, the model analyzes DECLARE CURSOR only
	}
	if p.stmt.kind == kindSelect && p.plan.environment == b.environment() {
		return nil
	}
	plan, err := b.analyze(p.stmt, p.types)
	if err != nil {
		return err
	}
	if !slices.Equal(plan.columns, p.columns) {
		return &Error{Code: "0A000", Message: "cached plan must not change result type", Routine: "RevalidateCachedQuery"}
	}
	p.plan = plan
	return nil
}

func (b *Backend) bindMessage(f *fields) *Error {
	portalName, name := key(f.text()), f.text()
	formats := f.formats()
	args := make([][]byte, f.count())
	for i := range args {
		if n := f.int32(); n >= 0 {
			args[i] = append([]byte{}, f.take(n)...)
		}
	}
	results := f.formats()
	p, err := b.fetch(name)
	if err != nil {
		return err
	}
	if b.mustWait(p.stmt, atBind) {
		return nil
	}
	if err := b.startXact(); err != nil {
		return err
	}
	if len(formats) > 1 && len(formats) != len(args) || len(args) != len(p.types) {
		return errorf("08P01", "bind message supplies %d parameters, but prepared statement %q requires %d", len(args), name, len(p.types))
	}
	if b.aborted() && (!p.stmt.isExit() || len(args) != 0) {
		return errAborted()
	}
	portal, err := b.createPortal(portalName)
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
	if err := b.revalidate(p); err != nil {
		return err
	}
	if p.stmt != nil {
		if err := b.planned(p.stmt); err != nil {
			return err
		}
		portal.args, portal.formats = texts, results
		if err := b.startPortal(portal, p.plan); err != nil {
			return err
		}
	}
	b.empty(wire.BindComplete)
	return nil
}

func (f *fields) formats() []int16 {
	list := make([]int16, f.count())
	for i := range list {
		list[i] = int16(f.int16())
	}
	return list
}

func (b *Backend) describeMessage(what byte, name string) *Error {
	if what != 'S' && what != 'P' {
		return errorf("08P01", "invalid DESCRIBE message subtype %d", what)
	}
	if b.mustWait(b.described(what, name), atDescribe) {
		return nil
	}
	if err := b.startXact(); err != nil {
		return err
	}
	if what == 'S' {
		return b.describeStatement(name)
	}
	p := b.portals[key(name)]
	if p == nil {
		return errorf("34000", "portal %q does not exist", name)
	}
	if b.aborted() && p.columns != nil {
		return errAborted()
	}
	return b.describe(p.plan.stmt, p.columns, p.formats)
}

// described is the statement whose result a Describe has to look up, if any.
func (b *Backend) described(what byte, name string) *stmt {
	if what == 'P' {
		if p := b.portals[key(name)]; p != nil && p.columns != nil && p.plan.stmt.kind == kindExecute {
			return p.plan.stmt
		}
	} else if p, err := b.fetch(name); err == nil && p.columns != nil {
		return p.stmt
	}
	return nil
}

func (b *Backend) describeStatement(name string) *Error {
	p, err := b.fetch(name)
	if err != nil {
		return err
	}
	if b.aborted() && p.columns != nil {
		return errAborted()
	}
	at := b.begin(wire.ParameterDescription)
	b.uint16(len(p.types))
	for _, t := range p.types {
		b.uint32(t)
	}
	b.end(at)
	if p.columns != nil {
		if err := b.revalidate(p); err != nil {
			return err
		}
	}
	return b.describe(p.stmt, p.columns, nil)
}

// describe sends what is known of a result. For that of EXECUTE, the statement
// that it runs is looked at again.
func (b *Backend) describe(s *stmt, columns []Column, formats []int16) *Error {
	if columns == nil {
		b.empty(wire.NoData)
		return nil
	}
	if s.kind == kindExecute {
		p, err := b.fetch(s.name)
		if err != nil {
			return err
		}
		if err := b.revalidate(p); err != nil {
			return err
		}
	}
	if s.kind == kindFetch && b.portals[s.name] == nil {
		b.exit() // PostgreSQL 15 and 18 follow a null pointer here
		return nil
	}
	b.rowDescription(columns, formats)
	return nil
}

func (b *Backend) executeMessage(f *fields) *Error {
	name, limit := key(f.text()), f.int32()
	p := b.portals[name]
	if p == nil {
		return errorf("34000", "portal %q does not exist", name)
	}
	if p.plan == &emptyPlan {
		b.empty(wire.EmptyQueryResponse)
		return nil
	}
	if b.mustWait(p.plan.stmt, atExecute) {
		return nil
	}
	if err := b.startXact(); err != nil {
		return err
	}
	if b.aborted() && (p.released || !p.plan.stmt.isExit()) {
		return errAborted()
	}
	if limit <= 0 {
		limit = -1
	}
	tag, done, err := b.runPortal(p, limit)
	if err != nil || b.copying != nil {
		return err
	}
	b.finishExecute(p, tag, done)
	return nil
}

// finishExecute ends an Execute that went well.
func (b *Backend) finishExecute(p *portal, tag string, done bool) {
	switch {
	case !done:
		b.empty(wire.PortalSuspended)
		b.pipelining = true
		return
	case p.plan.stmt.isTransaction() || b.immediate:
		b.immediate = false
		b.finishXact()
	default:
		b.nextCommand()
		b.pipelining = true
	}
	b.complete(tag)
}

func (b *Backend) closeMessage(what byte, name string) *Error {
	switch {
	case what == 'S' && name == "":
		b.unnamed = nil
	case what == 'S':
		delete(b.statements, key(name))
	case what == 'P':
		if p := b.portals[key(name)]; p != nil {
			b.dropPortal(key(name), p)
		}
	default:
		return errorf("08P01", "invalid CLOSE message subtype %d", what)
	}
	b.empty(wire.CloseComplete)
	return nil
}

// functionCall knows int4pl, with its arguments as text.
func (b *Backend) functionCall(f *fields) *Error {
	if err := b.startXact(); err != nil {
		return err
	}
	if b.aborted() {
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
	at := b.begin(wire.FunctionCallResponse)
	text := strconv.Itoa(sum)
	b.uint32(uint32(len(text)))
	b.out = append(b.out, text...)
	b.end(at)
	return nil
}
