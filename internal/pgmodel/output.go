package pgmodel

import (
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
)

// output is what a backend has written for its client, and how much of that it
// has flushed.
type output struct {
	buf     []byte
	flushed int
}

// take returns what was flushed since the last call.
func (o *output) take() []byte {
	if o.flushed == 0 {
		return nil
	}
	p := append([]byte(nil), o.buf[:o.flushed]...)
	o.buf = o.buf[:copy(o.buf, o.buf[o.flushed:])]
	o.flushed = 0
	return p
}

func (o *output) kept() []byte { return append([]byte(nil), o.buf[o.flushed:]...) }

func (o *output) flush() { o.flushed = len(o.buf) }

// begin starts a message; end fills in its length.
func (o *output) begin(typ byte) int {
	o.buf = append(o.buf, typ, 0, 0, 0, 0)
	return len(o.buf) - 4
}

func (o *output) end(at int) { binary.BigEndian.PutUint32(o.buf[at:], uint32(len(o.buf)-at)) }

func (o *output) uint16(n int) { o.buf = binary.BigEndian.AppendUint16(o.buf, uint16(n)) }

func (o *output) uint32(n uint32) { o.buf = binary.BigEndian.AppendUint32(o.buf, n) }

func (o *output) text(s string) { o.buf = append(append(o.buf, s...), 0) }

func (o *output) empty(typ byte) { o.buf = append(o.buf, typ, 0, 0, 0, 4) }

func (o *output) complete(tag string) {
	at := o.begin(wire.CommandComplete)
	o.text(tag)
	o.end(at)
}

// copyResponse is CopyInResponse or CopyOutResponse, for one column in text.
func (o *output) copyResponse(typ byte) { o.buf = append(o.buf, typ, 0, 0, 0, 9, 0, 0, 1, 0, 0) }

func (o *output) parameterDescription(types []uint32) {
	at := o.begin(wire.ParameterDescription)
	o.uint16(len(types))
	for _, t := range types {
		o.uint32(t)
	}
	o.end(at)
}

func (o *output) rowDescription(columns []Column, formats []int16) {
	at := o.begin(wire.RowDescription)
	o.uint16(len(columns))
	for i, c := range columns {
		o.text(c.Name)
		o.buf = append(o.buf, 0, 0, 0, 0, 0, 0) // table and column, unless asked for
		o.uint32(c.Type)
		o.uint16(int(typeSize(c.Type)))
		o.uint32(0xffffffff)
		o.uint16(int(format(formats, i)))
	}
	o.end(at)
}

func (o *output) dataRow(row [][]byte, columns []Column, formats []int16) {
	at := o.begin(wire.DataRow)
	o.uint16(len(row))
	for i, v := range row {
		if v == nil {
			o.uint32(0xffffffff)
			continue
		}
		if format(formats, i) == 1 && i < len(columns) {
			v = binaryOf(columns[i].Type, v)
		}
		o.uint32(uint32(len(v)))
		o.buf = append(o.buf, v...)
	}
	o.end(at)
}

// format is that of column i: none given means text, one is for all.
func format(formats []int16, i int) int16 {
	switch {
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	}
	return 0
}

func (o *output) functionResult(text string) {
	at := o.begin(wire.FunctionCallResponse)
	o.uint32(uint32(len(text)))
	o.buf = append(o.buf, text...)
	o.end(at)
}

// notice is an ErrorResponse or NoticeResponse. PostgreSQL flushes each.
func (o *output) notice(typ byte, severity string, e *Error) {
	at := o.begin(typ)
	for _, f := range [...]struct {
		field byte
		value string
	}{{'S', severity}, {'V', severity}, {'C', e.Code}, {'M', e.Message}, {'R', e.Routine}} {
		if f.value != "" {
			o.buf = append(o.buf, f.field)
			o.text(f.value)
		}
	}
	o.buf = append(o.buf, 0)
	o.end(at)
	o.flush()
}

func (o *output) warn(code, text string) {
	o.notice(wire.NoticeResponse, "WARNING", &Error{Code: code, Message: text})
}
