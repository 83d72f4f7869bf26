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

	exclusive *proc
	shared    []*proc
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

func (h held) release(p *proc) {
	if h.exclusive {
		h.table.exclusive = nil
	} else if i := slices.Index(h.table.shared, p); i >= 0 {
		h.table.shared = slices.Delete(h.table.shared, i, i+1)
	}
}

// conflict reports whether a process has to wait for a lock. Of PostgreSQL's
// modes the model has ACCESS EXCLUSIVE and those that conflict with it only.
func (t *table) conflict(p *proc, exclusive bool) bool {
	if t.exclusive != nil && t.exclusive != p {
		return true
	}
	return exclusive && slices.ContainsFunc(t.shared, func(o *proc) bool { return o != p })
}

// lock takes a lock that does not conflict, once per transaction.
func (t *table) lock(x *xact, exclusive bool) {
	if t.exclusive == x.proc || !exclusive && slices.Contains(t.shared, x.proc) {
		return
	}
	if exclusive {
		t.exclusive = x.proc
	} else {
		t.shared = append(t.shared, x.proc)
	}
	x.tables = append(x.tables, held{t, exclusive})
}

// visible returns the values that a transaction sees.
func (t *table) visible(x *xact) [][][]byte {
	rows := make([][][]byte, 0, len(t.rows))
	for _, r := range t.rows {
		if r.by == nil || r.by == x && !r.fresh {
			rows = append(rows, [][]byte{r.value})
		}
	}
	return rows
}

func (t *table) insert(x *xact, value []byte) {
	r := &row{value, x, true}
	t.rows = append(t.rows, r)
	x.rows = append(x.rows, r)
	x.atAbort(func() {
		if i := slices.Index(t.rows, r); i >= 0 {
			t.rows = slices.Delete(t.rows, i, i+1)
		}
	})
}

// setType is ALTER TABLE.
func (t *table) setType(x *xact, typ uint32) {
	was := t.typ
	t.typ = typ
	x.atAbort(func() { t.typ = was })
}

func (t *table) truncate(x *xact) {
	was := t.rows
	t.rows = nil
	x.atAbort(func() { t.rows = was })
}
