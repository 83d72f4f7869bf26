package pgmodel

// proc stands for a backend where it holds locks, as PGPROC does.
type proc struct{ pid int }

// lockManager has the cluster's advisory locks. Those of tables are kept with
// the table.
type lockManager struct {
	advisory map[int64]*advisoryLock
	released bool // a lock, since backends that wait have looked
}

type advisoryLock struct {
	holder *proc
	count  int // that the session holds
	xact   int // that its transaction holds
}

// lock takes a lock that nobody else has, for a session or its transaction.
func (m *lockManager) lock(p *proc, n int64, ofXact bool) {
	l := m.advisory[n]
	if l == nil {
		l = &advisoryLock{holder: p}
		m.advisory[n] = l
	}
	if ofXact {
		l.xact++
	} else {
		l.count++
	}
}

// unlock gives back a session's or a transaction's lock, if it is held.
func (m *lockManager) unlock(p *proc, n int64, ofXact bool) bool {
	l := m.advisory[n]
	switch {
	case l == nil || l.holder != p:
		return false
	case ofXact:
		l.xact--
	case l.count == 0:
		return false
	default:
		l.count--
	}
	if l.count == 0 && l.xact == 0 {
		delete(m.advisory, n)
	}
	m.released = true
	return true
}

// unlockAll gives back all that a session holds, and not what its transaction
// holds.
func (m *lockManager) unlockAll(p *proc) {
	for n, l := range m.advisory {
		if l.holder == p {
			if l.count = 0; l.xact == 0 {
				delete(m.advisory, n)
			}
			m.released = true
		}
	}
}

// leave is the end of a process.
func (m *lockManager) leave(p *proc) {
	for n, l := range m.advisory {
		if l.holder == p {
			delete(m.advisory, n)
		}
	}
	m.released = true
}

func (m *lockManager) heldElsewhere(p *proc, n int64) bool {
	l := m.advisory[n]
	return l != nil && l.holder != p
}

// heldBy lists what a session holds, in any order.
func (m *lockManager) heldBy(p *proc) (list []int64) {
	for n, l := range m.advisory {
		if l.holder == p && l.count > 0 {
			list = append(list, n)
		}
	}
	return list
}
