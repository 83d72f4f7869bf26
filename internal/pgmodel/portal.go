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

type portal struct {
	name     string
	plan     *plan
	args     []*string
	formats  []int16
	columns  []Column // nil where it returns none
	strategy strategy
	level    int  // of subtransaction that made it
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
}

// createPortal is CreatePortal: only the unnamed portal may be there already.
func (b *Backend) createPortal(name string) (*portal, *Error) {
	if b.portals[name] != nil && name != "" {
		return nil, errorf("42P03", "cursor %q already exists", name)
	}
	p := &portal{name: name, plan: &emptyPlan, strategy: multiQuery, level: b.level()}
	b.portals[name] = p
	return p, nil
}

// emptyPlan is that of an empty text, and of a portal that got no other.
var emptyPlan plan

// startPortal is PortalDefineQuery and PortalStart.
func (b *Backend) startPortal(p *portal, plan *plan) *Error {
	s := plan.stmt
	if s.kind == kindShow {
		if _, err := b.setting(s.name, false); err != nil {
			return err
		}
	}
	p.plan, p.columns = plan, plan.columns
	switch {
	case s.isUtility():
		if p.columns = b.utilityColumns(s); p.columns != nil {
			p.strategy = utilSelect
		}
	case s.kind == kindInsert:
		if p.columns != nil {
			p.strategy = oneReturning
		}
	default:
		p.strategy = oneSelect
	}
	if s.kind == kindSelectTable {
		b.startSelect(p)
	}
	return nil
}

// level counts the savepoints that are open.
func (b *Backend) level() int {
	if b.xact == nil {
		return 0
	}
	return len(b.xact.subs)
}

func (b *Backend) dropPortal(name string, p *portal) {
	if b.portals[name] == p {
		delete(b.portals, name)
	}
}

// runPortal is PortalRun. It reports whether the portal has come to its end.
func (b *Backend) runPortal(p *portal, limit int) (tag string, done bool, err *Error) {
	if p.failed || p.done {
		return "", false, errorf("55000", "portal %q cannot be run", p.name)
	}
	if tag, done, err = b.runReady(p, limit); err != nil {
		p.failed = true
	}
	return tag, done, err
}

func (b *Backend) runReady(p *portal, limit int) (tag string, done bool, err *Error) {
	if !p.run {
		if p.strategy == oneSelect {
			b.describeRun(p)
		}
		if err := b.execute(p, true); err != nil {
			return "", false, err
		}
		if p.strategy != oneSelect {
			b.describeRun(p)
		}
		p.run = true
		if b.copying != nil {
			return "", false, nil
		}
	}
	if p.strategy == multiQuery {
		p.done = true
		return p.tag, true, nil
	}
	rows, err := p.take(limit)
	for _, row := range rows {
		b.dataRow(row, p.columns, p.formats)
	}
	return p.count(len(rows)), p.atEnd, err
}

// describeRun sends the RowDescription that belongs to a simple Query. What is
// run to its end before the first row is sent has failed before it.
func (b *Backend) describeRun(p *portal) {
	if p.describe && p.columns != nil {
		b.rowDescription(p.columns, nil)
	}
}

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

// commitPortals is PreCommit_Portals: cursors WITH HOLD stay.
func (b *Backend) commitPortals() {
	for name, p := range b.portals {
		switch {
		case p.held:
		case p.hold && !p.failed:
			p.held = true
		default:
			delete(b.portals, name)
		}
	}
}

// failPortals is AtAbort_Portals and AtSubAbort_Portals, from a level on.
func (b *Backend) failPortals(level int) {
	for _, p := range b.portals {
		if !p.held && p.level >= level {
			p.failed, p.released = true, true
		}
	}
}

// dropPortals is AtCleanup_Portals and AtSubCleanup_Portals.
func (b *Backend) dropPortals(level int) {
	for name, p := range b.portals {
		if !p.held && p.level >= level {
			delete(b.portals, name)
		}
	}
}

// lowerPortals is AtSubCommit_Portals.
func (b *Backend) lowerPortals(level int) {
	for _, p := range b.portals {
		p.level = min(p.level, level)
	}
}
