package pgmodel

import (
	"strconv"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
)

// executor runs statements in portals (pquery.c): queries, and by utility.go
// whatever changes the session.
type executor struct {
	cluster *Cluster // for Extra
	planner *planner
	session *Session
	out     *output
}

// start is PortalDefineQuery and PortalStart.
func (ex *executor) start(p *portal, plan *plan) *Error {
	s := plan.stmt
	if s.Kind == parser.Show {
		if _, err := ex.session.settings.show(s.Name); err != nil {
			return err
		}
	}
	p.plan, p.columns = plan, plan.columns
	switch {
	case s.IsUtility():
		if p.columns = ex.planner.utilityColumns(s); p.columns != nil {
			p.strategy = utilSelect
		}
	case s.Kind == parser.Insert:
		if p.columns != nil {
			p.strategy = oneReturning
		}
	default:
		p.strategy = oneSelect
	}
	if s.Kind == parser.SelectTable {
		ex.snapshot(p)
	}
	return nil
}

// snapshot takes that of SELECT a FROM t.
func (ex *executor) snapshot(p *portal) {
	p.rows = p.plan.table.visible(ex.session.xact.current)
	if p.plan.stmt.Count {
		p.rows = [][][]byte{{[]byte(strconv.Itoa(len(p.rows)))}}
	}
}

// run is PortalRun. It reports whether the portal has come to its end.
func (ex *executor) run(p *portal, limit int) (tag string, done bool, err *Error) {
	if p.failed || p.done {
		return "", false, errorf("55000", "portal %q cannot be run", p.name)
	}
	if tag, done, err = ex.runReady(p, limit); err != nil {
		p.failed = true
	}
	return tag, done, err
}

func (ex *executor) runReady(p *portal, limit int) (tag string, done bool, err *Error) {
	if !p.run {
		if p.strategy == oneSelect {
			ex.describeRun(p)
		}
		if err := ex.execute(p, true); err != nil {
			return "", false, err
		}
		if p.strategy != oneSelect {
			ex.describeRun(p)
		}
		p.run = true
		if p.copying != nil {
			return "", false, nil
		}
	}
	if p.strategy == multiQuery {
		p.done = true
		return p.tag, true, nil
	}
	rows, err := p.take(limit)
	for _, row := range rows {
		ex.out.dataRow(row, p.columns, p.formats)
	}
	return p.count(len(rows)), p.atEnd, err
}

// describeRun sends the RowDescription that belongs to a simple Query. What is
// run to its end before the first row is sent has failed before it.
func (ex *executor) describeRun(p *portal) {
	if p.describe && p.columns != nil {
		ex.out.rowDescription(p.columns, nil)
	}
}

// execute runs a portal's statement for the first time and leaves its rows and
// tag in the portal. top is false within another statement.
func (ex *executor) execute(p *portal, top bool) (err *Error) {
	s := p.plan.stmt
	p.tag = s.Tag
	switch s.Kind {
	case parser.Select:
		row := make([][]byte, len(s.Items))
		for i, e := range s.Items {
			if row[i], err = ex.evaluate(p, i, e); err != nil {
				return err
			}
		}
		p.rows = [][][]byte{row}
	case parser.SelectTable:
	case parser.SelectSeries:
		p.series()
	case parser.Insert:
		ex.insert(p)
	case parser.Unknown:
		return ex.extra(p)
	default:
		if s.IsTransaction() {
			p.tag, err = ex.session.xact.run(s)
			return err
		}
		return ex.utility(p, top)
	}
	return nil
}

// series are the rows of generate_series.
func (p *portal) series() {
	s := p.plan.stmt
	for g := 1; g <= s.N; g++ {
		if g == s.Bad {
			p.bad = errorf("22012", "division by zero")
			return
		}
		v := g
		if s.Bad > 0 {
			v = 1 / (s.Bad - g)
		}
		p.rows = append(p.rows, [][]byte{strconv.AppendInt(nil, int64(v), 10)})
	}
}

func (ex *executor) insert(p *portal) {
	s := p.plan.stmt
	v := p.argument(s.Args[0])
	p.plan.table.insert(ex.session.xact.current, v)
	p.tag = "INSERT 0"
	if s.Returning {
		p.rows = [][][]byte{{v}}
	} else {
		p.tag = "INSERT 0 1"
	}
}

// argument is the value of a literal or parameter, nil for NULL.
func (p *portal) argument(e parser.Expr) []byte {
	if e.Kind != parser.Param {
		return []byte(e.Value)
	}
	if v := p.args[e.Param-1]; v != nil {
		return []byte(*v)
	}
	return nil
}

func (ex *executor) extra(p *portal) *Error {
	args := make([]string, len(p.args))
	for i, a := range p.args {
		if a != nil {
			args[i] = *a
		}
	}
	r, ok := ex.cluster.Extra(ex.session, p.plan.stmt.Text, args)
	if !ok {
		return errorf("42601", "syntax error in %q", p.plan.stmt.Text)
	}
	if r.Err != nil {
		return errorf(r.Err.Code, "%s", r.Err.Message)
	}
	if p.describe && r.Columns != nil {
		ex.out.rowDescription(r.Columns, nil)
	}
	p.columns, p.rows, p.tag, p.whole = r.Columns, r.Rows, r.Tag, r.Tag != ""
	if r.Columns == nil {
		p.strategy = multiQuery
	}
	if p.tag == "" {
		p.tag = "SELECT"
	}
	return nil
}

// evaluate is one item of a SELECT.
func (ex *executor) evaluate(p *portal, i int, e parser.Expr) ([]byte, *Error) {
	switch {
	case e.Kind == parser.Boolean:
		return []byte(e.Value[:1]), nil
	case e.Kind != parser.Call:
		return p.argument(e), nil
	case e.Func == "epoch":
		return []byte(p.plan.folded[i]), nil
	}
	return ex.call(e.Func, e.Args)
}

// call is a function. An empty value is what void functions return.
func (ex *executor) call(fn string, args []string) ([]byte, *Error) {
	s, locks := ex.session, ex.session.locks
	switch fn {
	case "current_user":
		return []byte(s.settings.currentUser()), nil
	case "set_config":
		if err := s.settings.set(s.xact.nestLevel(), args[0], args[1], args[2] == "true"); err != nil {
			return nil, err
		}
		text, _ := s.settings.show(args[0])
		return []byte(text), nil
	case "current_setting":
		text, err := s.settings.show(args[0])
		switch {
		case err == nil:
			return []byte(text), nil
		case len(args) > 1 && args[1] == "true":
			return nil, nil
		}
		return nil, err
	case "pg_advisory_lock":
		locks.lock(&s.proc, integer(args[0]), false)
	case "pg_advisory_xact_lock":
		s.xact.current.lockAdvisory(locks, integer(args[0]))
	case "pg_advisory_unlock":
		if !locks.unlock(&s.proc, integer(args[0]), false) {
			ex.out.warn("01000", "you don't own a lock of type ExclusiveLock")
			return []byte("f"), nil
		}
		return []byte("t"), nil
	case "pg_advisory_unlock_all":
		locks.unlockAll(&s.proc)
	case "pg_notify":
		s.xact.current.notify(args[0], args[1])
	}
	return []byte{}, nil
}

// integer is the value of a literal.
func integer(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
