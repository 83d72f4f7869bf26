package pgmodel

import "github.com/pgseal/pgseal/internal/wire"

// simpleQuery is a Query under way. It can stop between statements, for the
// data of a COPY or for a lock.
type simpleQuery struct {
	list []*stmt
	next int
}

// simpleQuery is exec_simple_query up to its first statement.
func (b *Backend) simpleQuery(text string) {
	if err := b.startXact(); err != nil {
		b.fail(err)
		return
	}
	b.unnamed = nil
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
		b.empty(wire.EmptyQueryResponse)
	}
	b.query = nil
	b.ready()
}

func (b *Backend) runSimple(s *stmt) (tag string, err *Error) {
	if b.aborted() && !s.isExit() {
		return "", errAborted()
	}
	if err := b.startXact(); err != nil {
		return "", err
	}
	if len(b.query.list) > 1 {
		b.beginImplicit()
	}
	if s.kind != kindExtra && s.params > 0 {
		return "", errorf("42P02", "there is no parameter $1")
	}
	plan, err := b.analyze(s, nil)
	if err != nil {
		return "", err
	}
	if err := b.planned(s); err != nil {
		return "", err
	}
	p, err := b.createPortal("")
	if err != nil {
		return "", err
	}
	if err := b.startPortal(p, plan); err != nil {
		return "", err
	}
	p.describe = true
	tag, _, err = b.runPortal(p, -1)
	if err == nil && b.copying == nil {
		b.dropPortal("", p)
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
			b.endImplicit()
		}
		b.finishXact()
	case s.isTransaction():
		b.finishXact()
	default:
		b.nextCommand()
	}
	b.complete(tag)
}

func errAborted() *Error {
	return errorf("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

// isTransaction is IsA(stmt, TransactionStmt).
func (s *stmt) isTransaction() bool { return s != nil && s.kind >= kindBegin && s.kind <= kindRelease }

// isExit is IsTransactionExitStmt.
func (s *stmt) isExit() bool {
	return s != nil && (s.kind == kindCommit || s.kind == kindRollback || s.kind == kindRollbackTo)
}
