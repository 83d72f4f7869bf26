package pgmodel

import (
	"bytes"
	"strconv"

	"github.com/pgseal/pgseal/internal/wire"
)

// copyIn is a COPY FROM STDIN that reads messages by itself.
type copyIn struct {
	portal *portal
	table  *table
	line   []byte // that is not whole yet
	rows   int
	end    bool // \. was read

	cancelled bool // PostgreSQL looks at that when it has read data
}

// copyMessage reports whether COPY FROM STDIN takes a type of message.
func copyMessage(typ byte) bool {
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush, wire.Sync:
		return true
	}
	return false
}

func (b *Backend) startCopyIn(p *portal) *Error {
	t, err := b.open(p.plan.stmt.name, false)
	if err != nil {
		return err
	}
	b.copying = &copyIn{portal: p, table: t}
	b.out = append(b.out, wire.CopyInResponse, 0, 0, 0, 9, 0, 0, 1, 0, 0)
	b.flush()
	return nil
}

// protocolLost answers a message that COPY FROM STDIN does not take: its body
// was not read, so that nothing after it can be.
func (b *Backend) protocolLost(typ byte) {
	b.notice(wire.ErrorResponse, "ERROR", errorf("08P01", "unexpected message type 0x%02X during COPY from stdin", typ))
	b.fatal(errorf("08P01", "terminating connection because protocol synchronization was lost"))
}

// copyMessage is CopyGetData and what is done with the data.
func (b *Backend) copyMessage(typ byte, body []byte) {
	c := b.copying
	switch typ {
	case wire.CopyData:
		if c.cancelled {
			b.fail(errorf("57014", "canceling statement due to user request"))
			return
		}
		if err := b.copyData(body); err != nil {
			b.fail(err)
		}
	case wire.CopyFail:
		b.fail(errorf("57014", "COPY from stdin failed"))
	case wire.CopyDone:
		if len(c.line) > 0 && !c.end {
			if err := b.copyLine(c.line); err != nil {
				b.fail(err)
				return
			}
		}
		b.copying = nil
		tag := c.portal.tag + " " + strconv.Itoa(c.rows)
		c.portal.tag, c.portal.run, c.portal.done = tag, true, true
		if b.query != nil {
			b.dropPortal("", c.portal)
			b.finishSimple(tag)
			return // the loop goes on with the query
		}
		b.finishExecute(c.portal, tag, true)
	}
}

// copyData takes the lines that are whole, so that a bad one fails at once.
func (b *Backend) copyData(data []byte) *Error {
	c := b.copying
	for !c.end {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		c.line = append(c.line, line...)
		if !whole {
			return nil
		}
		if err := b.copyLine(c.line); err != nil {
			return err
		}
		c.line, data = c.line[:0], rest
	}
	return nil
}

func (b *Backend) copyLine(line []byte) *Error {
	c := b.copying
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
	b.insert(c.table, v)
	c.rows++
	return nil
}

func (b *Backend) copyOut(p *portal) *Error {
	t, err := b.open(p.plan.stmt.name, false)
	if err != nil {
		return err
	}
	b.out = append(b.out, wire.CopyOutResponse, 0, 0, 0, 9, 0, 0, 1, 0, 0)
	rows := b.visible(t)
	for _, row := range rows {
		at := b.begin(wire.CopyData)
		v := row[0]
		if v == nil {
			v = []byte(`\N`)
		}
		b.out = append(append(b.out, v...), '\n')
		b.end(at)
	}
	b.empty(wire.CopyDone)
	p.tag += " " + strconv.Itoa(len(rows))
	return nil
}
