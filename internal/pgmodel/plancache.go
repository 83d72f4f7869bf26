package pgmodel

import (
	"slices"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
)

// prepared is a statement that Parse or PREPARE has stored. stmt is nil for an
// empty text.
type prepared struct {
	stmt    *parser.Stmt
	types   []uint32
	columns []Column // as they were first, nil for none
	plan    *plan
	fromSQL bool // by PREPARE
}

// preparedStatements are a session's, as in commands/prepare.c.
type preparedStatements struct {
	unnamed *prepared
	named   map[string]*prepared
}

// store is StorePreparedStatement. Only the unnamed one may be there already.
func (ps *preparedStatements) store(name string, p *prepared) *Error {
	switch {
	case name == "":
		ps.unnamed = p
	case ps.named[name] != nil:
		return errorf("42P05", "prepared statement %q already exists", name)
	default:
		ps.named[name] = p
	}
	return nil
}

// fetch is FetchPreparedStatement.
func (ps *preparedStatements) fetch(name string) (*prepared, *Error) {
	p := ps.unnamed
	if name != "" {
		p = ps.named[parser.TruncateIdentifier(name)]
	}
	if p == nil {
		return nil, errorf("26000", "prepared statement %q does not exist", name)
	}
	return p, nil
}

// drop is DropPreparedStatement, which takes names of none too.
func (ps *preparedStatements) drop(name string) {
	if name == "" {
		ps.unnamed = nil
	} else {
		delete(ps.named, parser.TruncateIdentifier(name))
	}
}

// dropAll is DEALLOCATE ALL, which leaves the unnamed one.
func (ps *preparedStatements) dropAll() { clear(ps.named) }

// prepare analyzes a statement for later use.
func (pl *planner) prepare(s *parser.Stmt, types []uint32) (*prepared, *Error) {
	if s.Kind == parser.Show {
		if _, err := pl.session.settings.show(s.Name); err != nil {
			return nil, err
		}
	}
	plan, err := pl.analyze(s, types)
	if err != nil {
		return nil, err
	}
	return &prepared{stmt: s, types: plan.types, columns: plan.columns, plan: plan}, nil
}

// revalidate is RevalidateCachedQuery: the plan is made again where something
// has changed.
func (pl *planner) revalidate(p *prepared) *Error {
	if p.stmt == nil || p.stmt.IsUtility() && p.stmt.Kind != parser.Declare {
		return nil // of utility commands, the model analyzes DECLARE CURSOR only
	}
	if p.stmt.Kind == parser.Select && p.plan.environment == pl.environment() {
		return nil
	}
	plan, err := pl.analyze(p.stmt, p.types)
	if err != nil {
		return err
	}
	if !slices.Equal(plan.columns, p.columns) {
		return &Error{Code: "0A000", Message: "cached plan must not change result type", Routine: "RevalidateCachedQuery"}
	}
	p.plan = plan
	return nil
}

// environment is what a cached plan is compared with before it is used again:
// the effective search path, and DISCARD PLANS.
type environment struct {
	public, temp bool
	resets       int
}

func (pl *planner) environment() environment {
	return environment{pl.session.names.publicInPath(), pl.session.names.tempSchema, pl.resets}
}

// reset is ResetPlanCache.
func (pl *planner) reset() { pl.resets++ }
