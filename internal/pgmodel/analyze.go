package pgmodel

import "strings"

// plan is a statement after parse analysis.
type plan struct {
	stmt        *stmt
	types       []uint32 // of its parameters
	columns     []Column // nil for none
	table       *table
	folded      []string // values of items that are constants only here
	environment environment
}

// environment is what a cached plan is compared with before it is used again:
// the effective search path, and DISCARD PLANS.
type environment struct {
	public, temp bool
	resets       int
}

func (b *Backend) environment() environment {
	return environment{b.publicInPath(), b.tempNamespace, b.planResets}
}

func (b *Backend) publicInPath() bool {
	return strings.Contains(b.settings["search_path"].text, "public")
}

// isUtility reports whether a statement is run by ProcessUtility.
func (s *stmt) isUtility() bool {
	switch s.kind {
	case kindSelect, kindSelectTable, kindSelectSeries, kindInsert, kindExtra:
		return false
	}
	return true
}

// analyze is parse analysis. types are those that the client gave its
// parameters; zero, and what is missing, is inferred.
func (b *Backend) analyze(s *stmt, types []uint32) (*plan, *Error) {
	p := &plan{stmt: s, environment: b.environment(), types: append([]uint32(nil), types...)}
	for len(p.types) < s.params {
		p.types = append(p.types, 0)
	}
	var err *Error
	switch s.kind {
	case kindSelect:
		b.analyzeSelect(p)
	case kindSelectTable:
		if p.table, err = b.open(s.name, false); err != nil {
			return nil, err
		}
		p.columns = []Column{{"a", p.table.typ}}
		if s.count {
			p.columns = []Column{{"count", typeInt8}}
		}
	case kindSelectSeries:
		p.columns = []Column{{"g", typeInt4}}
		if s.bad > 0 {
			p.columns = []Column{{"?column?", typeInt4}}
		}
	case kindInsert:
		if err := b.analyzeInsert(p); err != nil {
			return nil, err
		}
	case kindDeclare:
		if _, err := b.analyze(s.inner, nil); err != nil {
			return nil, err
		}
	case kindExtra:
		if b.cluster.Columns != nil {
			p.columns = b.cluster.Columns(s.text)
		}
		for i, t := range p.types {
			if t == 0 {
				p.types[i] = typeText
			}
		}
	default:
		p.columns = b.utilityColumns(s)
	}
	for _, t := range p.types {
		if t == 0 {
			return nil, errorf("42P18", "could not determine data type of parameter")
		}
	}
	return p, nil
}

func (b *Backend) analyzeSelect(p *plan) {
	p.columns = make([]Column, len(p.stmt.items))
	for i, e := range p.stmt.items {
		if e.param > 0 && p.types[e.param-1] == 0 {
			p.types[e.param-1] = typeText
		}
		typ := e.typ
		if e.param > 0 {
			typ = p.types[e.param-1]
		}
		p.columns[i] = Column{e.name, typ}
		if e.fn == "epoch" {
			if p.folded == nil {
				p.folded = make([]string, len(p.stmt.items))
			}
			p.folded[i] = epochs[b.settings["timezone"].text]
		}
	}
}

func (b *Backend) analyzeInsert(p *plan) (err *Error) {
	s := p.stmt
	if p.table, err = b.open(s.name, false); err != nil {
		return err
	}
	switch e := s.args[0]; {
	case e.param > 0:
		switch p.types[e.param-1] {
		case 0:
			p.types[e.param-1] = p.table.typ
		case typeText:
			return errorf("42804", "column \"a\" is of type integer but expression is of type text")
		}
	case e.typ == typeText:
		if _, err := readText(p.table.typ, e.args[0]); err != nil {
			return err
		}
	}
	if s.returning {
		p.columns = []Column{{"a", p.table.typ}}
	}
	return nil
}

// epochText is the timestamp whose epoch depends on TimeZone, from the moment
// of parse analysis on.
const epochText = "2021-01-01 00:00"

var epochs = map[string]string{
	"UTC":              "1609459200.000000",
	"Europe/Berlin":    "1609455600.000000",
	"America/New_York": "1609477200.000000",
	"Asia/Tokyo":       "1609426800.000000",
}

// utilityColumns is UtilityTupleDescriptor: what a command returns as things
// are now.
func (b *Backend) utilityColumns(s *stmt) []Column {
	switch s.kind {
	case kindShow:
		if set, err := b.setting(s.name, false); err == nil {
			return []Column{{set.name, typeText}}
		}
	case kindExecute:
		if p := b.statements[s.name]; p != nil {
			return p.columns
		}
	case kindFetch:
		if p := b.portals[s.name]; p != nil {
			return p.columns
		}
	}
	return nil
}

// planned is the planner, which folds constants.
func (b *Backend) planned(s *stmt) *Error {
	for _, e := range s.items {
		if e.fn == "1/0" {
			return errorf("22012", "division by zero")
		}
	}
	return nil
}

// phase says what happens to a statement, and so what locks it needs.
type phase int

const (
	atParse phase = iota
	atBind
	atDescribe
	atExecute
	whole
)

// mustWait reports whether a statement cannot go on because of a lock that
// another backend has.
func (b *Backend) mustWait(s *stmt, at phase) bool {
	if s != nil && !b.aborted() {
		b.waiting = b.conflicts(s, at)
		b.raced = b.raced || b.waiting && s.kind == kindCreate
	}
	return b.waiting
}

func (b *Backend) conflicts(s *stmt, at phase) bool {
	t := func(name string, exclusive bool) bool {
		t := b.find(name)
		return t != nil && t.conflict(b, exclusive)
	}
	runs := at == atExecute || at == whole
	switch s.kind {
	case kindSelectTable, kindInsert:
		return t(s.name, false)
	case kindDeclare:
		return at != atDescribe && b.conflicts(s.inner, whole)
	case kindPrepare, kindDo:
		return runs && b.conflicts(s.inner, whole)
	case kindExecute:
		p := b.statements[s.name]
		return (runs || at == atDescribe) && p != nil && p.stmt != nil && b.conflicts(p.stmt, whole)
	case kindCopyIn, kindCopyOut:
		return runs && t(s.name, false)
	case kindDrop, kindAlter, kindTruncate:
		return runs && t(s.name, true)
	case kindCreate:
		other := b.cluster.tables[s.name]
		return runs && !s.temp && other != nil && other.creator != nil && other.creator != b.xact
	case kindSelect:
		for _, e := range s.items {
			if runs && (e.fn == "pg_advisory_lock" || e.fn == "pg_advisory_xact_lock") && b.heldElsewhere(e.args[0]) {
				return true
			}
		}
	}
	return false
}
