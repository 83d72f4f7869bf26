package randomsession

import (
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
)

// OIDs of types of parameters.
const (
	oidInt4 = 23
	oidText = 25
)

func (g *generator) message(typ byte, body []byte) {
	g.out = append(g.out, typ)
	g.out = binary.BigEndian.AppendUint32(g.out, uint32(4+len(body)))
	g.out = append(g.out, body...)
}

func (g *generator) query(text string) { g.out = wire.AppendQuery(g.out, text) }

func (g *generator) sync() { g.out = wire.AppendSync(g.out) }

func (g *generator) parse(name, text string, types ...uint32) {
	rest := append([]byte(text), 0, 0, byte(len(types)))
	for _, t := range types {
		rest = binary.BigEndian.AppendUint32(rest, t)
	}
	g.out = wire.AppendParse(g.out, name, rest)
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
		g.out = wire.AppendNamed(g.out, wire.Describe, what, name)
	}
}

func (g *generator) execute(portal string, limit int) {
	g.message(wire.Execute, binary.BigEndian.AppendUint32([]byte(portal+"\x00"), uint32(limit)))
}

func (g *generator) close(what byte, name string) {
	g.out = wire.AppendNamed(g.out, wire.CloseMessage, what, name)
}

// call is a FunctionCall of int4pl, or of nothing.
func (g *generator) call() {
	body := binary.BigEndian.AppendUint32(nil, pick[uint32](g.r, 177, 177, 4_000_000_000))
	body = append(body, 0, 0, 0, 2, 0, 0, 0, 1, '1', 0, 0, 0, 1, '2', 0, 0)
	g.message(wire.FunctionCall, body)
}
