package pgmodel

import "strconv"

// strategy is PortalStrategy.
type strategy byte

const (
	oneSelect strategy = iota
	oneReturning
	utilSelect
	multiQuery
)

// portal is a statement that is being run. That of a prepared statement within
// another one, or of a command of DO, has no name and is in no list.
type portal struct {
	name     string
	plan     *plan
	args     []*string
	formats  []int16
	columns  []Column // nil where it returns none
	strategy strategy
	level    int  // of the nested transaction that made it
	held     bool // over the end of its transaction
	hold     bool // WITH HOLD
	failed   bool
	released bool // its plan, by the end of its transaction
	done     bool // PORTAL_DONE
	describe bool // a simple Query, which has its RowDescription with the rows

	run   bool // rows, tag and bad are there
	rows  [][][]byte
	bad   *Error // that comes after the rows
	at    int
	atEnd bool
	tag   string // of statements whose tag counts rows: without the number
	whole bool   // the tag is whole

	copying *copyIn // once COPY FROM STDIN waits for data
}

// emptyPlan is that of an empty text, and of a portal that got no other.
var emptyPlan plan

// count is the tag of a portal that has returned n rows.
func (p *portal) count(n int) string {
	if p.whole {
		return p.tag
	}
	return p.tag + " " + strconv.Itoa(n)
}

// take is PortalRunSelect: it returns up to limit rows, all where that is
// negative.
func (p *portal) take(limit int) ([][][]byte, *Error) {
	if p.atEnd {
		return nil, nil
	}
	n := len(p.rows) - p.at
	if limit >= 0 && limit < n {
		n = limit
	}
	rows := p.rows[p.at : p.at+n]
	p.at += n
	if limit < 0 || n < limit {
		p.atEnd = true
		return rows, p.bad
	}
	return rows, nil
}

// portals are a session's portals and cursors by name (portalmem.c).
type portals map[string]*portal

// create is CreatePortal: only the unnamed portal may be there already.
func (ps portals) create(name string, level int) (*portal, *Error) {
	if ps[name] != nil && name != "" {
		return nil, errorf("42P03", "cursor %q already exists", name)
	}
	p := &portal{name: name, plan: &emptyPlan, strategy: multiQuery, level: level}
	ps[name] = p
	return p, nil
}

// cursor finds what a command names.
func (ps portals) cursor(name string) (*portal, *Error) {
	if p := ps[name]; p != nil {
		return p, nil
	}
	return nil, errorf("34000", "cursor %q does not exist", name)
}

// drop is PortalDrop, for a portal that may have been replaced.
func (ps portals) drop(p *portal) {
	if ps[p.name] == p {
		delete(ps, p.name)
	}
}

// dropOthers is PortalHashTableDeleteAll.
func (ps portals) dropOthers(active *portal) {
	for name, p := range ps {
		if p != active {
			delete(ps, name)
		}
	}
}

// commit is PreCommit_Portals: cursors WITH HOLD stay.
func (ps portals) commit() {
	for name, p := range ps {
		switch {
		case p.held:
		case p.hold && !p.failed:
			p.held = true
		default:
			delete(ps, name)
		}
	}
}

// fail is AtAbort_Portals and AtSubAbort_Portals, from a level on.
func (ps portals) fail(level int) {
	for _, p := range ps {
		if !p.held && p.level >= level {
			p.failed, p.released = true, true
		}
	}
}

// cleanup is AtCleanup_Portals and AtSubCleanup_Portals.
func (ps portals) cleanup(level int) {
	for name, p := range ps {
		if !p.held && p.level >= level {
			delete(ps, name)
		}
	}
}

// lower is AtSubCommit_Portals.
func (ps portals) lower(level int) {
	for _, p := range ps {
		p.level = min(p.level, level)
	}
}

// checkNotInUse is CheckTableNotInUse: an open portal of the same session is in
// the way of DDL.
func (ps portals) checkNotInUse(t *table) *Error {
	for _, p := range ps {
		if p.plan.table == t && p.strategy == oneSelect && !p.held && !p.failed {
			return errorf("55006", "table %q is being used by active queries in this session", t.name)
		}
	}
	return nil
}
