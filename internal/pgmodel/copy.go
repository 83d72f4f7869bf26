package pgmodel

import (
	"bytes"
	"strconv"

	"github.com/pgseal/pgseal/internal/wire"
)

// copyIn is a COPY FROM STDIN that waits for data.
type copyIn struct {
	portal *portal
	xact   *xact
	table  *table
	line   []byte // that is not whole yet
	rows   int
	end    bool // \. was read

	cancelled bool // PostgreSQL looks at that when it has read data
}

// copyTakes reports whether COPY FROM STDIN takes a type of message.
func copyTakes(typ byte) bool {
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush, wire.Sync:
		return true
	}
	return false
}

func (ex *executor) copyIn(p *portal) *Error {
	x := ex.session.xact.current
	t, err := ex.session.names.open(x, p.plan.stmt.Name, false)
	if err != nil {
		return err
	}
	p.copying = &copyIn{portal: p, xact: x, table: t}
	ex.out.copyResponse(wire.CopyInResponse)
	ex.out.flush()
	return nil
}

func (ex *executor) copyOut(p *portal) *Error {
	x := ex.session.xact.current
	t, err := ex.session.names.open(x, p.plan.stmt.Name, false)
	if err != nil {
		return err
	}
	ex.out.copyResponse(wire.CopyOutResponse)
	rows := t.visible(x)
	for _, row := range rows {
		at := ex.out.begin(wire.CopyData)
		v := row[0]
		if v == nil {
			v = []byte(`\N`)
		}
		ex.out.buf = append(append(ex.out.buf, v...), '\n')
		ex.out.end(at)
	}
	ex.out.empty(wire.CopyDone)
	p.tag += " " + strconv.Itoa(len(rows))
	return nil
}

// receive is CopyGetData for a message that the copy takes. It returns the
// command tag with the last one.
func (c *copyIn) receive(typ byte, body []byte) (tag string, done bool, err *Error) {
	switch typ {
	case wire.CopyData:
		if c.cancelled {
			return "", false, errorf("57014", "canceling statement due to user request")
		}
		return "", false, c.data(body)
	case wire.CopyFail:
		return "", false, errorf("57014", "COPY from stdin failed")
	case wire.CopyDone:
		if len(c.line) > 0 && !c.end {
			if err := c.insert(c.line); err != nil {
				return "", false, err
			}
		}
		p := c.portal
		p.tag += " " + strconv.Itoa(c.rows)
		p.run, p.done = true, true
		return p.tag, true, nil
	}
	return "", false, nil
}

// data takes the lines that are whole, so that a bad one fails at once.
func (c *copyIn) data(data []byte) *Error {
	for !c.end {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		c.line = append(c.line, line...)
		if !whole {
			return nil
		}
		if err := c.insert(c.line); err != nil {
			return err
		}
		c.line, data = c.line[:0], rest
	}
	return nil
}

// insert takes a line.
func (c *copyIn) insert(line []byte) *Error {
	if string(line) == `\.` {
		c.end = true
		return nil
	}
	if bytes.IndexByte(line, '\t') >= 0 {
		return errorf("22P04", "extra data after last expected column")
	}
	var v []byte
	if string(line) != `\N` {
		text, err := readText(c.table.typ, string(line))
		if err != nil {
			return err
		}
		v = []byte(text)
	}
	c.table.insert(c.xact, v)
	c.rows++
	return nil
}
