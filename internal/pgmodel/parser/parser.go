package parser

import (
	"slices"
	"strings"
)

// parser reads one statement of the closed list. Its methods return nil for
// what is not in the list.
type parser struct {
	tokens []token
	at     int
}

func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return token{kind: tokenOther}
}

func (p *parser) next() token {
	t := p.peek()
	p.at++
	return t
}

// is takes the given words or signs if they come next, and nothing otherwise.
func (p *parser) is(phrase string) bool {
	start := p.at
	for word := range strings.FieldsSeq(phrase) {
		t := p.peek()
		if t.text != word || t.kind != tokenWord && t.kind != tokenNumber && t.kind != tokenOther {
			p.at = start
			return false
		}
		p.at++
	}
	return true
}

func (p *parser) end() bool { return p.at >= len(p.tokens) }

// ident takes a name.
func (p *parser) ident() (string, bool) {
	t := p.next()
	return TruncateIdentifier(t.text), (t.kind == tokenWord || t.kind == tokenQuoted) && t.text != ""
}

// named is a statement that ends with a name.
func (p *parser) named(k Kind, tag string) *Stmt {
	name, ok := p.ident()
	if !ok || !p.end() {
		return nil
	}
	return &Stmt{Kind: k, Tag: tag, Name: name}
}

func (p *parser) plain(k Kind, tag string) *Stmt {
	if !p.end() {
		return nil
	}
	return &Stmt{Kind: k, Tag: tag}
}

// endStmt is COMMIT or ROLLBACK, perhaps AND CHAIN.
func (p *parser) endStmt(k Kind, tag string) *Stmt {
	return p.done(&Stmt{Kind: k, Tag: tag, Chain: p.is("and chain")})
}

// statement parses what the tokens hold to their end.
func (p *parser) statement() *Stmt {
	switch {
	case p.is("begin"):
		return p.plain(Begin, "BEGIN")
	case p.is("start transaction"):
		return p.plain(Begin, "START TRANSACTION")
	case p.is("commit"), p.is("end"):
		return p.endStmt(Commit, "COMMIT")
	case p.is("rollback to"):
		return p.named(RollbackTo, "ROLLBACK")
	case p.is("rollback"), p.is("abort"):
		return p.endStmt(Rollback, "ROLLBACK")
	case p.is("savepoint"):
		return p.named(Savepoint, "SAVEPOINT")
	case p.is("release"):
		return p.named(Release, "RELEASE")
	case p.is("select"):
		return p.selectStmt()
	case p.is("insert into"):
		return p.insertStmt()
	case p.is("set"):
		return p.setStmt()
	case p.is("reset session authorization"):
		return p.done(&Stmt{Kind: Reset, Tag: "RESET", Name: "session_authorization"})
	case p.is("reset all"):
		return p.plain(ResetAll, "RESET")
	case p.is("reset"):
		return p.named(Reset, "RESET")
	case p.is("show"):
		return p.named(Show, "SHOW")
	case p.is("discard all"):
		return p.plain(DiscardAll, "DISCARD ALL")
	case p.is("discard plans"):
		return p.plain(DiscardPlans, "DISCARD PLANS")
	case p.is("discard temp"):
		return p.plain(DiscardTemp, "DISCARD TEMP")
	case p.is("discard sequences"):
		return p.plain(DiscardSequences, "DISCARD SEQUENCES")
	case p.is("listen"):
		return p.named(Listen, "LISTEN")
	case p.is("unlisten *"):
		return p.plain(Unlisten, "UNLISTEN")
	case p.is("unlisten"):
		return p.named(Unlisten, "UNLISTEN")
	case p.is("notify"):
		return p.notifyStmt()
	case p.is("copy"):
		return p.copyStmt()
	case p.is("do"):
		return p.doStmt()
	}
	if s := p.preparedStmt(); s != nil {
		return s
	}
	if s := p.cursorStmt(); s != nil {
		return s
	}
	return p.tableStmt()
}

func (p *parser) setStmt() *Stmt {
	s := &Stmt{Kind: Set, Tag: "SET"}
	s.Local = p.is("local")
	if p.is("session authorization") {
		s.Name = "session_authorization"
	} else {
		p.is("session")
		var ok bool
		if s.Name, ok = p.ident(); !ok || s.Name != "role" && !p.is("to") && !p.is("=") {
			return nil
		}
	}
	if p.is("default") {
		s.IsDefault = true
		return p.done(s)
	}
	var values []string
	for {
		t := p.next()
		if t.kind == tokenOther || t.kind == tokenDollar {
			return nil
		}
		if t.kind == tokenQuoted {
			t.text = `"` + t.text + `"`
			if s.Name == "role" {
				t.text = strings.Trim(t.text, `"`)
			}
		}
		if s.Name == "search_path" && t.kind == tokenString {
			t.text = quoteIdentifier(t.text)
		}
		values = append(values, t.text)
		if !p.is(",") {
			break
		}
	}
	s.Value = strings.Join(values, ", ")
	return p.done(s)
}

func quoteIdentifier(name string) string {
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < 'a' || c > 'z') && (i == 0 || !isDigit(c)) {
			return `"` + name + `"`
		}
	}
	if name == "" {
		return `""`
	}
	return name
}

func (p *parser) done(s *Stmt) *Stmt {
	if !p.end() {
		return nil
	}
	return s
}

func (p *parser) notifyStmt() *Stmt {
	name, ok := p.ident()
	s := &Stmt{Kind: Notify, Tag: "NOTIFY", Name: name}
	if p.is(",") {
		t := p.next()
		s.Value, ok = t.text, ok && t.kind == tokenString
	}
	if !ok {
		return nil
	}
	return p.done(s)
}

func (p *parser) copyStmt() *Stmt {
	name, ok := p.ident()
	switch {
	case !ok:
	case p.is("from stdin"):
		return p.done(&Stmt{Kind: CopyIn, Tag: "COPY", Name: name})
	case p.is("to stdout"):
		return p.done(&Stmt{Kind: CopyOut, Tag: "COPY", Name: name})
	}
	return nil
}

// doStmt knows the blocks that run one command by EXECUTE.
func (p *parser) doStmt() *Stmt {
	t := p.next()
	if t.kind != tokenDollar || !p.end() {
		return nil
	}
	inner := &parser{tokens: tokenize(t.text)}
	if !inner.is("begin execute") {
		return nil
	}
	command := inner.next()
	if command.kind != tokenString || !inner.is("; end") {
		return nil
	}
	s := &Stmt{Kind: Do, Tag: "DO", Inner: (&parser{tokens: tokenize(command.text)}).statement()}
	if s.Inner == nil {
		return nil
	}
	return s
}

func (p *parser) preparedStmt() *Stmt {
	switch {
	case p.is("prepare"):
		name, ok := p.ident()
		if !ok || !p.is("as") {
			return nil
		}
		inner := p.statement()
		if inner == nil || !slices.Contains([]Kind{Select, SelectTable, SelectSeries, Insert}, inner.Kind) {
			return nil
		}
		return &Stmt{Kind: Prepare, Tag: "PREPARE", Name: name, Inner: inner}
	case p.is("execute"):
		name, ok := p.ident()
		s := &Stmt{Kind: Execute, Name: name}
		if ok && p.is("(") {
			if s.Args = p.arguments(); s.Args == nil {
				return nil
			}
		}
		if !ok {
			return nil
		}
		return p.done(s)
	case p.is("deallocate all"):
		return p.plain(DeallocateAll, "DEALLOCATE ALL")
	case p.is("deallocate"):
		return p.named(Deallocate, "DEALLOCATE")
	}
	return nil
}

// arguments reads literals and parameters to a closing parenthesis.
func (p *parser) arguments() (list []Expr) {
	for {
		e, ok := p.literal()
		if !ok {
			return nil
		}
		list = append(list, e)
		if p.is(")") {
			return list
		}
		if !p.is(",") {
			return nil
		}
	}
}

func (p *parser) literal() (Expr, bool) {
	switch t := p.next(); t.kind {
	case tokenNumber:
		return Expr{Kind: Number, Value: t.text}, true
	case tokenString:
		return Expr{Kind: String, Value: t.text}, true
	case tokenParam:
		return Expr{Kind: Param, Param: t.number()}, t.number() > 0
	case tokenWord:
		if t.text == "true" || t.text == "false" {
			return Expr{Kind: Boolean, Value: t.text}, true
		}
	}
	return Expr{}, false
}

func (p *parser) cursorStmt() *Stmt {
	switch {
	case p.is("declare"):
		name, ok := p.ident()
		if !ok || !p.is("cursor") {
			return nil
		}
		s := &Stmt{Kind: Declare, Tag: "DECLARE CURSOR", Name: name, Hold: p.is("with hold")}
		if !p.is("for select") {
			return nil
		}
		if s.Inner = p.selectStmt(); s.Inner == nil {
			return nil
		}
		return s
	case p.is("fetch"):
		s := &Stmt{Kind: Fetch, Tag: "FETCH", N: 1}
		if p.is("all") {
			s.N = -1
		} else if p.peek().kind == tokenNumber {
			s.N = p.next().number()
		}
		var ok bool
		if !p.is("from") {
			return nil
		}
		if s.Name, ok = p.ident(); !ok {
			return nil
		}
		return p.done(s)
	case p.is("close all"):
		s := p.plain(Close, "CLOSE CURSOR ALL")
		if s != nil {
			s.All = true
		}
		return s
	case p.is("close"):
		return p.named(Close, "CLOSE CURSOR")
	}
	return nil
}

func (p *parser) tableStmt() *Stmt {
	s := &Stmt{}
	var ok bool
	switch {
	case p.is("create table"):
		s.Kind, s.Tag = Create, "CREATE TABLE"
	case p.is("create temp table"):
		s.Kind, s.Tag, s.Temp = Create, "CREATE TABLE", true
	case p.is("drop table if exists"):
		s.Kind, s.Tag, s.IfExists = Drop, "DROP TABLE", true
	case p.is("drop table"):
		s.Kind, s.Tag = Drop, "DROP TABLE"
	case p.is("truncate"):
		s.Kind, s.Tag = Truncate, "TRUNCATE TABLE"
	case p.is("alter table"):
		s.Kind, s.Tag = Alter, "ALTER TABLE"
	default:
		return nil
	}
	if s.Name, ok = p.ident(); !ok {
		return nil
	}
	switch s.Kind {
	case Create:
		if !p.is("( a int4 )") {
			return nil
		}
		s.DropAtCommit = s.Temp && p.is("on commit drop")
	case Alter:
		if !p.is("alter a type") {
			return nil
		}
		if s.Type, _ = p.ident(); !slices.Contains([]string{"int4", "int8", "float4"}, s.Type) {
			return nil
		}
	}
	return p.done(s)
}
