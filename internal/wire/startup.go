package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Codes that stand where a startup packet has its protocol version.
const (
	CancelCode     = 80877102
	SSLRequestCode = 80877103
	GSSEncCode     = 80877104
)

// StartupLimit is the largest startup packet in bytes without its length
// word: PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
const StartupLimit = 10_000

// Limits of a cancel key: four bytes in protocol 3.0, up to 256 in 3.2.
const (
	minCancelKey = 4
	maxCancelKey = 256
)

// StartupPacket is a packet of the startup phase: a length word, a code and
// a body, without a type byte.
type StartupPacket struct {
	Code uint32
	Body []byte
}

// A StartupError reports startup bytes that are no packet of the protocol.
type StartupError struct{ reason string }

func (e *StartupError) Error() string { return e.reason }

func startupErrorf(format string, args ...any) error {
	return &StartupError{fmt.Sprintf(format, args...)}
}

// ReadStartup reads one packet of the startup phase with exact reads, so that
// not a byte behind it is taken from r. It returns io.EOF if the peer left
// before it sent anything, and a *StartupError if the length is out of
// bounds; at most StartupLimit bytes are allocated.
func ReadStartup(r io.Reader) (StartupPacket, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return StartupPacket{}, err
	}
	n := int64(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if n < 4 || n > StartupLimit {
		return StartupPacket{}, startupErrorf("invalid length of startup packet")
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return StartupPacket{}, err
	}
	return StartupPacket{Code: binary.BigEndian.Uint32(body), Body: body[4:]}, nil
}

// Major returns the major protocol version that a packet asks for.
func (p StartupPacket) Major() int { return int(p.Code >> 16) }

// Minor returns the minor protocol version that a packet asks for.
func (p StartupPacket) Minor() int { return int(p.Code & 0xffff) }

// Parameter is a run-time parameter with its value, as it stands in a startup
// packet or a ParameterStatus message.
type Parameter struct{ Name, Value string }

// ParseParameters returns the name and value pairs of a startup packet's body
// in their order. A packet that names the role or the database twice is
// refused: a value that smuggles in a second "user" has to lose, and no
// driver sends such a packet.
func ParseParameters(body []byte) ([]Parameter, error) {
	var params []Parameter
	var user, database bool
	for rest := string(body); ; {
		name, after, ok := strings.Cut(rest, "\x00")
		if !ok {
			return nil, startupErrorf("invalid startup packet layout: expected terminator as last byte")
		}
		if name == "" {
			if after != "" {
				return nil, startupErrorf("invalid startup packet layout: expected terminator as last byte")
			}
			return params, nil
		}
		value, next, ok := strings.Cut(after, "\x00")
		if !ok {
			return nil, startupErrorf("invalid startup packet layout: a parameter has no value")
		}
		if name == "user" && user || name == "database" && database {
			return nil, startupErrorf("invalid startup packet: parameter %q is given twice", name)
		}
		user = user || name == "user"
		database = database || name == "database"
		params = append(params, Parameter{name, value})
		rest = next
	}
}

// AppendStartup appends a startup packet that asks for a version of the
// protocol, such as Version32, with params in their order. A NUL byte in a name or value would start a parameter of its own at
// the server, so it is refused.
func AppendStartup(dst []byte, version uint32, params []Parameter) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, version)
	for _, p := range params {
		if p.Name == "" || strings.IndexByte(p.Name, 0) >= 0 || strings.IndexByte(p.Value, 0) >= 0 {
			return dst[:start], fmt.Errorf("startup parameter %q can't be sent: empty name or NUL byte", p.Name)
		}
		dst = append(append(dst, p.Name...), 0)
		dst = append(append(dst, p.Value...), 0)
	}
	dst = append(dst, 0)
	size := len(dst) - start
	if size-4 > StartupLimit {
		return dst[:start], fmt.Errorf("startup packet would have %d bytes, more than %d", size-4, StartupLimit)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(size))
	return dst, nil
}

// AppendRequest appends a bodyless packet of the startup phase: SSLRequest or
// GSSENCRequest by its code.
func AppendRequest(dst []byte, code uint32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, 8)
	return binary.BigEndian.AppendUint32(dst, code)
}

// CancelKey is what a server hands out in BackendKeyData and a CancelRequest
// brings back: a process ID and a secret. It is comparable, and its zero
// value stands for a server that sent none.
type CancelKey struct {
	PID    uint32
	Secret string
}

// String returns the process ID and hides the secret from logs.
func (k CancelKey) String() string { return strconv.FormatUint(uint64(k.PID), 10) }

// Format writes the same for every verb.
func (k CancelKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalText returns the same for encoders.
func (k CancelKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// ParseCancelKey reads the body of a BackendKeyData message or of a
// CancelRequest packet; the two have one layout.
func ParseCancelKey(body []byte) (CancelKey, error) {
	if len(body) < 4+minCancelKey || len(body) > 4+maxCancelKey {
		return CancelKey{}, startupErrorf("cancel key has %d bytes", len(body)-4)
	}
	return CancelKey{PID: binary.BigEndian.Uint32(body), Secret: string(body[4:])}, nil
}

// AppendCancelRequest appends a CancelRequest packet for key.
func AppendCancelRequest(dst []byte, key CancelKey) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(12+len(key.Secret)))
	dst = binary.BigEndian.AppendUint32(dst, CancelCode)
	dst = binary.BigEndian.AppendUint32(dst, key.PID)
	return append(dst, key.Secret...)
}
