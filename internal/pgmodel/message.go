package pgmodel

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

func (g *generator) message(typ byte, body []byte) {
	g.out = append(g.out, typ)
	g.out = binary.BigEndian.AppendUint32(g.out, uint32(4+len(body)))
	g.out = append(g.out, body...)
}

func (g *generator) query(text string) { g.out = wire.AppendQuery(g.out, text) }

func (g *generator) sync() { g.out = wire.AppendSync(g.out) }

func (g *generator) parse(name, text string, types ...uint32) {
	body := append([]byte(name+"\x00"+text+"\x00"), 0, byte(len(types)))
	for _, t := range types {
		body = binary.BigEndian.AppendUint32(body, t)
	}
	g.message(wire.Parse, body)
}

func (g *generator) bind(portal, statement string, args ...string) {
	g.bindFormat(0, portal, statement, args...)
}

// null is an argument that stands for NULL.
const null = "\x00"

func (g *generator) bindFormat(format byte, portal, statement string, args ...string) {
	body := append([]byte(portal+"\x00"+statement+"\x00"), 0, 0)
	body = binary.BigEndian.AppendUint16(body, uint16(len(args)))
	for _, a := range args {
		if a == null {
			body = append(body, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		body = binary.BigEndian.AppendUint32(body, uint32(len(a)))
		body = append(body, a...)
	}
	if format != 0 {
		body = append(body, 0, 1, 0, format)
	} else {
		body = append(body, 0, 0)
	}
	g.message(wire.Bind, body)
}

// describe adds the message in so many percent of all cases.
func (g *generator) describe(what byte, name string, percent int) {
	if g.chance(percent) {
		g.message(wire.Describe, append(append([]byte{what}, name...), 0))
	}
}

func (g *generator) execute(portal string, limit int) {
	g.message(wire.Execute, binary.BigEndian.AppendUint32([]byte(portal+"\x00"), uint32(limit)))
}

func (g *generator) close() {
	name := pick(g.r, g.statementName(), g.portalName())
	g.message(wire.CloseMessage, append(append([]byte{pick(g.r, byte('S'), byte('P'))}, name...), 0))
}

// call is a FunctionCall of int4pl, or of nothing.
func (g *generator) call() {
	body := binary.BigEndian.AppendUint32(nil, pick[uint32](g.r, 177, 177, 4_000_000_000))
	body = append(body, 0, 0, 0, 2, 0, 0, 0, 1, '1', 0, 0, 0, 1, '2', 0, 0)
	g.message(wire.FunctionCall, body)
}

// Describe shows a client's messages, for logs. Bytes that are no whole message
// are shown as such.
func Describe(p []byte) string {
	var words []string
	for len(p) > 0 {
		if len(p) < wire.HeaderSize || 1+int(binary.BigEndian.Uint32(p[1:])) > len(p) || binary.BigEndian.Uint32(p[1:]) < 4 {
			words = append(words, fmt.Sprintf("… %q", p))
			break
		}
		n := 1 + int(binary.BigEndian.Uint32(p[1:]))
		words = append(words, describeOne(p[0], p[wire.HeaderSize:n]))
		p = p[n:]
	}
	return strings.Join(words, "  ")
}

func describeOne(typ byte, body []byte) string {
	f := fields(body)
	switch typ {
	case wire.Query:
		return fmt.Sprintf("Query %q", f.text())
	case wire.Parse:
		return fmt.Sprintf("Parse %s %q", shown(f.text()), f.text())
	case wire.Bind:
		portal, name := f.text(), f.text()
		f.formats()
		args := make([]string, f.count())
		for i := range args {
			if n := f.int32(); n >= 0 {
				args[i] = string(f.take(n))
			} else {
				args[i] = "NULL"
			}
		}
		return fmt.Sprintf("Bind %s %s %q", shown(portal), shown(name), args)
	case wire.Execute:
		return fmt.Sprintf("Execute %s %d", shown(f.text()), f.int32())
	case wire.Describe:
		return fmt.Sprintf("Describe %c %s", f.byte(), shown(f.text()))
	case wire.CloseMessage:
		return fmt.Sprintf("Close %c %s", f.byte(), shown(f.text()))
	case wire.Sync:
		return "Sync"
	case wire.Flush:
		return "Flush"
	case wire.CopyData:
		return fmt.Sprintf("CopyData %q", body)
	case wire.CopyDone:
		return "CopyDone"
	case wire.CopyFail:
		return "CopyFail"
	case wire.FunctionCall:
		return fmt.Sprintf("FunctionCall %d", f.int32())
	case wire.Terminate:
		return "Terminate"
	}
	return fmt.Sprintf("%c %q", typ, body)
}

func shown(name string) string {
	if name == "" {
		return "-"
	}
	return strings.ReplaceAll(name, long, "…")
}
