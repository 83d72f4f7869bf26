package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Value is a column of a row, in text form.
type Value struct {
	Text string // empty for NULL
	Null bool
}

// A Row is what a query returns one of, or many.
type Row []Value

// ParseDataRow reads the body of a DataRow message.
func ParseDataRow(body []byte) (Row, error) {
	size := len(body)
	malformed := func() (Row, error) { return nil, fmt.Errorf("malformed row of %d bytes", size) }
	if size < 2 {
		return malformed()
	}
	row := make(Row, 0, 8)
	n := int(binary.BigEndian.Uint16(body))
	for body = body[2:]; n > 0; n-- {
		if len(body) < 4 {
			return malformed()
		}
		size := int(int32(binary.BigEndian.Uint32(body)))
		body = body[4:]
		if size == -1 {
			row = append(row, Value{Null: true})
			continue
		}
		if size < 0 || size > len(body) {
			return malformed()
		}
		row, body = append(row, Value{Text: string(body[:size])}), body[size:]
	}
	if len(body) > 0 {
		return malformed()
	}
	return row, nil
}

// ErrCopy is what an Answer returns if the query was a COPY.
var ErrCopy = errors.New("the statement is a COPY")

var errTooManyRows = errors.New("the server sent more rows than it was asked for")

// An Answer is what a server answers to a query of pgseal's own, message by
// message up to ReadyForQuery.
type Answer struct {
	SkipRows bool // rows are of no interest
	MostRows int  // more are an error; 0: any number

	Rows     []Row
	Refused  *Error      // the last ErrorResponse
	Reported []Parameter // each with its last value
	Ready    bool        // ReadyForQuery came
	Idle     bool        // and said that no transaction is open
}

// Take reads the next message. After an error the connection can't be used any
// more; one that ends the server's session is that error.
func (a *Answer) Take(typ byte, body []byte) error {
	switch typ {
	case DataRow:
		if a.SkipRows {
			return nil
		}
		row, err := ParseDataRow(body)
		if err != nil {
			return err
		}
		if a.MostRows > 0 && len(a.Rows) == a.MostRows {
			return errTooManyRows
		}
		a.Rows = append(a.Rows, row)
	case ParameterStatus:
		p, err := ParseParameterStatus(body)
		if err != nil {
			return err
		}
		a.Reported = SetParameter(a.Reported, p)
	case ErrorResponse:
		e, err := ParseError(body)
		if err != nil {
			return err
		}
		if a.Refused = e; e.EndsSession() {
			return e
		}
	case CopyInResponse, CopyOutResponse, CopyBothResponse:
		return ErrCopy
	case ReadyForQuery:
		a.Ready, a.Idle = true, len(body) == 1 && body[0] == StatusIdle
	}
	return nil
}
