package console

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"github.com/jackc/pgproto3/v2"

	"github.com/pgseal/pgseal/internal/wire"
)

// maxNames bounds how many statements, and how many portals, a session may
// have.
const maxNames = 1000

// portal is a statement that is bound, and what is left of its answer.
type portal struct {
	plan    *plan // of nothing if run is nil
	formats []int16
	ran     bool
	answer  answer
}

// extended answers a message of the extended query protocol (PostgreSQL
// documentation, "Extended Query").
func (s *session) extended(ctx context.Context, m message) error {
	f := &fields{rest: m.body}
	switch m.typ {
	case wire.Parse:
		return s.parse(f)
	case wire.Bind:
		return s.bind(f)
	case wire.Describe:
		return s.describe(f)
	case wire.Execute:
		return s.execute(ctx, f)
	default:
		return s.close(f)
	}
}

func (s *session) parse(f *fields) error {
	name, sql := f.string(), f.string()
	f.skip(4 * int(f.int16()))
	if !f.over() {
		return errFormat
	}
	list, unreadable := split(sql)
	switch {
	case unreadable != nil:
		return unreadable
	case len(list) > 1:
		return syntaxError("cannot insert multiple commands into a prepared statement")
	case name != "" && s.prepared[name] != nil:
		return &wire.Error{Code: wire.CodeDuplicateStatement, Message: `prepared statement "` + name + `" already exists`}
	case len(s.prepared) >= maxNames:
		return &wire.Error{Code: wire.CodeProgramLimit, Message: "too many prepared statements in one session"}
	}
	p := &plan{}
	if len(list) == 1 {
		understood, err := understand(list[0])
		if err != nil {
			return err
		}
		p = &understood
	}
	s.prepared[name] = p
	s.out = encode(s.out, &pgproto3.ParseComplete{})
	return nil
}

func (s *session) bind(f *fields) error {
	name, statement := f.string(), f.string()
	f.skip(2 * int(f.int16()))
	parameters := f.int16()
	for range parameters {
		f.skip(int(max(f.int32(), 0)))
	}
	formats := make([]int16, 0, 8)
	for n := f.int16(); n > 0 && !f.bad; n-- {
		formats = append(formats, f.int16())
	}
	if !f.over() {
		return errFormat
	}
	p := s.prepared[statement]
	switch {
	case p == nil:
		return noStatement(statement)
	case parameters > 0:
		return &wire.Error{Code: wire.CodeProtocolViolation, Message: "console commands take no parameters"}
	case len(formats) > 1 && len(formats) != len(p.columns):
		return &wire.Error{Code: wire.CodeProtocolViolation, Message: "bind message does not have a result format for each column"}
	case len(s.portals) >= maxNames:
		return &wire.Error{Code: wire.CodeProgramLimit, Message: "too many portals in one session"}
	}
	for _, format := range formats {
		if format != 0 && format != 1 {
			return &wire.Error{Code: wire.CodeInvalidParameter, Message: "unsupported format code"}
		}
	}
	s.portals[name] = &portal{plan: p, formats: formats}
	s.out = encode(s.out, &pgproto3.BindComplete{})
	return nil
}

func (s *session) describe(f *fields) error {
	what, name := f.byte(), f.string()
	if !f.over() || what != 'S' && what != 'P' {
		return errFormat
	}
	var p *plan
	var formats []int16
	if what == 'S' {
		if p = s.prepared[name]; p == nil {
			return noStatement(name)
		}
		s.out = encode(s.out, &pgproto3.ParameterDescription{})
	} else {
		bound := s.portals[name]
		if bound == nil {
			return noPortal(name)
		}
		p, formats = bound.plan, bound.formats
	}
	if p.columns == nil {
		s.out = encode(s.out, &pgproto3.NoData{})
	} else {
		s.out = appendRowDescription(s.out, p.columns, formats)
	}
	return nil
}

func (s *session) execute(ctx context.Context, f *fields) error {
	name, limit := f.string(), f.int32()
	if !f.over() {
		return errFormat
	}
	p := s.portals[name]
	if p == nil {
		return noPortal(name)
	}
	if p.plan.run == nil {
		s.out = encode(s.out, &pgproto3.EmptyQueryResponse{})
		return nil
	}
	if !p.ran {
		var err error
		if p.answer, err = s.run(ctx, p.plan); err != nil {
			return err
		}
		p.ran = true
	}
	n := len(p.answer.rows)
	if limit > 0 {
		n = min(n, int(limit))
	}
	for _, r := range p.answer.rows[:n] {
		s.out = appendDataRow(s.out, p.plan.columns, r, p.formats)
	}
	if p.answer.rows = p.answer.rows[n:]; len(p.answer.rows) > 0 {
		s.out = encode(s.out, &pgproto3.PortalSuspended{})
		return nil
	}
	s.out = appendComplete(s.out, p.answer.tag)
	return nil
}

func (s *session) close(f *fields) error {
	what, name := f.byte(), f.string()
	switch {
	case !f.over():
		return errFormat
	case what == 'S':
		delete(s.prepared, name)
	case what == 'P':
		delete(s.portals, name)
	default:
		return errFormat
	}
	s.out = encode(s.out, &pgproto3.CloseComplete{})
	return nil
}

// errFormat is what is wrong with a message that ends the session.
var errFormat = errors.New("invalid message format")

func noStatement(name string) *wire.Error {
	return &wire.Error{Code: wire.CodeInvalidStatement, Message: `prepared statement "` + name + `" does not exist`}
}

func noPortal(name string) *wire.Error {
	return &wire.Error{Code: wire.CodeInvalidCursor, Message: `portal "` + name + `" does not exist`}
}

// fields reads the fields of a message. What is not there reads as zero, and
// sets bad.
type fields struct {
	rest []byte
	bad  bool
}

// over reports whether the message was read to its exact end.
func (f *fields) over() bool { return !f.bad && len(f.rest) == 0 }

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.bad, f.rest = true, nil
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) skip(n int) { f.take(n) }

func (f *fields) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) int16() int16 {
	if b := f.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (f *fields) int32() int32 {
	if b := f.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (f *fields) string() string {
	n := bytes.IndexByte(f.rest, 0)
	if n < 0 {
		f.bad, f.rest = true, nil
		return ""
	}
	b := f.take(n + 1)
	return string(b[:n])
}
