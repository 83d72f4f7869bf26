package parser

// selectStmt parses what follows SELECT.
func (p *parser) selectStmt() *Stmt {
	s := &Stmt{Kind: Select, Tag: "SELECT"}
	if p.is("count ( * ) from") {
		s.Count = true
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
		s.Params = max(s.Params, e.Param)
		s.Items = append(s.Items, e)
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

func (p *parser) fromTable(s *Stmt) *Stmt {
	var ok bool
	s.Kind = SelectTable
	if s.Name, ok = p.ident(); !ok {
		return nil
	}
	return p.done(s)
}

// series parses the forms g FROM generate_series(1,n) g, 1/(k-g) FROM the same,
// and 1/0.
func (p *parser) series(s *Stmt) *Stmt {
	if p.next().text == "1" {
		p.next()
		if p.is("(") {
			s.Bad = p.next().number()
			if !p.is("- g )") {
				return nil
			}
		} else {
			if p.next().text != "0" {
				return nil
			}
			s.Items = []Expr{{Kind: Call, Func: "1/0"}}
			return p.done(s)
		}
	}
	s.Kind = SelectSeries
	if !p.is("from generate_series (") || p.next().text != "1" || !p.is(",") {
		return nil
	}
	s.N = p.next().number()
	if !p.is(") g") {
		return nil
	}
	return p.done(s)
}

// functions of a SELECT: how many arguments they take.
var functions = map[string]struct{ min, max int }{
	"set_config":             {3, 3},
	"current_setting":        {1, 2},
	"pg_advisory_lock":       {1, 1},
	"pg_advisory_xact_lock":  {1, 1},
	"pg_advisory_unlock":     {1, 1},
	"pg_advisory_unlock_all": {0, 0},
	"pg_notify":              {2, 2},
}

// epochText is the one timestamp whose epoch can be extracted.
const epochText = "2021-01-01 00:00"

func (p *parser) item() (Expr, bool) {
	if p.is("extract ( epoch from timestamptz") {
		t := p.next()
		return Expr{Kind: Call, Func: "epoch"}, t.text == epochText && p.is(")")
	}
	if p.is("current_user") {
		return Expr{Kind: Call, Func: "current_user"}, true
	}
	if t := p.peek(); t.kind == tokenWord {
		f, ok := functions[t.text]
		if !ok {
			return Expr{}, false
		}
		p.at++
		e := Expr{Kind: Call, Func: t.text}
		if !p.is("(") {
			return e, false
		}
		if !p.is(")") {
			for _, a := range p.arguments() {
				if a.Param > 0 {
					return e, false
				}
				e.Args = append(e.Args, a.Value)
			}
		}
		return e, len(e.Args) >= f.min && len(e.Args) <= f.max
	}
	return p.literal()
}

func (p *parser) insertStmt() *Stmt {
	s := &Stmt{Kind: Insert, Tag: "INSERT"}
	var ok bool
	if s.Name, ok = p.ident(); !ok || !p.is("values (") {
		return nil
	}
	if s.Args = p.arguments(); len(s.Args) != 1 {
		return nil
	}
	s.Params = s.Args[0].Param
	s.Returning = p.is("returning a")
	return p.done(s)
}
