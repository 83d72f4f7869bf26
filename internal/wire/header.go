package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// HeaderSize is the length of the type byte and the length word that start
// each message after the startup phase.
const HeaderSize = 5

// Limits of a message body in bytes, the same as PostgreSQL's own
// PQ_SMALL_MESSAGE_LIMIT and PQ_LARGE_MESSAGE_LIMIT.
const (
	SmallLimit = 10_000
	LargeLimit = 0x3ffffffe
)

// Types of messages that a client sends.
const (
	Query        = 'Q'
	Parse        = 'P'
	Bind         = 'B'
	Execute      = 'E'
	Describe     = 'D'
	CloseMessage = 'C'
	Sync         = 'S'
	Flush        = 'H'
	FunctionCall = 'F'
	CopyFail     = 'f'
	Terminate    = 'X'
	Password     = 'p' // and SASLInitialResponse, SASLResponse
)

// Types of messages that both sides send.
const (
	CopyData = 'd'
	CopyDone = 'c'
)

// Types of messages that a server sends.
const (
	Authentication           = 'R'
	BackendKeyData           = 'K'
	NegotiateProtocolVersion = 'v'
	ParameterStatus          = 'S'
	ReadyForQuery            = 'Z'
	ErrorResponse            = 'E'
	NoticeResponse           = 'N'
	NotificationResponse     = 'A'
	CommandComplete          = 'C'
	DataRow                  = 'D'
	RowDescription           = 'T'
	EmptyQueryResponse       = 'I'
	ParseComplete            = '1'
	BindComplete             = '2'
	CloseComplete            = '3'
	NoData                   = 'n'
	ParameterDescription     = 't'
	PortalSuspended          = 's'
	CopyInResponse           = 'G'
	CopyOutResponse          = 'H'
	CopyBothResponse         = 'W'
	FunctionCallResponse     = 'V'
)

// ParseHeader splits the first HeaderSize bytes of b into a message's type
// and the length of its body, which excludes the length word itself. The
// length is negative if the peer sent a length word below four. b must
// hold at least HeaderSize bytes.
func ParseHeader(b []byte) (typ byte, body int) {
	_ = b[4]
	return b[0], int(int32(binary.BigEndian.Uint32(b[1:5]))) - 4
}

// ClientLimit returns the largest body that a client may send in a message of
// this type after login, or -1 if a client may not send such a message at
// all. The classes are those of PostgreSQL's SocketBackend.
func ClientLimit(typ byte) int {
	switch typ {
	case Query, FunctionCall, Parse, Bind, CopyData:
		return LargeLimit
	case CloseMessage, Describe, Execute, Flush, Sync, Terminate, CopyDone, CopyFail:
		return SmallLimit
	}
	return -1
}

// ServerLimit returns the largest body that a server may send in a message of
// this type after login, or -1 if a server may not send such a message.
func ServerLimit(typ byte) int {
	switch typ {
	case ReadyForQuery:
		return 1
	case ParseComplete, BindComplete, CloseComplete, NoData, PortalSuspended,
		EmptyQueryResponse, CopyDone:
		return 0
	case CommandComplete:
		return SmallLimit
	case ParameterStatus, ErrorResponse, NoticeResponse, NotificationResponse,
		DataRow, RowDescription, ParameterDescription, CopyInResponse,
		CopyOutResponse, CopyBothResponse, CopyData, FunctionCallResponse:
		return LargeLimit
	}
	return -1
}

// A LengthError reports a message whose length word is out of bounds.
type LengthError struct {
	Type byte
	Body int // as announced, without the length word
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("message type 0x%02x announces a body of %d bytes", e.Type, e.Body)
}

// ReadMessage reads one whole message with exact reads: nothing behind it is
// taken from r. A body longer than limit is refused with a *LengthError
// before anything is allocated for it. The body is read into buf if that
// is large enough.
func ReadMessage(r io.Reader, buf []byte, limit int) (typ byte, body []byte, err error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	typ, n := ParseHeader(head[:])
	if n < 0 || n > limit {
		return typ, nil, &LengthError{Type: typ, Body: n}
	}
	if n > cap(buf) {
		buf = make([]byte, n)
	}
	body = buf[:n]
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return typ, nil, err
	}
	return typ, body, nil
}
