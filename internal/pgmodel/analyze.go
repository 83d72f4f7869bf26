package pgmodel

import "github.com/pgseal/pgseal/internal/pgmodel/parser"

// plan is a statement after parse analysis.
type plan struct {
	stmt        *parser.Stmt
	types       []uint32 // of its parameters
	columns     []Column // nil for none
	table       *table
	folded      []string // values of items that are constants only here
	environment environment
}

// planner makes plans: parse analysis, planning and the plan cache. It changes
// nothing in the session but the locks of tables that it opens.
type planner struct {
	session *Session
	resets  int // that have made every cached plan invalid
}

// analyze is parse analysis. types are those that the client gave its
// parameters; zero, and what is missing, is inferred.
func (pl *planner) analyze(s *parser.Stmt, types []uint32) (*plan, *Error) {
	p := &plan{stmt: s, environment: pl.environment(), types: append([]uint32(nil), types...)}
	for len(p.types) < s.Params {
		p.types = append(p.types, 0)
	}
	var err *Error
	switch s.Kind {
	case parser.Select:
		pl.analyzeSelect(p)
	case parser.SelectTable:
		if p.table, err = pl.session.names.open(pl.session.xact.current, s.Name, false); err != nil {
			return nil, err
		}
		p.columns = []Column{{"a", p.table.typ}}
		if s.Count {
			p.columns = []Column{{"count", typeInt8}}
		}
	case parser.SelectSeries:
		p.columns = []Column{{"g", typeInt4}}
		if s.Bad > 0 {
			p.columns = []Column{{"?column?", typeInt4}}
		}
	case parser.Insert:
		if err := pl.analyzeInsert(p); err != nil {
			return nil, err
		}
	case parser.Declare:
		if _, err := pl.analyze(s.Inner, nil); err != nil {
			return nil, err
		}
	case parser.Unknown:
		for i, t := range p.types {
			if t == 0 {
				p.types[i] = typeText
			}
		}
	default:
		p.columns = pl.utilityColumns(s)
	}
	for _, t := range p.types {
		if t == 0 {
			return nil, errorf("42P18", "could not determine data type of parameter")
		}
	}
	return p, nil
}

func (pl *planner) analyzeSelect(p *plan) {
	p.columns = make([]Column, len(p.stmt.Items))
	for i, e := range p.stmt.Items {
		switch e.Kind {
		case parser.Number:
			p.columns[i] = Column{"?column?", typeInt4}
		case parser.String:
			p.columns[i] = Column{"?column?", typeText}
		case parser.Boolean:
			p.columns[i] = Column{"bool", typeBool}
		case parser.Param:
			if p.types[e.Param-1] == 0 {
				p.types[e.Param-1] = typeText
			}
			p.columns[i] = Column{"?column?", p.types[e.Param-1]}
		case parser.Call:
			p.columns[i] = functions[e.Func]
			if e.Func == "epoch" {
				if p.folded == nil {
					p.folded = make([]string, len(p.stmt.Items))
				}
				p.folded[i] = epochs[pl.session.settings.all["timezone"].text]
			}
		}
	}
}

// functions of a SELECT, with the columns that they make.
var functions = map[string]Column{
	"1/0":                    {"?column?", typeInt4},
	"epoch":                  {"extract", typeNumeric},
	"current_user":           {"current_user", typeName},
	"set_config":             {"set_config", typeText},
	"current_setting":        {"current_setting", typeText},
	"pg_advisory_lock":       {"pg_advisory_lock", typeVoid},
	"pg_advisory_xact_lock":  {"pg_advisory_xact_lock", typeVoid},
	"pg_advisory_unlock":     {"pg_advisory_unlock", typeBool},
	"pg_advisory_unlock_all": {"pg_advisory_unlock_all", typeVoid},
	"pg_notify":              {"pg_notify", typeVoid},
}

// epochs are those of the timestamp that the parser knows: they depend on
// TimeZone, from the moment of parse analysis on.
var epochs = map[string]string{
	"UTC":              "1609459200.000000",
	"Europe/Berlin":    "1609455600.000000",
	"America/New_York": "1609477200.000000",
	"Asia/Tokyo":       "1609426800.000000",
}

func (pl *planner) analyzeInsert(p *plan) (err *Error) {
	s := p.stmt
	if p.table, err = pl.session.names.open(pl.session.xact.current, s.Name, false); err != nil {
		return err
	}
	switch e := s.Args[0]; e.Kind {
	case parser.Param:
		switch p.types[e.Param-1] {
		case 0:
			p.types[e.Param-1] = p.table.typ
		case typeText:
			return errorf("42804", "column \"a\" is of type integer but expression is of type text")
		}
	case parser.String:
		if _, err := readText(p.table.typ, e.Value); err != nil {
			return err
		}
	}
	if s.Returning {
		p.columns = []Column{{"a", p.table.typ}}
	}
	return nil
}

// utilityColumns is UtilityTupleDescriptor: what a command returns as things
// are now.
func (pl *planner) utilityColumns(s *parser.Stmt) []Column {
	switch s.Kind {
	case parser.Show:
		if set, err := pl.session.settings.find(s.Name, false); err == nil {
			return []Column{{set.name, typeText}}
		}
	case parser.Execute:
		if p := pl.session.statements.named[s.Name]; p != nil {
			return p.columns
		}
	case parser.Fetch:
		if p := pl.session.portals[s.Name]; p != nil {
			return p.columns
		}
	}
	return nil
}

// fold is the planner's: it evaluates what is constant.
func fold(s *parser.Stmt) *Error {
	for _, e := range s.Items {
		if e.Func == "1/0" {
			return errorf("22012", "division by zero")
		}
	}
	return nil
}

// planNow is analyze for a statement that is run at once.
func (pl *planner) planNow(s *parser.Stmt) (*plan, *Error) {
	plan, err := pl.analyze(s, nil)
	if err != nil {
		return nil, err
	}
	return plan, fold(s)
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

// waits reports whether a statement cannot go on because of a lock that another
// backend has.
func (pl *planner) waits(s *parser.Stmt, at phase) bool {
	x := pl.session.xact.current
	runs := at == atExecute || at == whole
	switch s.Kind {
	case parser.SelectTable, parser.Insert:
		return pl.session.names.conflict(x, s.Name, false)
	case parser.Declare:
		return at != atDescribe && pl.waits(s.Inner, whole)
	case parser.Prepare, parser.Do:
		return runs && pl.waits(s.Inner, whole)
	case parser.Execute:
		p := pl.session.statements.named[s.Name]
		return (runs || at == atDescribe) && p != nil && p.stmt != nil && pl.waits(p.stmt, whole)
	case parser.CopyIn, parser.CopyOut:
		return runs && pl.session.names.conflict(x, s.Name, false)
	case parser.Drop, parser.Alter, parser.Truncate:
		return runs && pl.session.names.conflict(x, s.Name, true)
	case parser.Create:
		return runs && !s.Temp && pl.session.names.takenElsewhere(x, s.Name)
	case parser.Select:
		for _, e := range s.Items {
			if runs && (e.Func == "pg_advisory_lock" || e.Func == "pg_advisory_xact_lock") && pl.session.locks.heldElsewhere(&pl.session.proc, integer(e.Args[0])) {
				return true
			}
		}
	}
	return false
}
