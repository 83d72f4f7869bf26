package pgmodel

import (
	"github.com/pgseal/pgseal/internal/pgmodel/parser"
	"github.com/pgseal/pgseal/internal/wire"
)

// simpleQuery is a Query under way. It can stop between statements, for the
// data of a COPY or for a lock.
type simpleQuery struct {
	list []*parser.Stmt
	next int
}

// simpleQuery is exec_simple_query up to its first statement.
func (b *Backend) simpleQuery(text string) {
	if err := b.session.xact.startCommand(); err != nil {
		b.fail(err)
		return
	}
	b.session.statements.drop("")
	list, err := b.cluster.parse(text)
	if err != nil {
		b.fail(err)
		return
	}
	b.query = &simpleQuery{list: list}
	b.runQuery()
}

// runQuery runs the statements that are left.
func (b *Backend) runQuery() {
	q := b.query
	for q.next < len(q.list) {
		s := q.list[q.next]
		if b.mustWait(s, whole) {
			return
		}
		tag, err := b.runSimple(s)
		if err != nil {
			b.fail(err)
			return
		}
		if b.copying != nil {
			return // finishSimple comes with the end of the data
		}
		b.finishSimple(tag)
	}
	b.finishXact()
	if len(q.list) == 0 {
		b.out.empty(wire.EmptyQueryResponse)
	}
	b.query = nil
	b.ready()
}

func (b *Backend) runSimple(s *parser.Stmt) (tag string, err *Error) {
	if b.session.xact.aborted() && !s.IsTransactionExit() {
		return "", errAborted()
	}
	if err := b.session.xact.startCommand(); err != nil {
		return "", err
	}
	if len(b.query.list) > 1 {
		b.session.xact.beginImplicit()
	}
	if s.Kind != parser.Unknown && s.Params > 0 {
		return "", errorf("42P02", "there is no parameter $1")
	}
	plan, err := b.planner.planNow(s)
	if err != nil {
		return "", err
	}
	p, err := b.session.portals.create("", b.session.xact.nestLevel())
	if err != nil {
		return "", err
	}
	if err := b.executor.start(p, plan); err != nil {
		return "", err
	}
	p.describe = true
	tag, _, err = b.executor.run(p, -1)
	if b.copying, p.copying = p.copying, nil; err == nil && b.copying == nil {
		b.session.portals.drop(p)
	}
	return tag, err
}

// finishSimple ends a statement of a Query that went well.
func (b *Backend) finishSimple(tag string) {
	q := b.query
	s := q.list[q.next]
	q.next++
	last := q.next == len(q.list)
	switch {
	case last:
		if len(q.list) > 1 {
			b.session.xact.endImplicit()
		}
		b.finishXact()
	case s.IsTransaction():
		b.finishXact()
	default:
		b.session.xact.current.nextCommand()
	}
	b.out.complete(tag)
}
