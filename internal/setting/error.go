package setting

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Error is an invalid key of a configuration block. Validate methods join several
// of them with errors.Join.
type Error struct {
	// Key is the name as the user wrote it, relative to its block.
	Key string
	// Err is one sentence about the value.
	Err error
}

func (e *Error) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an *Error whose sentence is formatted as by fmt.Errorf.
func Errorf(key, format string, args ...any) error {
	return &Error{Key: key, Err: fmt.Errorf(format, args...)}
}

// Faults collects the errors of a block, each an *Error. The zero value is empty.
type Faults []error

// Err joins the faults, or returns nil if there are none.
func (f Faults) Err() error { return errors.Join(f...) }

// Add records that the value of a key is invalid.
func (f *Faults) Add(key, format string, args ...any) {
	*f = append(*f, Errorf(key, format, args...))
}

// AddIf calls Add if bad is true.
func (f *Faults) AddIf(bad bool, key, format string, args ...any) {
	if bad {
		f.Add(key, format, args...)
	}
}

// AddErr adds an error, unless it is nil.
func (f *Faults) AddErr(key string, err error) {
	if err != nil {
		*f = append(*f, &Error{Key: key, Err: err})
	}
}

// OneOf asserts that a value is one of those allowed, which are at least two.
func (f *Faults) OneOf(key, value string, allowed ...string) {
	last := len(allowed) - 1
	f.AddIf(!slices.Contains(allowed, value), key, "invalid value %q: must be %s or %s", value, strings.Join(allowed[:last], ", "), allowed[last])
}

// Between asserts that a number is within a range, both ends included.
func (f *Faults) Between(key string, n, least, most int) {
	f.AddIf(n < least || n > most, key, "%d is outside the valid range (%d .. %d)", n, least, most)
}

// Positive asserts that a duration is longer than zero.
func (f *Faults) Positive(key string, d time.Duration) {
	f.AddIf(d <= 0, key, "must be greater than zero")
}

// NotNegative asserts that a duration is zero or longer.
func (f *Faults) NotNegative(key string, d time.Duration) {
	f.AddIf(d < 0, key, "must not be negative")
}

// NoNUL asserts that a text contains no NUL byte, which PostgreSQL's protocol cannot
// transmit.
func (f *Faults) NoNUL(key, text string) {
	f.AddIf(strings.IndexByte(text, 0) >= 0, key, "contains a NUL byte")
}
