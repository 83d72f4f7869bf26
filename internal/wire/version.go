package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

// Versions of the protocol, as they stand in a startup packet: the major
// version in the upper half, the minor one in the lower. What 3.2 has over
// 3.0 are longer cancel keys; there never was a 3.1.
const (
	Version30 uint32 = 3 << 16
	Version32 uint32 = 3<<16 | 2 // the newest that pgseal speaks
)

// optionPrefix marks the parameters of a startup packet that are options of
// the protocol.
const optionPrefix = "_pq_."

// IsProtocolOption reports whether a parameter of a startup packet is an
// option of the protocol, and no run-time parameter.
func IsProtocolOption(name string) bool { return strings.HasPrefix(name, optionPrefix) }

// AppendNegotiateProtocolVersion appends the answer to a client that asked
// for a newer minor version than ours or for protocol options that we do not
// know: the version that is spoken from now on, and those options. pgproto3
// has no such message.
func AppendNegotiateProtocolVersion(dst []byte, version uint32, unknown []string) []byte {
	start := len(dst)
	dst = append(dst, NegotiateProtocolVersion, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, version)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(unknown)))
	for _, name := range unknown {
		dst = append(append(dst, name...), 0)
	}
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-1))
	return dst
}

// ParseNegotiateProtocolVersion reads the body of a NegotiateProtocolVersion
// message: the version that the server speaks, and the protocol options that
// it does not know.
func ParseNegotiateProtocolVersion(body []byte) (version uint32, unknown []string, err error) {
	malformed := errors.New("malformed NegotiateProtocolVersion message")
	if len(body) < 8 {
		return 0, nil, malformed
	}
	version = binary.BigEndian.Uint32(body)
	n := binary.BigEndian.Uint32(body[4:])
	body = body[8:]
	if uint64(n) > uint64(len(body)) { // each name ends in a byte at least
		return 0, nil, malformed
	}
	for range n {
		name, rest, ok := bytes.Cut(body, []byte{0})
		if !ok {
			return 0, nil, malformed
		}
		unknown, body = append(unknown, string(name)), rest
	}
	if len(body) > 0 {
		return 0, nil, malformed
	}
	return version, unknown, nil
}
