package pgmodel

import "strings"

// namespace is the tables that a session can name: those of the cluster, where
// its search path has their schema, and temporary ones of its own.
type namespace struct {
	proc       *proc
	settings   *settings
	public     map[string]*table // the cluster's
	temp       map[string]*table
	tempSchema bool // is there
	raced      bool // CREATE TABLE has waited for another one
}

func (n *namespace) publicInPath() bool {
	return strings.Contains(n.settings.all["search_path"].text, "public")
}

// find returns the table that a name stands for, or nil. A table that another
// transaction has dropped is there until that has committed.
func (n *namespace) find(x *xact, name string) *table {
	if t := n.temp[name]; t != nil {
		return t
	}
	if !n.publicInPath() {
		return nil
	}
	for t := n.public[name]; t != nil; t = t.prev {
		switch {
		case t.creator != nil && t.creator != x:
		case t.dropped && t.exclusive == n.proc:
			return nil
		default:
			return t
		}
	}
	return nil
}

// open is find with the error of a missing table, and a lock.
func (n *namespace) open(x *xact, name string, exclusive bool) (*table, *Error) {
	t := n.find(x, name)
	if t == nil {
		return nil, errorf("42P01", "relation %q does not exist", name)
	}
	t.lock(x, exclusive)
	return t, nil
}

// conflict reports whether a lock on the table of that name has to be waited for.
func (n *namespace) conflict(x *xact, name string, exclusive bool) bool {
	t := n.find(x, name)
	return t != nil && t.conflict(n.proc, exclusive)
}

// takenElsewhere reports whether another transaction has made a table of that
// name and is not over.
func (n *namespace) takenElsewhere(x *xact, name string) bool {
	t := n.public[name]
	return t != nil && t.creator != nil && t.creator != x
}

func (n *namespace) createTemp(x *xact, name string, dropAtCommit bool) *Error {
	if n.temp[name] != nil {
		return errorf("42P07", "relation %q already exists", name)
	}
	t := &table{name: name, typ: typeInt4}
	if !n.tempSchema {
		n.tempSchema = true
		x.atAbort(func() { n.tempSchema = false })
	}
	n.temp[name] = t
	x.atAbort(func() { delete(n.temp, name) })
	if dropAtCommit {
		x.drop = append(x.drop, t)
	}
	return nil
}

func (n *namespace) create(x *xact, name string) *Error {
	if !n.publicInPath() {
		return errorf("3F000", "no schema has been selected to create in")
	}
	prev := n.public[name]
	raced := n.raced
	n.raced = false
	if prev != nil && !(prev.dropped && prev.exclusive == n.proc) {
		if raced { // the name was free when it was looked up
			return errorf("23505", "duplicate key value violates unique constraint \"pg_type_typname_nsp_index\"")
		}
		return errorf("42P07", "relation %q already exists", name)
	}
	t := &table{name: name, typ: typeInt4, creator: x, prev: prev}
	n.public[name] = t
	t.lock(x, true)
	x.atAbort(func() {
		if prev == nil {
			delete(n.public, name)
		} else {
			n.public[name] = prev
		}
	})
	x.atCommit(func() { t.creator, t.prev = nil, nil })
	return nil
}

// drop removes a table that find has returned.
func (n *namespace) drop(x *xact, t *table) {
	if n.temp[t.name] == t {
		delete(n.temp, t.name)
		x.atAbort(func() { n.temp[t.name] = t })
		return
	}
	t.dropped = true
	x.atAbort(func() { t.dropped = false })
	x.atCommit(func() {
		if n.public[t.name] == t {
			delete(n.public, t.name)
		}
	})
}

// discardTemp is DISCARD TEMP.
func (n *namespace) discardTemp(x *xact) {
	temp := n.temp
	n.temp = map[string]*table{}
	x.atAbort(func() { n.temp = temp })
}

// commit is PreCommit_on_commit_actions.
func (n *namespace) commit(x *xact) {
	for _, t := range x.drop {
		if n.temp[t.name] == t {
			delete(n.temp, t.name)
		}
	}
}
