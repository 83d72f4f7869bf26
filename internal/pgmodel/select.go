package pgmodel

// selectStmt parses what follows SELECT.
func (p *parser) selectStmt() *stmt {
	s := &stmt{kind: kindSelect, tag: "SELECT"}
	if p.is("count ( * ) from") {
		s.count = true
		return p.fromTable(s)
	}
	if p.is("a from") {
		return p.fromTable(s)
	}
	if p.is("1 /") || p.is("g from") {
		p.at = p.start()
		return p.series(s)
	}
	if p.end() {
		return s // SELECT without a list is valid
	}
	for {
		e, ok := p.item()
		if !ok {
			return nil
		}
		s.params = max(s.params, e.param)
		s.items = append(s.items, e)
		if !p.is(",") {
			return p.done(s)
		}
	}
}

// start is the token after the last SELECT.
func (p *parser) start() int {
	for i := len(p.tokens) - 1; i > 0; i-- {
		if p.tokens[i].text == "select" {
			return i + 1
		}
	}
	return 1
}

func (p *parser) fromTable(s *stmt) *stmt {
	var ok bool
	s.kind = kindSelectTable
	if s.name, ok = p.ident(); !ok {
		return nil
	}
	return p.done(s)
}

// series parses the forms g FROM generate_series(1,n) g, 1/(k-g) FROM the same,
// and 1/0.
func (p *parser) series(s *stmt) *stmt {
	if p.next().text == "1" {
		p.next()
		if p.is("(") {
			s.bad = p.next().number()
			if !p.is("- g )") {
				return nil
			}
		} else {
			if p.next().text != "0" {
				return nil
			}
			s.items = []expr{{fn: "1/0", typ: typeInt4, name: "?column?"}}
			return p.done(s)
		}
	}
	s.kind = kindSelectSeries
	if !p.is("from generate_series (") || p.next().text != "1" || !p.is(",") {
		return nil
	}
	s.n = p.next().number()
	if !p.is(") g") {
		return nil
	}
	return p.done(s)
}

// functions of a SELECT: number of arguments, type, and the column's name where
// it is not the function's.
var functions = map[string]struct {
	typ      uint32
	min, max int
}{
	"set_config":             {typeText, 3, 3},
	"current_setting":        {typeText, 1, 2},
	"pg_advisory_lock":       {typeVoid, 1, 1},
	"pg_advisory_xact_lock":  {typeVoid, 1, 1},
	"pg_advisory_unlock":     {typeBool, 1, 1},
	"pg_advisory_unlock_all": {typeVoid, 0, 0},
	"pg_notify":              {typeVoid, 2, 2},
}

func (p *parser) item() (expr, bool) {
	if p.is("extract ( epoch from timestamptz") {
		t := p.next()
		return expr{fn: "epoch", args: []string{t.text}, typ: typeNumeric, name: "extract"}, t.text == epochText && p.is(")")
	}
	if p.is("current_user") {
		return expr{fn: "current_user", typ: typeName, name: "current_user"}, true
	}
	if t := p.peek(); t.kind == tokenWord {
		f, ok := functions[t.text]
		if !ok {
			return expr{}, false
		}
		p.at++
		e := expr{fn: t.text, typ: f.typ, name: t.text}
		if !p.is("(") {
			return e, false
		}
		if !p.is(")") {
			for _, a := range p.arguments() {
				if a.param > 0 {
					return e, false
				}
				e.args = append(e.args, a.args[0])
			}
		}
		return e, len(e.args) >= f.min && len(e.args) <= f.max
	}
	return p.literal()
}

func (p *parser) insertStmt() *stmt {
	s := &stmt{kind: kindInsert, tag: "INSERT"}
	var ok bool
	if s.name, ok = p.ident(); !ok || !p.is("values (") {
		return nil
	}
	if s.args = p.arguments(); len(s.args) != 1 {
		return nil
	}
	s.params = s.args[0].param
	s.returning = p.is("returning a")
	return p.done(s)
}
