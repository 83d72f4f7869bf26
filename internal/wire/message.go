package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgproto3/v2"
)

// Kinds of Authentication messages.
const (
	AuthOK           = 0
	AuthCleartext    = 3
	AuthMD5          = 5
	AuthSASL         = 10
	AuthSASLContinue = 11
	AuthSASLFinal    = 12
)

// Transaction status in a ReadyForQuery message.
const (
	StatusIdle          = 'I'
	StatusInTransaction = 'T'
	StatusFailed        = 'E'
)

// maxMechanisms bounds the list a server may offer; PostgreSQL offers three.
const maxMechanisms = 16

// appendMessage appends one of our own messages. Encoding fails only above
// one GiB, which nothing that pgseal originates comes near.
func appendMessage(dst []byte, m interface {
	Encode(dst []byte) ([]byte, error)
}) []byte {
	out, err := m.Encode(dst)
	if err != nil {
		return dst
	}
	return out
}

// ParseAuthentication splits the body of an Authentication message into its
// kind and the data behind it.
func ParseAuthentication(body []byte) (kind uint32, data []byte, err error) {
	if len(body) < 4 {
		return 0, nil, errors.New("authentication message is too short")
	}
	return binary.BigEndian.Uint32(body), body[4:], nil
}

// ParseMechanisms reads the list of SASL mechanisms that a server offers.
func ParseMechanisms(data []byte) ([]string, error) {
	var list []string
	for {
		end := bytes.IndexByte(data, 0)
		switch {
		case end < 0:
			return nil, errors.New("list of SASL mechanisms has no terminator")
		case end == 0:
			return list, nil
		case len(list) == maxMechanisms:
			return nil, errors.New("list of SASL mechanisms is too long")
		}
		list = append(list, string(data[:end]))
		data = data[end+1:]
	}
}

// ParseSASLInitialResponse reads the body of a client's first SASL message:
// the mechanism it chose and its data, nil if it sent none.
func ParseSASLInitialResponse(body []byte) (mechanism string, data []byte, err error) {
	end := bytes.IndexByte(body, 0)
	if end < 0 || len(body) < end+5 {
		return "", nil, errors.New("SASL initial response is too short")
	}
	mechanism = string(body[:end])
	n := int32(binary.BigEndian.Uint32(body[end+1:]))
	data = body[end+5:]
	if n == -1 && len(data) == 0 {
		return mechanism, nil, nil
	}
	if int64(n) != int64(len(data)) {
		return "", nil, fmt.Errorf("SASL initial response announces %d bytes and has %d", n, len(data))
	}
	return mechanism, bytes.Clone(data), nil
}

// ParseParameterStatus reads the body of a ParameterStatus message.
func ParseParameterStatus(body []byte) (Parameter, error) {
	name, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(name) == 0 || len(rest) == 0 || bytes.IndexByte(rest, 0) != len(rest)-1 {
		return Parameter{}, errors.New("malformed ParameterStatus message")
	}
	return Parameter{string(name), string(rest[:len(rest)-1])}, nil
}

// maxParameters is how many parameters a server may report. PostgreSQL has
// fifteen; a server that goes on for ever must not cost memory.
const maxParameters = 200

// SetParameter sets p in list, keeping the order in which a server reported.
// What goes beyond 200 parameters is not kept.
func SetParameter(list []Parameter, p Parameter) []Parameter {
	for i := range list {
		if list[i].Name == p.Name {
			list[i].Value = p.Value
			return list
		}
	}
	if len(list) >= maxParameters {
		return list
	}
	return append(list, p)
}

// AppendParameterStatus appends a ParameterStatus message.
func AppendParameterStatus(dst []byte, p Parameter) []byte {
	return appendMessage(dst, &pgproto3.ParameterStatus{Name: p.Name, Value: p.Value})
}

// AppendBackendKeyData appends a BackendKeyData message.
func AppendBackendKeyData(dst []byte, key CancelKey) []byte {
	dst = append(dst, BackendKeyData)
	dst = binary.BigEndian.AppendUint32(dst, uint32(8+len(key.Secret)))
	dst = binary.BigEndian.AppendUint32(dst, key.PID)
	return append(dst, key.Secret...)
}

// AppendReadyForQuery appends a ReadyForQuery message.
func AppendReadyForQuery(dst []byte, status byte) []byte {
	return appendMessage(dst, &pgproto3.ReadyForQuery{TxStatus: status})
}

// AppendQuery appends a simple Query message. sql must not hold a NUL byte.
func AppendQuery(dst []byte, sql string) []byte {
	return appendMessage(dst, &pgproto3.Query{String: sql})
}

// AppendExtendedQuery appends the messages Parse, Bind, Execute and Sync that run
// one statement, unnamed and with its parameters and results in text form. The
// server infers the types of the parameters. It returns maxRows rows at most,
// all if that is zero. sql must not hold a NUL byte.
func AppendExtendedQuery(dst []byte, sql string, maxRows uint32, args ...string) []byte {
	values := make([][]byte, len(args))
	for i, arg := range args {
		values[i] = []byte(arg)
	}
	dst = appendMessage(dst, &pgproto3.Parse{Query: sql})
	dst = appendMessage(dst, &pgproto3.Bind{Parameters: values})
	dst = appendMessage(dst, &pgproto3.Execute{MaxRows: maxRows})
	return AppendSync(dst)
}

// AppendSync appends a Sync message.
func AppendSync(dst []byte) []byte { return append(dst, Sync, 0, 0, 0, 4) }

// AppendTerminate appends a Terminate message.
func AppendTerminate(dst []byte) []byte { return append(dst, Terminate, 0, 0, 0, 4) }

// AppendCopyFail appends a CopyFail message with a reason.
func AppendCopyFail(dst []byte, reason string) []byte {
	return appendMessage(dst, &pgproto3.CopyFail{Message: reason})
}

// AppendSASLInitialResponse appends the first message of a SASL exchange.
func AppendSASLInitialResponse(dst []byte, mechanism string, data []byte) []byte {
	return appendMessage(dst, &pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: data})
}

// AppendSASLResponse appends a further message of a SASL exchange.
func AppendSASLResponse(dst []byte, data []byte) []byte {
	return appendMessage(dst, &pgproto3.SASLResponse{Data: data})
}

// AppendAuthenticationOK appends the message that lets a client in.
func AppendAuthenticationOK(dst []byte) []byte {
	return appendMessage(dst, &pgproto3.AuthenticationOk{})
}

// AppendAuthenticationSASL appends the offer of SASL mechanisms.
func AppendAuthenticationSASL(dst []byte, mechanisms ...string) []byte {
	return appendMessage(dst, &pgproto3.AuthenticationSASL{AuthMechanisms: mechanisms})
}

// AppendSASLContinue appends a server's step of a SASL exchange.
func AppendSASLContinue(dst []byte, data []byte) []byte {
	return appendMessage(dst, &pgproto3.AuthenticationSASLContinue{Data: data})
}

// AppendSASLFinal appends a server's last step of a SASL exchange.
func AppendSASLFinal(dst []byte, data []byte) []byte {
	return appendMessage(dst, &pgproto3.AuthenticationSASLFinal{Data: data})
}

// AppendAuthenticationMD5 appends the request for an answer to a salt by md5.
func AppendAuthenticationMD5(dst []byte, salt [4]byte) []byte {
	return appendMessage(dst, &pgproto3.AuthenticationMD5Password{Salt: salt})
}

// AppendPassword appends a client's PasswordMessage: a password in the clear, or
// the answer to AuthenticationMD5Password.
func AppendPassword(dst []byte, password string) []byte {
	return appendMessage(dst, &pgproto3.PasswordMessage{Password: password})
}

// AppendAuthenticationCleartext appends the request for a password in the clear.
func AppendAuthenticationCleartext(dst []byte) []byte {
	return appendMessage(dst, &pgproto3.AuthenticationCleartextPassword{})
}
