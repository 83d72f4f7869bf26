package pgmodel

import (
	"slices"

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

func (b *Backend) aborted() bool {
	if b.block == blockAbort {
		return true
	}
	return b.block == blockInProgress && len(b.xact.subs) > 0 && b.xact.subs[len(b.xact.subs)-1].failed
}

// status is TransactionBlockStatusCode.
func (b *Backend) status() byte {
	switch {
	case b.aborted():
		return wire.StatusFailed
	case b.block == blockDefault || b.block == blockStarted:
		return wire.StatusIdle
	}
	return wire.StatusInTransaction
}

// startXact is start_xact_command.
func (b *Backend) startXact() *Error {
	switch {
	case !b.xactStarted:
		if b.block == blockStarted {
			// Left behind by a Sync after a Query that ended a pipeline.
			return errorf("XX000", "StartTransactionCommand: unexpected state STARTED")
		}
		if b.block == blockDefault {
			b.startTransaction(blockStarted)
		}
		b.xactStarted = true
	case b.pipelining && b.cluster.Version >= 18:
		b.beginImplicit()
	}
	return nil
}

func (b *Backend) beginImplicit() {
	if b.block == blockStarted {
		b.block = blockImplicit
	}
}

func (b *Backend) endImplicit() {
	if b.block == blockImplicit {
		b.block = blockStarted
	}
}

// finishXact is finish_xact_command with CommitTransactionCommand.
func (b *Backend) finishXact() {
	if !b.xactStarted {
		return
	}
	b.xactStarted = false
	b.nextCommand()
	chain := b.xact.chain
	switch b.block {
	case blockStarted, blockEnd:
		b.commitTransaction()
	case blockAbortPending:
		b.abortTransaction()
		b.cleanupTransaction()
	case blockAbortEnd:
		b.cleanupTransaction()
	}
	if chain {
		b.startTransaction(blockInProgress)
	}
}

// startTransaction is StartTransaction.
func (b *Backend) startTransaction(state block) {
	b.xact, b.block = &xact{}, state
	b.pipelining, b.immediate = false, false
}

// abortCurrent is AbortCurrentTransaction, after an error.
func (b *Backend) abortCurrent() {
	b.xactStarted = false
	switch {
	case b.block == blockDefault || b.aborted():
	case b.block == blockInProgress && len(b.xact.subs) > 0:
		top := b.xact.subs[len(b.xact.subs)-1]
		b.abortTo(top)
		top.failed = true
		b.failPortals(len(b.xact.subs))
	case b.block == blockInProgress:
		b.abortTransaction()
		b.block = blockAbort
	default:
		b.abortTransaction()
		b.cleanupTransaction()
	}
}

func (b *Backend) commitTransaction() {
	x := b.xact
	for _, t := range x.drop {
		if b.temp[t.name] == t {
			delete(b.temp, t.name)
		}
	}
	b.commitPortals()
	b.endSettings(true, 1)
	for _, r := range x.rows {
		r.by = nil
	}
	b.block, b.xact = blockDefault, nil
	b.releaseLocks(x)
	for _, f := range x.commit {
		f()
	}
	b.cluster.notify(b, x.notifies)
}

func (b *Backend) abortTransaction() {
	x := b.xact
	for _, f := range slices.Backward(x.undo) {
		f()
	}
	b.failPortals(0)
	b.endSettings(false, 1)
	b.releaseLocks(x)
	*x = xact{}
}

// cleanupTransaction leaves an aborted transaction behind.
func (b *Backend) cleanupTransaction() {
	b.dropPortals(0)
	b.block, b.xact = blockDefault, nil
}

// abortTo undoes what happened since a savepoint.
func (b *Backend) abortTo(s *sub) {
	x := b.xact
	for _, f := range slices.Backward(x.undo[s.undo:]) {
		f()
	}
	level := slices.Index(x.subs, s) + 1
	b.endSettings(false, level+1)
	for _, h := range x.tables[s.tables:] {
		h.release(b)
	}
	for _, key := range x.locks[s.locks:] {
		b.unlockAdvisory(key, true)
	}
	if len(x.tables) > s.tables || len(x.locks) > s.locks {
		b.cluster.released = true
	}
	x.undo, x.commit, x.drop = x.undo[:s.undo], x.commit[:s.commit], x.drop[:s.drop]
	x.tables, x.notifies, x.locks = x.tables[:s.tables], x.notifies[:s.notifies], x.locks[:s.locks]
}

// transactionStmt runs BEGIN, COMMIT and their like and returns the command tag.
func (b *Backend) transactionStmt(s *stmt) (string, *Error) {
	if s.chain {
		if b.block != blockInProgress && b.block != blockAbort {
			return "", errorf("25P01", "%s AND CHAIN can only be used in transaction blocks", s.tag)
		}
		b.xact.chain = true
	}
	switch s.kind {
	case kindBegin:
		switch b.block {
		case blockStarted, blockImplicit:
			b.block = blockInProgress
		default:
			b.warn("25001", "there is already a transaction in progress")
		}
		return s.tag, nil
	case kindCommit:
		return b.endBlock(), nil
	case kindRollback:
		switch b.block {
		case blockInProgress:
			b.block = blockAbortPending
		case blockAbort:
			b.block = blockAbortEnd
		default:
			b.warn("25P01", "there is no transaction in progress")
			b.block = blockAbortPending
		}
		return s.tag, nil
	}
	if b.block != blockInProgress && b.block != blockAbort {
		return "", errorf("25P01", "%s can only be used in transaction blocks", s.tag)
	}
	return s.tag, b.savepointStmt(s)
}

// endBlock is EndTransactionBlock.
func (b *Backend) endBlock() string {
	switch {
	case b.block == blockAbort:
		b.block = blockAbortEnd
		return "ROLLBACK"
	case b.aborted():
		b.block = blockAbortPending
		return "ROLLBACK"
	case b.block == blockInProgress:
		b.block = blockEnd
	default:
		b.warn("25P01", "there is no transaction in progress")
		if b.block == blockImplicit {
			b.block = blockEnd
		}
	}
	return "COMMIT"
}

func (b *Backend) savepointStmt(s *stmt) *Error {
	x := b.xact
	if s.kind == kindSavepoint {
		x.subs = append(x.subs, &sub{
			name: s.name, undo: len(x.undo), commit: len(x.commit), drop: len(x.drop),
			tables: len(x.tables), notifies: len(x.notifies), locks: len(x.locks),
		})
		return nil
	}
	i := len(x.subs) - 1
	for i >= 0 && x.subs[i].name != s.name {
		i--
	}
	if i < 0 {
		return errorf("3B001", "savepoint %q does not exist", s.name)
	}
	if s.kind == kindRelease {
		for level := len(x.subs); level > i; level-- {
			b.endSettings(true, level+1)
		}
		b.lowerPortals(i)
		x.subs = x.subs[:i]
		return nil
	}
	b.abortTo(x.subs[i])
	b.dropPortals(i + 1)
	x.subs[i].failed = false
	x.subs = x.subs[:i+1]
	return nil
}

// undo remembers how to take back what the current command does.
func (b *Backend) undo(f func()) { b.xact.undo = append(b.xact.undo, f) }

// requireTopLevel is PreventInTransactionBlock.
func (b *Backend) requireTopLevel(what string) *Error {
	if b.block != blockStarted {
		return errorf("25001", "%s cannot run inside a transaction block", what)
	}
	if b.pipelining {
		return errorf("25001", "%s cannot be executed within a pipeline", what)
	}
	b.immediate = true
	return nil
}
