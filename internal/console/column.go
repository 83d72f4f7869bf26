package console

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/pgseal/pgseal/internal/wire"
)

// Type is the type of a column, as PostgreSQL has it in pg_type.
type Type struct {
	Name string
	OID  uint32
	size int16 // negative: varies
}

// The types that answers are made of.
var (
	Bool    = Type{"boolean", 16, 1}
	Bytea   = Type{"bytea", 17, -1}
	Int8    = Type{"bigint", 20, 8}
	Int4    = Type{"integer", 23, 4}
	Text    = Type{"text", 25, -1}
	Numeric = Type{"numeric", 1700, -1}
)

// Column is a column of an answer.
type Column struct {
	Name string
	Type Type
}

// row is a row of an answer: nil, string, bool, integers, *big.Int, time.Time.
type row []any

// timeFormat is PgBouncer's, whose columns of times are text.
const timeFormat = "2006-01-02 15:04:05 MST"

// asText writes a value as PostgreSQL does in its text format.
func asText(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return []byte(v)
	case bool:
		if v {
			return []byte("t")
		}
		return []byte("f")
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return []byte(v.UTC().Format(timeFormat))
	}
	return fmt.Append(nil, v)
}

// asBinary writes a value as PostgreSQL does in its binary format.
func asBinary(v any, t Type) []byte {
	s := asText(v)
	if s == nil {
		return nil
	}
	switch t {
	case Bool:
		if s[0] == 't' {
			return []byte{1}
		}
		return []byte{0}
	case Int4:
		n, _ := strconv.ParseInt(string(s), 10, 64)
		return binary.BigEndian.AppendUint32(nil, uint32(n))
	case Int8:
		n, _ := strconv.ParseInt(string(s), 10, 64)
		return binary.BigEndian.AppendUint64(nil, uint64(n))
	case Numeric:
		return binaryNumeric(string(s))
	}
	return s
}

// binaryNumeric writes a whole number as PostgreSQL's numeric_send does: digits
// of base 10,000, the highest first.
func binaryNumeric(s string) []byte {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		n = new(big.Int)
	}
	sign := uint16(0)
	if n.Sign() < 0 {
		sign = 0x4000
	}
	n.Abs(n)
	var digits []uint16 // the lowest first
	base, digit := big.NewInt(10_000), new(big.Int)
	for n.Sign() > 0 {
		n.DivMod(n, base, digit)
		digits = append(digits, uint16(digit.Uint64()))
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(len(digits)))
	out = binary.BigEndian.AppendUint16(out, uint16(max(len(digits)-1, 0)))
	out = binary.BigEndian.AppendUint16(out, sign)
	out = binary.BigEndian.AppendUint16(out, 0)
	for i := len(digits) - 1; i >= 0; i-- {
		out = binary.BigEndian.AppendUint16(out, digits[i])
	}
	return out
}

// appendRowDescription appends the description of an answer. formats are those
// that the client asked for.
func appendRowDescription(dst []byte, columns []Column, formats []int16) []byte {
	m := pgproto3.RowDescription{}
	for i, c := range columns {
		m.Fields = append(m.Fields, pgproto3.FieldDescription{
			Name: []byte(c.Name), DataTypeOID: c.Type.OID, DataTypeSize: c.Type.size, TypeModifier: -1, Format: formatOf(formats, i),
		})
	}
	return encode(dst, &m)
}

// appendDataRow appends a row.
func appendDataRow(dst []byte, columns []Column, r row, formats []int16) []byte {
	m := pgproto3.DataRow{Values: make([][]byte, len(columns))}
	for i, c := range columns {
		if formatOf(formats, i) == 1 {
			m.Values[i] = asBinary(r[i], c.Type)
		} else {
			m.Values[i] = asText(r[i])
		}
	}
	return encode(dst, &m)
}

// formatOf returns the format of a column, by the rules of Bind: none means
// text, and one stands for all.
func formatOf(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	}
	return formats[i]
}

func appendComplete(dst []byte, tag string) []byte {
	return encode(dst, &pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

// encode appends one of our own messages.
func encode(dst []byte, m interface {
	Encode(dst []byte) ([]byte, error)
}) []byte {
	out, err := m.Encode(dst)
	if err != nil { // it is larger than a GiB
		return wire.Fatal(wire.CodeProgramLimit, "the answer is too large").Append(dst)
	}
	return out
}
