package pgmodel

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

// ident takes a name, cut to NAMEDATALEN-1 bytes.
func (p *parser) ident() (string, bool) {
	t := p.next()
	return key(t.text), (t.kind == tokenWord || t.kind == tokenQuoted) && t.text != ""
}

// key is a name as far as it counts.
func key(name string) string { return name[:min(len(name), 63)] }

// named is a statement that ends with a name.
func (p *parser) named(k kind, tag string) *stmt {
	name, ok := p.ident()
	if !ok || !p.end() {
		return nil
	}
	return &stmt{kind: k, tag: tag, name: name}
}

func (p *parser) plain(k kind, tag string) *stmt {
	if !p.end() {
		return nil
	}
	return &stmt{kind: k, tag: tag}
}

// endStmt is COMMIT or ROLLBACK, perhaps AND CHAIN.
func (p *parser) endStmt(k kind, tag string) *stmt {
	return p.done(&stmt{kind: k, tag: tag, chain: p.is("and chain")})
}

// statement parses what the tokens hold to their end.
func (p *parser) statement() *stmt {
	switch {
	case p.is("begin"):
		return p.plain(kindBegin, "BEGIN")
	case p.is("start transaction"):
		return p.plain(kindBegin, "START TRANSACTION")
	case p.is("commit"), p.is("end"):
		return p.endStmt(kindCommit, "COMMIT")
	case p.is("rollback to"):
		return p.named(kindRollbackTo, "ROLLBACK")
	case p.is("rollback"), p.is("abort"):
		return p.endStmt(kindRollback, "ROLLBACK")
	case p.is("savepoint"):
		return p.named(kindSavepoint, "SAVEPOINT")
	case p.is("release"):
		return p.named(kindRelease, "RELEASE")
	case p.is("select"):
		return p.selectStmt()
	case p.is("insert into"):
		return p.insertStmt()
	case p.is("set"):
		return p.setStmt()
	case p.is("reset session authorization"):
		return p.done(&stmt{kind: kindReset, tag: "RESET", name: "session_authorization"})
	case p.is("reset all"):
		return p.plain(kindResetAll, "RESET")
	case p.is("reset"):
		return p.named(kindReset, "RESET")
	case p.is("show"):
		return p.named(kindShow, "SHOW")
	case p.is("discard all"):
		return p.plain(kindDiscardAll, "DISCARD ALL")
	case p.is("discard plans"):
		return p.plain(kindDiscardPlans, "DISCARD PLANS")
	case p.is("discard temp"):
		return p.plain(kindDiscardTemp, "DISCARD TEMP")
	case p.is("discard sequences"):
		return p.plain(kindNothing, "DISCARD SEQUENCES")
	case p.is("listen"):
		return p.named(kindListen, "LISTEN")
	case p.is("unlisten *"):
		return p.plain(kindUnlisten, "UNLISTEN")
	case p.is("unlisten"):
		return p.named(kindUnlisten, "UNLISTEN")
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

func (p *parser) setStmt() *stmt {
	s := &stmt{kind: kindSet, tag: "SET"}
	s.local = p.is("local")
	if p.is("session authorization") {
		s.name = "session_authorization"
	} else {
		p.is("session")
		var ok bool
		if s.name, ok = p.ident(); !ok || s.name != "role" && !p.is("to") && !p.is("=") {
			return nil
		}
	}
	if p.is("default") {
		s.isDefault = true
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
			if s.name == "role" {
				t.text = strings.Trim(t.text, `"`)
			}
		}
		if s.name == "search_path" && t.kind == tokenString {
			t.text = quoteIdentifier(t.text)
		}
		values = append(values, t.text)
		if !p.is(",") {
			break
		}
	}
	s.value = strings.Join(values, ", ")
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

func (p *parser) done(s *stmt) *stmt {
	if !p.end() {
		return nil
	}
	return s
}

func (p *parser) notifyStmt() *stmt {
	name, ok := p.ident()
	s := &stmt{kind: kindNotify, tag: "NOTIFY", name: name}
	if p.is(",") {
		t := p.next()
		s.value, ok = t.text, ok && t.kind == tokenString
	}
	if !ok {
		return nil
	}
	return p.done(s)
}

func (p *parser) copyStmt() *stmt {
	name, ok := p.ident()
	switch {
	case !ok:
	case p.is("from stdin"):
		return p.done(&stmt{kind: kindCopyIn, tag: "COPY", name: name})
	case p.is("to stdout"):
		return p.done(&stmt{kind: kindCopyOut, tag: "COPY", name: name})
	}
	return nil
}

// doStmt knows the blocks that run one command by EXECUTE.
func (p *parser) doStmt() *stmt {
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
	s := &stmt{kind: kindDo, tag: "DO", inner: (&parser{tokens: tokenize(command.text)}).statement()}
	if s.inner == nil {
		return nil
	}
	return s
}

func (p *parser) preparedStmt() *stmt {
	switch {
	case p.is("prepare"):
		name, ok := p.ident()
		if !ok || !p.is("as") {
			return nil
		}
		inner := p.statement()
		if inner == nil || !slices.Contains([]kind{kindSelect, kindSelectTable, kindSelectSeries, kindInsert}, inner.kind) {
			return nil
		}
		return &stmt{kind: kindPrepare, tag: "PREPARE", name: name, inner: inner}
	case p.is("execute"):
		name, ok := p.ident()
		s := &stmt{kind: kindExecute, name: name}
		if ok && p.is("(") {
			if s.args = p.arguments(); s.args == nil {
				return nil
			}
		}
		if !ok {
			return nil
		}
		return p.done(s)
	case p.is("deallocate all"):
		return p.plain(kindDeallocateAll, "DEALLOCATE ALL")
	case p.is("deallocate"):
		return p.named(kindDeallocate, "DEALLOCATE")
	}
	return nil
}

// arguments reads literals and parameters to a closing parenthesis.
func (p *parser) arguments() (list []expr) {
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

func (p *parser) literal() (expr, bool) {
	switch t := p.next(); t.kind {
	case tokenNumber:
		return expr{args: []string{t.text}, typ: typeInt4, name: "?column?"}, true
	case tokenString:
		return expr{args: []string{t.text}, typ: typeText, name: "?column?"}, true
	case tokenParam:
		return expr{param: t.number(), typ: typeText, name: "?column?"}, t.number() > 0
	case tokenWord:
		if t.text == "true" || t.text == "false" {
			return expr{args: []string{t.text}, typ: typeBool, name: "bool"}, true
		}
	}
	return expr{}, false
}

func (p *parser) cursorStmt() *stmt {
	switch {
	case p.is("declare"):
		name, ok := p.ident()
		if !ok || !p.is("cursor") {
			return nil
		}
		s := &stmt{kind: kindDeclare, tag: "DECLARE CURSOR", name: name, hold: p.is("with hold")}
		if !p.is("for select") {
			return nil
		}
		if s.inner = p.selectStmt(); s.inner == nil {
			return nil
		}
		return s
	case p.is("fetch"):
		s := &stmt{kind: kindFetch, tag: "FETCH", n: 1}
		if p.is("all") {
			s.n = -1
		} else if p.peek().kind == tokenNumber {
			s.n = p.next().number()
		}
		var ok bool
		if !p.is("from") {
			return nil
		}
		if s.name, ok = p.ident(); !ok {
			return nil
		}
		return p.done(s)
	case p.is("close all"):
		s := p.plain(kindClose, "CLOSE CURSOR ALL")
		if s != nil {
			s.all = true
		}
		return s
	case p.is("close"):
		return p.named(kindClose, "CLOSE CURSOR")
	}
	return nil
}

func (p *parser) tableStmt() *stmt {
	s := &stmt{}
	var ok bool
	switch {
	case p.is("create table"):
		s.kind, s.tag = kindCreate, "CREATE TABLE"
	case p.is("create temp table"):
		s.kind, s.tag, s.temp = kindCreate, "CREATE TABLE", true
	case p.is("drop table if exists"):
		s.kind, s.tag, s.ifExists = kindDrop, "DROP TABLE", true
	case p.is("drop table"):
		s.kind, s.tag = kindDrop, "DROP TABLE"
	case p.is("truncate"):
		s.kind, s.tag = kindTruncate, "TRUNCATE TABLE"
	case p.is("alter table"):
		s.kind, s.tag = kindAlter, "ALTER TABLE"
	default:
		return nil
	}
	if s.name, ok = p.ident(); !ok {
		return nil
	}
	switch s.kind {
	case kindCreate:
		if !p.is("( a int4 )") {
			return nil
		}
		s.dropAtCommit = s.temp && p.is("on commit drop")
	case kindAlter:
		if !p.is("alter a type") {
			return nil
		}
		name, _ := p.ident()
		if s.typ = typeByName[name]; s.typ == 0 {
			return nil
		}
	}
	return p.done(s)
}
