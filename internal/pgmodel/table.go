package pgmodel

import "slices"

// table has one column, a.
type table struct {
	name    string
	typ     uint32
	rows    []*row
	creator *xact  // that is not committed yet
	dropped bool   // by the transaction that has it locked
	prev    *table // of the same name, dropped by the transaction that made this one

	exclusive *Backend
	shared    []*Backend
}

// row is a tuple. Its transaction sees it from the next command on, others once
// that has committed.
type row struct {
	value []byte // nil is NULL
	by    *xact
	fresh bool // by the current command, which does not see it
}

// held is a lock on a table.
type held struct {
	table     *table
	exclusive bool
}

func (h held) release(b *Backend) {
	if h.exclusive {
		h.table.exclusive = nil
	} else if i := slices.Index(h.table.shared, b); i >= 0 {
		h.table.shared = slices.Delete(h.table.shared, i, i+1)
	}
}

// conflict reports whether b has to wait for a lock. Of PostgreSQL's modes the
// model has ACCESS EXCLUSIVE and those that conflict with it only.
func (t *table) conflict(b *Backend, exclusive bool) bool {
	if t.exclusive != nil && t.exclusive != b {
		return true
	}
	return exclusive && slices.ContainsFunc(t.shared, func(o *Backend) bool { return o != b })
}

// lock takes a lock that does not conflict, once per transaction.
func (b *Backend) lock(t *table, exclusive bool) {
	if t.exclusive == b || !exclusive && slices.Contains(t.shared, b) {
		return
	}
	if exclusive {
		t.exclusive = b
	} else {
		t.shared = append(t.shared, b)
	}
	b.xact.tables = append(b.xact.tables, held{t, exclusive})
}

func (b *Backend) releaseLocks(x *xact) {
	for _, h := range x.tables {
		h.release(b)
	}
	for _, key := range x.locks {
		b.unlockAdvisory(key, true)
	}
	if len(x.tables) > 0 || len(x.locks) > 0 {
		b.cluster.released = true
	}
}

// find returns the table that a name stands for, or nil. A table that another
// transaction has dropped is there until that has committed.
func (b *Backend) find(name string) *table {
	if t := b.temp[name]; t != nil {
		return t
	}
	if !b.publicInPath() {
		return nil
	}
	for t := b.cluster.tables[name]; t != nil; t = t.prev {
		switch {
		case t.creator != nil && t.creator != b.xact:
		case t.dropped && t.exclusive == b:
			return nil
		default:
			return t
		}
	}
	return nil
}

// open is find with the error of a missing table, and a lock.
func (b *Backend) open(name string, exclusive bool) (*table, *Error) {
	t := b.find(name)
	if t == nil {
		return nil, errorf("42P01", "relation %q does not exist", name)
	}
	b.lock(t, exclusive)
	return t, nil
}

// visible returns the values that the backend sees.
func (b *Backend) visible(t *table) [][][]byte {
	rows := make([][][]byte, 0, len(t.rows))
	for _, r := range t.rows {
		if r.by == nil || r.by == b.xact && !r.fresh {
			rows = append(rows, [][]byte{r.value})
		}
	}
	return rows
}

func (b *Backend) insert(t *table, value []byte) {
	r := &row{value, b.xact, true}
	t.rows = append(t.rows, r)
	b.xact.rows = append(b.xact.rows, r)
	b.undo(func() {
		if i := slices.Index(t.rows, r); i >= 0 {
			t.rows = slices.Delete(t.rows, i, i+1)
		}
	})
}

// nextCommand is CommandCounterIncrement. It does not come with PortalSuspended.
func (b *Backend) nextCommand() {
	x := b.xact
	if x == nil {
		return
	}
	for _, r := range x.rows[x.counted:] {
		r.fresh = false
	}
	x.counted = len(x.rows)
}

func (b *Backend) createTable(name string, temp, onCommitDrop bool) *Error {
	if temp {
		if b.temp[name] != nil {
			return errorf("42P07", "relation %q already exists", name)
		}
		t := &table{name: name, typ: typeInt4}
		if !b.tempNamespace {
			b.tempNamespace = true
			b.undo(func() { b.tempNamespace = false })
		}
		b.temp[name] = t
		b.undo(func() { delete(b.temp, name) })
		if onCommitDrop {
			b.xact.drop = append(b.xact.drop, t)
		}
		return nil
	}
	if !b.publicInPath() {
		return errorf("3F000", "no schema has been selected to create in")
	}
	prev := b.cluster.tables[name]
	raced := b.raced
	b.raced = false
	if prev != nil && !(prev.dropped && prev.exclusive == b) {
		if raced { // the name was free when it was looked up
			return errorf("23505", "duplicate key value violates unique constraint \"pg_type_typname_nsp_index\"")
		}
		return errorf("42P07", "relation %q already exists", name)
	}
	t := &table{name: name, typ: typeInt4, creator: b.xact, prev: prev}
	b.cluster.tables[name] = t
	b.lock(t, true)
	b.undo(func() {
		if prev == nil {
			delete(b.cluster.tables, name)
		} else {
			b.cluster.tables[name] = prev
		}
	})
	b.xact.commit = append(b.xact.commit, func() { t.creator, t.prev = nil, nil })
	return nil
}

func (b *Backend) dropTable(s *stmt) *Error {
	t := b.find(s.name)
	if t == nil {
		if s.ifExists {
			b.notice('N', "NOTICE", errorf("00000", "table %q does not exist, skipping", s.name))
			return nil
		}
		return errorf("42P01", "table %q does not exist", s.name)
	}
	if b.temp[s.name] == t {
		if err := b.notInUse(t); err != nil {
			return err
		}
		delete(b.temp, s.name)
		b.undo(func() { b.temp[s.name] = t })
		return nil
	}
	b.lock(t, true)
	if err := b.notInUse(t); err != nil {
		return err
	}
	t.dropped = true
	b.undo(func() { t.dropped = false })
	b.xact.commit = append(b.xact.commit, func() {
		if b.cluster.tables[s.name] == t {
			delete(b.cluster.tables, s.name)
		}
	})
	return nil
}

func (b *Backend) alterTable(s *stmt) *Error {
	t, err := b.open(s.name, true)
	if err != nil {
		return err
	}
	if err := b.notInUse(t); err != nil {
		return err
	}
	was := t.typ
	t.typ = s.typ
	b.undo(func() { t.typ = was })
	return nil
}

func (b *Backend) truncate(s *stmt) *Error {
	t, err := b.open(s.name, true)
	if err != nil {
		return err
	}
	if err := b.notInUse(t); err != nil {
		return err
	}
	was := t.rows
	t.rows = nil
	b.undo(func() { t.rows = was })
	return nil
}

// notInUse is CheckTableNotInUse: an open portal of the same session is in the
// way of DDL.
func (b *Backend) notInUse(t *table) *Error {
	for _, p := range b.portals {
		if p.plan.table == t && p.strategy == oneSelect && !p.held && !p.failed {
			return errorf("55006", "table %q is being used by active queries in this session", t.name)
		}
	}
	return nil
}
