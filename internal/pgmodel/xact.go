package pgmodel

import (
	"slices"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
	"github.com/pgseal/pgseal/internal/wire"
)

// block is TBlockState of xact.c. Subtransactions are kept beside it, and the
// states that only last from a command to its CommitTransactionCommand are left
// out where nothing can be seen of them.
type block int

const (
	blockDefault block = iota
	blockStarted
	blockInProgress
	blockImplicit
	blockEnd
	blockAbort
	blockAbortEnd
	blockAbortPending
)

// xact is a transaction: what has to be done when it commits, and when it does
// not.
type xact struct {
	proc     *proc
	undo     []func()
	commit   []func() // AtCommit: what becomes visible to others
	drop     []*table // ON COMMIT DROP
	subs     []*sub
	tables   []held // locks of tables
	notifies []notification
	rows     []*row // inserted
	counted  int    // of them that the next command sees
	locks    []int64
	chain    bool // another one follows at once
}

// sub is a savepoint, with how much of the transaction was there before it.
type sub struct {
	name                                        string
	failed                                      bool
	undo, commit, drop, tables, notifies, locks int
}

// atAbort remembers how to take back what the current command does.
func (x *xact) atAbort(f func()) { x.undo = append(x.undo, f) }

func (x *xact) atCommit(f func()) { x.commit = append(x.commit, f) }

// nextCommand is CommandCounterIncrement. It does not come with PortalSuspended.
func (x *xact) nextCommand() {
	if x == nil {
		return
	}
	for _, r := range x.rows[x.counted:] {
		r.fresh = false
	}
	x.counted = len(x.rows)
}

// lockAdvisory takes a lock that is given back with the transaction.
func (x *xact) lockAdvisory(m *lockManager, n int64) {
	m.lock(x.proc, n, true)
	x.locks = append(x.locks, n)
}

// release gives back locks, beyond so many of tables and so many advisory ones.
func (x *xact) release(m *lockManager, tables, locks int) {
	for _, h := range x.tables[tables:] {
		h.release(x.proc)
		m.released = true
	}
	for _, n := range x.locks[locks:] {
		m.unlock(x.proc, n, true)
	}
}

// xactState is a session's place between transactions: the machine of xact.c.
// It ends what belongs to a transaction when that ends.
type xactState struct {
	version  int
	proc     *proc
	locks    *lockManager
	settings *settings
	names    *namespace
	portals  portals
	out      *output

	block      block
	current    *xact // nil outside of one
	started    bool  // xact_started
	pipelining bool  // XACT_FLAGS_PIPELINING
	immediate  bool  // XACT_FLAGS_NEEDIMMEDIATECOMMIT
}

func (s *xactState) aborted() bool {
	if s.block == blockAbort {
		return true
	}
	return s.block == blockInProgress && len(s.current.subs) > 0 && s.current.subs[len(s.current.subs)-1].failed
}

// idle reports whether no transaction is open and no command under way.
func (s *xactState) idle() bool { return s.block == blockDefault && !s.started }

// status is TransactionBlockStatusCode.
func (s *xactState) status() byte {
	switch {
	case s.aborted():
		return wire.StatusFailed
	case s.block == blockDefault || s.block == blockStarted:
		return wire.StatusIdle
	}
	return wire.StatusInTransaction
}

// nestLevel is GetCurrentTransactionNestLevel.
func (s *xactState) nestLevel() int {
	if s.current == nil {
		return 0
	}
	return len(s.current.subs) + 1
}

// startCommand is start_xact_command.
func (s *xactState) startCommand() *Error {
	switch {
	case !s.started:
		if s.block == blockStarted {
			// Left behind by a Sync after a Query that ended a pipeline.
			return errorf("XX000", "StartTransactionCommand: unexpected state STARTED")
		}
		if s.block == blockDefault {
			s.start(blockStarted)
		}
		s.started = true
	case s.pipelining && s.version >= 18:
		s.beginImplicit()
	}
	return nil
}

func (s *xactState) beginImplicit() {
	if s.block == blockStarted {
		s.block = blockImplicit
	}
}

func (s *xactState) endImplicit() {
	if s.block == blockImplicit {
		s.block = blockStarted
	}
}

// finishCommand is finish_xact_command with CommitTransactionCommand. It returns
// the notifications of a transaction that has committed.
func (s *xactState) finishCommand() (notifies []notification) {
	if !s.started {
		return nil
	}
	s.started = false
	s.current.nextCommand()
	chain := s.current.chain
	switch s.block {
	case blockStarted, blockEnd:
		notifies = s.commit()
	case blockAbortPending:
		s.abandon()
	case blockAbortEnd:
		s.cleanup()
	}
	if chain {
		s.start(blockInProgress)
	}
	return notifies
}

// start is StartTransaction.
func (s *xactState) start(state block) {
	s.current, s.block = &xact{proc: s.proc}, state
	s.pipelining, s.immediate = false, false
}

// abortCurrent is AbortCurrentTransaction, after an error.
func (s *xactState) abortCurrent() {
	s.started = false
	switch {
	case s.block == blockDefault || s.aborted():
	case s.block == blockInProgress && len(s.current.subs) > 0:
		top := s.current.subs[len(s.current.subs)-1]
		s.abortTo(top)
		top.failed = true
		s.portals.fail(s.nestLevel())
	case s.block == blockInProgress:
		s.abort()
		s.block = blockAbort
	default:
		s.abandon()
	}
}

// commit is CommitTransaction.
func (s *xactState) commit() []notification {
	x := s.current
	s.names.commit(x)
	s.portals.commit()
	s.settings.leave(true, 1)
	for _, r := range x.rows {
		r.by = nil
	}
	s.block, s.current = blockDefault, nil
	x.release(s.locks, 0, 0)
	for _, f := range x.commit {
		f()
	}
	return x.notifies
}

// abort is AbortTransaction.
func (s *xactState) abort() {
	x := s.current
	for _, f := range slices.Backward(x.undo) {
		f()
	}
	s.portals.fail(0)
	s.settings.leave(false, 1)
	x.release(s.locks, 0, 0)
	*x = xact{proc: s.proc}
}

// cleanup is CleanupTransaction: it leaves an aborted transaction behind.
func (s *xactState) cleanup() {
	s.portals.cleanup(0)
	s.block, s.current = blockDefault, nil
}

// abandon aborts a transaction and leaves it behind.
func (s *xactState) abandon() {
	s.abort()
	s.cleanup()
}

// abortTo undoes what happened since a savepoint.
func (s *xactState) abortTo(sub *sub) {
	x := s.current
	for _, f := range slices.Backward(x.undo[sub.undo:]) {
		f()
	}
	s.settings.leave(false, slices.Index(x.subs, sub)+2)
	x.release(s.locks, sub.tables, sub.locks)
	x.undo, x.commit, x.drop = x.undo[:sub.undo], x.commit[:sub.commit], x.drop[:sub.drop]
	x.tables, x.notifies, x.locks = x.tables[:sub.tables], x.notifies[:sub.notifies], x.locks[:sub.locks]
}

// run runs BEGIN, COMMIT and their like and returns the command tag.
func (s *xactState) run(stmt *parser.Stmt) (string, *Error) {
	if stmt.Chain {
		if s.block != blockInProgress && s.block != blockAbort {
			return "", errorf("25P01", "%s AND CHAIN can only be used in transaction blocks", stmt.Tag)
		}
		s.current.chain = true
	}
	switch stmt.Kind {
	case parser.Begin:
		switch s.block {
		case blockStarted, blockImplicit:
			s.block = blockInProgress
		default:
			s.out.warn("25001", "there is already a transaction in progress")
		}
		return stmt.Tag, nil
	case parser.Commit:
		return s.endBlock(), nil
	case parser.Rollback:
		switch s.block {
		case blockInProgress:
			s.block = blockAbortPending
		case blockAbort:
			s.block = blockAbortEnd
		default:
			s.out.warn("25P01", "there is no transaction in progress")
			s.block = blockAbortPending
		}
		return stmt.Tag, nil
	}
	if s.block != blockInProgress && s.block != blockAbort {
		return "", errorf("25P01", "%s can only be used in transaction blocks", stmt.Tag)
	}
	return stmt.Tag, s.savepoint(stmt)
}

// endBlock is EndTransactionBlock.
func (s *xactState) endBlock() string {
	switch {
	case s.block == blockAbort:
		s.block = blockAbortEnd
		return "ROLLBACK"
	case s.aborted():
		s.block = blockAbortPending
		return "ROLLBACK"
	case s.block == blockInProgress:
		s.block = blockEnd
	default:
		s.out.warn("25P01", "there is no transaction in progress")
		if s.block == blockImplicit {
			s.block = blockEnd
		}
	}
	return "COMMIT"
}

// savepoint runs SAVEPOINT, ROLLBACK TO and RELEASE.
func (s *xactState) savepoint(stmt *parser.Stmt) *Error {
	x := s.current
	if stmt.Kind == parser.Savepoint {
		x.subs = append(x.subs, &sub{
			name: stmt.Name, undo: len(x.undo), commit: len(x.commit), drop: len(x.drop),
			tables: len(x.tables), notifies: len(x.notifies), locks: len(x.locks),
		})
		return nil
	}
	i := len(x.subs) - 1
	for i >= 0 && x.subs[i].name != stmt.Name {
		i--
	}
	if i < 0 {
		return errorf("3B001", "savepoint %q does not exist", stmt.Name)
	}
	if stmt.Kind == parser.Release {
		for level := s.nestLevel(); level > i+1; level-- {
			s.settings.leave(true, level)
		}
		s.portals.lower(i + 1)
		x.subs = x.subs[:i]
		return nil
	}
	s.abortTo(x.subs[i])
	s.portals.cleanup(i + 2)
	x.subs[i].failed = false
	x.subs = x.subs[:i+1]
	return nil
}

// requireTopLevel is PreventInTransactionBlock.
func (s *xactState) requireTopLevel(what string) *Error {
	if s.block != blockStarted {
		return errorf("25001", "%s cannot run inside a transaction block", what)
	}
	if s.pipelining {
		return errorf("25001", "%s cannot be executed within a pipeline", what)
	}
	s.immediate = true
	return nil
}
