package wire

import (
	"bytes"
	"errors"

	"github.com/jackc/pgproto3/v2"
)

// SQLSTATE codes that pgseal itself sends, with PostgreSQL's meaning
// (appendix "PostgreSQL Error Codes").
const (
	CodeSuccess               = "00000"
	CodeConnectionRefused     = "08004"
	CodeConnectionFailure     = "08006"
	CodeProtocolViolation     = "08P01"
	CodeFeatureNotSupported   = "0A000"
	CodeInvalidParameter      = "22023"
	CodeActiveTransaction     = "25001"
	CodeAbortedTransaction    = "25P02"
	CodeIdleInTransaction     = "25P03"
	CodeTransactionTimeout    = "25P04"
	CodeInvalidStatement      = "26000"
	CodeInvalidAuth           = "28000"
	CodeInvalidPassword       = "28P01"
	CodeInvalidCursor         = "34000"
	CodeUndefinedDatabase     = "3D000"
	CodeInsufficientPrivilege = "42501"
	CodeSyntaxError           = "42601"
	CodeUndefinedObject       = "42704"
	CodeUndefinedTable        = "42P01"
	CodeDuplicateStatement    = "42P05"
	CodeTooManyConnections    = "53300"
	CodeProgramLimit          = "54000"
	CodeNotInState            = "55000"
	CodeCantChange            = "55P02"
	CodeQueryCanceled         = "57014"
	CodeAdminShutdown         = "57P01"
	CodeCannotConnectNow      = "57P03"
	CodeIdleSession           = "57P05"
	CodeSystemError           = "58000"
	CodeConfigFile            = "F0000"
	CodeInternal              = "XX000"
)

// Error is an ErrorResponse or NoticeResponse: what the other side is told.
// It is a Go error too, so that it can travel with its SQLSTATE to the place
// that answers the client. Its text is meant for clients and logs alike: it
// holds no secret and no SQL.
type Error struct {
	Severity string // ERROR, FATAL, …; empty means FATAL when it is sent
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
	Cause    error // for our log only, never sent
	Foreign  bool  // it came from the other side: its text may hold anything
}

// Fatal returns an error that ends a session.
func Fatal(code, message string) *Error {
	return &Error{Severity: "FATAL", Code: code, Message: message}
}

// EndsSession reports whether it is the last that its server says.
func (e *Error) EndsSession() bool { return e.Severity == "FATAL" || e.Severity == "PANIC" }

// WithHint returns a copy of e that carries a hint.
func (e *Error) WithHint(hint string) *Error {
	c := *e
	c.Hint = hint
	return &c
}

// WithCause returns a copy of e that remembers for the log what caused it.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.Cause = err
	return &c
}

func (e *Error) Error() string { return e.Severity + " " + e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Append appends e as an ErrorResponse message.
func (e *Error) Append(dst []byte) []byte {
	severity := e.Severity
	if severity == "" {
		severity = "FATAL"
	}
	code := e.Code
	if code == "" {
		code = CodeInternal
	}
	m := pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: code,
		Message: e.Message, Detail: e.Detail, Hint: e.Hint,
	}
	return appendMessage(dst, &m)
}

// AppendNotice appends e as a NoticeResponse message.
func (e *Error) AppendNotice(dst []byte) []byte {
	m := pgproto3.NoticeResponse{
		Severity: e.Severity, SeverityUnlocalized: e.Severity, Code: e.Code,
		Message: e.Message, Detail: e.Detail, Hint: e.Hint,
	}
	return appendMessage(dst, &m)
}

// AsError returns the *Error within err, or a FATAL XX000 that keeps err as
// its cause and tells the client nothing of it.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Fatal(CodeInternal, "internal error in the connection pooler").WithCause(err)
}

// ErrorFields gives each field of the body of an ErrorResponse or NoticeResponse
// that is there as a whole to yield, which must not keep the value. A body whose
// fields are not terminated is an error.
func ErrorFields(body []byte, yield func(field byte, value []byte)) error {
	for len(body) > 0 && body[0] != 0 {
		end := bytes.IndexByte(body[1:], 0)
		if end < 0 {
			return errors.New("error message with an unterminated field")
		}
		yield(body[0], body[1:1+end])
		body = body[2+end:]
	}
	if len(body) == 0 {
		return errors.New("error message without a terminator")
	}
	return nil
}

// ParseError reads the body of an ErrorResponse or NoticeResponse. Servers
// that leave fields out get the defaults that libpq would show; a body whose
// fields are not terminated is an error.
func ParseError(body []byte) (*Error, error) {
	e := &Error{Severity: "ERROR", Code: CodeInternal, Foreign: true}
	untranslated := false
	err := ErrorFields(body, func(field byte, value []byte) {
		switch {
		case field == 'V': // as S, never translated
			e.Severity, untranslated = string(value), true
		case field == 'S' && !untranslated:
			e.Severity = string(value)
		case field == 'C' && len(value) == 5:
			e.Code = string(value)
		case field == 'M':
			e.Message = string(value)
		case field == 'D':
			e.Detail = string(value)
		case field == 'H':
			e.Hint = string(value)
		}
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}
