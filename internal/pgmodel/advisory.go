package pgmodel

import "strconv"

type advisoryLock struct {
	holder *Backend
	count  int // that the session holds
	xact   int // that its transaction holds
}

func (b *Backend) lockAdvisory(arg string, inXact bool) {
	n, _ := strconv.ParseInt(arg, 10, 64)
	l := b.cluster.advisory[n]
	if l == nil {
		l = &advisoryLock{holder: b}
		b.cluster.advisory[n] = l
	}
	if inXact {
		l.xact++
		b.xact.locks = append(b.xact.locks, n)
	} else {
		l.count++
	}
}

// unlockAdvisory gives back a session's or a transaction's lock, if it is held.
func (b *Backend) unlockAdvisory(n int64, ofXact bool) bool {
	l := b.cluster.advisory[n]
	switch {
	case l == nil || l.holder != b:
		return false
	case ofXact:
		l.xact--
	case l.count == 0:
		return false
	default:
		l.count--
	}
	if l.count == 0 && l.xact == 0 {
		delete(b.cluster.advisory, n)
	}
	return true
}

func (b *Backend) unlockAll() {
	for n, l := range b.cluster.advisory {
		if l.holder == b {
			if l.count = 0; l.xact == 0 {
				delete(b.cluster.advisory, n)
			}
			b.cluster.released = true
		}
	}
}

func (b *Backend) heldElsewhere(arg string) bool {
	n, _ := strconv.ParseInt(arg, 10, 64)
	l := b.cluster.advisory[n]
	return l != nil && l.holder != b
}
