package relay_test

import (
	"encoding/binary"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// msg builds a message byte by byte, so that the tests do not lean on the
// package that the code under test is built on.
func msg(typ byte, body ...string) string {
	all := strings.Join(body, "")
	return string(binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(all)))) + all
}

// Messages as a client sends them.
func query(sql string) string         { return msg('Q', sql, "\x00") }
func copyData(row string) string      { return msg('d', row) }
func parseAs(name, sql string) string { return msg('P', name, "\x00", sql, "\x00\x00\x00") }
func bindTo(name string) string       { return bindPortal("", name) }
func bindPortal(portal, name string) string {
	return msg('B', portal, "\x00", name, "\x00\x00\x00\x00\x00\x00\x00")
}
func executePortal(portal string) string { return msg('E', portal, "\x00\x00\x00\x00\x00") }
func describeS(name string) string       { return msg('D', "S", name, "\x00") }
func closeS(name string) string          { return msg('C', "S", name, "\x00") }
func call(function uint32) string {
	return msg('F', string(binary.BigEndian.AppendUint32(nil, function)), "\x00\x00\x00\x00\x00\x00")
}

var (
	parse    = parseAs("", "SELECT $1")
	bind     = bindTo("")
	describe = describeS("")
	execute  = executePortal("")
	syncMsg  = msg('S')
	flush    = msg('H')
	copyDone = msg('c')
	copyFail = msg('f', "no\x00")
	goodbye  = msg('X')
)

// Messages as a server sends them.
func ready(status string) string          { return msg('Z', status) }
func complete(tag string) string          { return msg('C', tag, "\x00") }
func parameter(name, value string) string { return msg('S', name, "\x00", value, "\x00") }
func row(values ...string) string {
	body := []string{string(binary.BigEndian.AppendUint16(nil, uint16(len(values))))}
	for _, v := range values {
		body = append(body, string(binary.BigEndian.AppendUint32(nil, uint32(len(v)))), v)
	}
	return msg('D', body...)
}
func serverError(code string) string { return errorSaying(code, "it went wrong") }
func errorSaying(code, message string) string {
	return msg('E', "SERROR\x00VERROR\x00C", code, "\x00M", message, "\x00\x00")
}
func columns(name string) string {
	return msg('T', "\x00\x01", name, "\x00", strings.Repeat("\x00", 18))
}

var (
	rowDescription = columns("c")
	parsed         = msg('1')
	bound          = msg('2')
	closed         = msg('3')
	noData         = msg('n')
	noParameters   = msg('t', "\x00\x00")
	copyIn         = msg('G', "\x00\x00\x00")
	copyOut        = msg('H', "\x00\x00\x00")
	notice         = msg('N', "SNOTICE\x00C00000\x00Mby the way\x00\x00")
	notification   = msg('A', "\x00\x00\x00\x07channel\x00payload\x00")
	answer         = rowDescription + row("1") + complete("SELECT 1") + ready("I")
)

// params reads "a=b c=d" as parameters.
func params(s string) []wire.Parameter {
	var list []wire.Parameter
	for word := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(word, "=")
		list = append(list, wire.Parameter{Name: name, Value: value})
	}
	return list
}
