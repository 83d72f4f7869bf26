package pgmodel

import "fmt"

// An Error is one of the model: SQLSTATE, text, and where it matters the name
// of the C function that PostgreSQL reports it from.
type Error struct {
	Code, Message, Routine string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func errAborted() *Error {
	return errorf("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}
