package pgmodel

import (
	"encoding/binary"
	"math"
	"strconv"
)

// OIDs of types.
const (
	typeBool    = 16
	typeName    = 19
	typeInt8    = 20
	typeInt4    = 23
	typeText    = 25
	typeFloat4  = 700
	typeNumeric = 1700
	typeVoid    = 2278
)

var typeByName = map[string]uint32{"int4": typeInt4, "float4": typeFloat4, "int8": typeInt8}

// typeSize is pg_type.typlen.
func typeSize(oid uint32) int16 {
	switch oid {
	case typeBool:
		return 1
	case typeName:
		return 64
	case typeInt8:
		return 8
	case typeInt4, typeFloat4, typeVoid:
		return 4
	}
	return -1
}

// readText is a type's input function: it returns the value as the type's
// output function writes it.
func readText(oid uint32, text string) (string, *Error) {
	bits := 32
	switch oid {
	case typeInt8:
		bits = 64
		fallthrough
	case typeInt4:
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return "", errorf("22P02", "invalid input syntax for type integer: %q", text)
		}
		return strconv.FormatInt(n, 10), nil
	case typeFloat4:
		f, err := strconv.ParseFloat(text, 32)
		if err != nil {
			return "", errorf("22P02", "invalid input syntax for type real: %q", text)
		}
		return strconv.FormatFloat(f, 'g', -1, 32), nil
	}
	return text, nil
}

// binaryOf is a type's send function.
func binaryOf(oid uint32, text []byte) []byte {
	switch oid {
	case typeInt4:
		n, _ := strconv.ParseInt(string(text), 10, 32)
		return binary.BigEndian.AppendUint32(nil, uint32(n))
	case typeInt8:
		n, _ := strconv.ParseInt(string(text), 10, 64)
		return binary.BigEndian.AppendUint64(nil, uint64(n))
	case typeFloat4:
		f, _ := strconv.ParseFloat(string(text), 32)
		return binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(f)))
	case typeBool:
		if string(text) == "t" {
			return []byte{1}
		}
		return []byte{0}
	}
	return text
}
