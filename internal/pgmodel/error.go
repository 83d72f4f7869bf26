package pgmodel

import (
	"fmt"

	"github.com/pgseal/pgseal/internal/wire"
)

// An Error is one of the model: SQLSTATE, text, and where it matters the name
// of the C function that PostgreSQL reports it from.
type Error struct {
	Code, Message, Routine string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// notice appends an ErrorResponse or NoticeResponse. PostgreSQL flushes each.
func (b *Backend) notice(typ byte, severity string, e *Error) {
	at := b.begin(typ)
	for _, f := range [...]struct {
		field byte
		value string
	}{{'S', severity}, {'V', severity}, {'C', e.Code}, {'M', e.Message}, {'R', e.Routine}} {
		if f.value != "" {
			b.out = append(append(append(b.out, f.field), f.value...), 0)
		}
	}
	b.out = append(b.out, 0)
	b.end(at)
	b.flush()
}

func (b *Backend) warn(code, text string) {
	b.notice(wire.NoticeResponse, "WARNING", &Error{Code: code, Message: text})
}
