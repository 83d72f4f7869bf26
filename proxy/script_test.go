package proxy

import (
	"encoding/binary"
	"strings"
)

// msg builds a message byte by byte, so that the tests do not lean on the
// package that the code under test is built on.
func msg(typ byte, body ...string) string {
	all := strings.Join(body, "")
	return string(binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(all)))) + all
}

// Messages as a client sends them.
func query(sql string) string    { return msg('Q', sql, "\x00") }
func copyData(row string) string { return msg('d', row) }

var (
	parse    = msg('P', "\x00SELECT $1\x00\x00\x00")
	bind     = msg('B', "\x00\x00\x00\x00\x00\x00\x00\x00")
	describe = msg('D', "S\x00")
	execute  = msg('E', "\x00\x00\x00\x00\x00")
	syncMsg  = msg('S')
	flush    = msg('H')
	copyDone = msg('c')
	goodbye  = msg('X')
)

// Messages as a server sends them.
func ready(status string) string          { return msg('Z', status) }
func complete(tag string) string          { return msg('C', tag, "\x00") }
func row(value string) string             { return msg('D', "\x00\x01", size(value), value) }
func parameter(name, value string) string { return msg('S', name, "\x00", value, "\x00") }
func serverError(code string) string {
	return msg('E', "SERROR\x00VERROR\x00C", code, "\x00Mit went wrong\x00\x00")
}
func size(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) }

var (
	rowDescription = msg('T', "\x00\x01c\x00", strings.Repeat("\x00", 18))
	parsed         = msg('1')
	bound          = msg('2')
	copyIn         = msg('G', "\x00\x00\x00")
	notice         = msg('N', "SNOTICE\x00C00000\x00Mby the way\x00\x00")
	notification   = msg('A', "\x00\x00\x00\x07channel\x00payload\x00")
	answer         = rowDescription + row("1") + complete("SELECT 1") + ready("I")
)

// Messages of the extended-query protocol, with names.
func parseAs(name, sql string) string { return msg('P', name, "\x00", sql, "\x00\x00\x00") }
func bindTo(name string) string {
	return msg('B', "\x00", name, "\x00\x00\x00\x00\x00\x00\x00")
}

var (
	closed    = msg('3')
	noData    = msg('n')
	described = msg('t', "\x00\x00")
)
