package pgmodel

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/pgseal/pgseal/internal/pgmodel/parser"
	"github.com/pgseal/pgseal/internal/wire"
)

// fields reads the body of a message. Reads past its end return zeros.
type fields []byte

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(*f) {
		n = len(*f)
	}
	p := (*f)[:n]
	*f = (*f)[n:]
	return p
}

func (f *fields) byte() byte {
	if p := f.take(1); len(p) == 1 {
		return p[0]
	}
	return 0
}

func (f *fields) int16() int {
	if p := f.take(2); len(p) == 2 {
		return int(int16(binary.BigEndian.Uint16(p)))
	}
	return 0
}

// count is how many of something follow.
func (f *fields) count() int { return min(max(0, f.int16()), len(*f)) }

func (f *fields) int32() int {
	if p := f.take(4); len(p) == 4 {
		return int(int32(binary.BigEndian.Uint32(p)))
	}
	return 0
}

func (f *fields) text() string {
	for i, c := range *f {
		if c == 0 {
			p := f.take(i + 1)
			return string(p[:i])
		}
	}
	return string(f.take(len(*f)))
}

func (f *fields) formats() []int16 {
	list := make([]int16, f.count())
	for i := range list {
		list[i] = int16(f.int16())
	}
	return list
}

// messageLength returns the length of the message that starts p as it is announced, or
// 0 where it is not whole yet.
func messageLength(p []byte) int {
	if len(p) < wire.HeaderSize {
		return 0
	}
	n := 1 + int(binary.BigEndian.Uint32(p[1:]))
	if len(p) < n && n-wire.HeaderSize <= wire.ClientLimit(p[0]) {
		return 0
	}
	return n
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
	if cut := parser.TruncateIdentifier(name); cut != name {
		return "…" + name[len(cut):]
	}
	return name
}
