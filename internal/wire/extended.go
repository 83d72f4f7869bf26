package wire

import "encoding/binary"

// AppendParse appends a Parse of a statement. rest is what follows the name: the
// text, a zero byte, and the types of the parameters with their number before
// them (PostgreSQL documentation, "Message Formats").
func AppendParse[T string | []byte](dst []byte, name string, rest T) []byte {
	at := len(dst)
	dst = append(dst, Parse, 0, 0, 0, 0)
	dst = append(append(append(dst, name...), 0), rest...)
	PutLength(dst[at:])
	return dst
}

// AppendBind appends a Bind of a statement without parameters to the unnamed
// portal.
func AppendBind(dst []byte, statement string) []byte {
	at := len(dst)
	dst = append(dst, Bind, 0, 0, 0, 0, 0)
	dst = append(append(dst, statement...), 0, 0, 0, 0, 0, 0, 0)
	PutLength(dst[at:])
	return dst
}

// AppendNamed appends a Describe or CloseMessage, which typ is, of a statement
// ('S') or portal ('P').
func AppendNamed(dst []byte, typ, what byte, name string) []byte {
	at := len(dst)
	dst = append(dst, typ, 0, 0, 0, 0, what)
	dst = append(append(dst, name...), 0)
	PutLength(dst[at:])
	return dst
}

// AppendFlush appends a Flush.
func AppendFlush(dst []byte) []byte { return append(dst, Flush, 0, 0, 0, 4) }

// PutLength puts in the length of the message that m is, its header included.
func PutLength(m []byte) { binary.BigEndian.PutUint32(m[1:], uint32(len(m)-1)) }
