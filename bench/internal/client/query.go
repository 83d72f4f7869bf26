package client

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pgseal/pgseal/internal/wire"
)

// Result is what is known of a result that was passed over.
type Result struct {
	Rows  int
	Bytes int64 // of the bodies of rows or of copied data
	First []string
}

// Query runs one or more statements in the simple protocol. Of the first row
// the values are kept as text, NULL as the empty string. An error that the
// server reported is returned as *wire.Error, and the connection stays usable.
func (c *Conn) Query(sql string) (Result, error) {
	c.out = appendText(c.out[:0], wire.Query, sql)
	return c.roundTrip()
}

// Extended runs one statement by Parse, Bind, Execute and Sync, unnamed, with
// parameters as text.
func (c *Conn) Extended(sql string, args ...string) (Result, error) {
	c.out = c.appendParse(c.out[:0], "", sql)
	c.out = c.appendRun(c.out, "", args)
	return c.roundTrip()
}

// Prepare names a statement, to be run by Prepared.
func (c *Conn) Prepare(name, sql string) error {
	c.out = appendMessage(c.appendParse(c.out[:0], name, sql), wire.Sync, nil)
	_, err := c.roundTrip()
	return err
}

// Describe is Prepare, and has the statement described in the same round trip.
func (c *Conn) Describe(name, sql string) error {
	c.out = appendText(c.appendParse(c.out[:0], name, sql), wire.Describe, "S"+name)
	c.out = appendMessage(c.out, wire.Sync, nil)
	_, err := c.roundTrip()
	return err
}

// Prepared runs what Prepare or Describe named.
func (c *Conn) Prepared(name string, args ...string) (Result, error) {
	c.out = c.appendRun(c.out[:0], name, args)
	return c.roundTrip()
}

func appendText(dst []byte, typ byte, texts ...string) []byte {
	at := len(dst)
	dst = append(dst, typ, 0, 0, 0, 0)
	for _, text := range texts {
		dst = append(append(dst, text...), 0)
	}
	return closeMessage(dst, at)
}

func closeMessage(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-1))
	return dst
}

func (c *Conn) appendParse(dst []byte, name, sql string) []byte {
	at := len(dst)
	dst = appendText(dst, wire.Parse, name, sql)
	return closeMessage(append(dst, 0, 0), at)
}

// appendRun appends Bind, Execute and Sync.
func (c *Conn) appendRun(dst []byte, name string, args []string) []byte {
	at := len(dst)
	dst = appendText(dst, wire.Bind, "", name)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(args)))
	for _, arg := range args {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(arg)))
		dst = append(dst, arg...)
	}
	dst = closeMessage(binary.BigEndian.AppendUint16(dst, 0), at)
	at = len(dst)
	dst = appendText(dst, wire.Execute, "")
	dst = closeMessage(append(dst, 0, 0, 0, 0), at)
	return appendMessage(dst, wire.Sync, nil)
}

// roundTrip sends what is in c.out and reads up to ReadyForQuery.
func (c *Conn) roundTrip() (Result, error) {
	if _, err := c.conn.Write(c.out); err != nil {
		return Result{}, err
	}
	return c.result()
}

func (c *Conn) result() (Result, error) {
	var r Result
	var failure error
	for {
		typ, n, err := c.header()
		if err != nil {
			return r, err
		}
		if typ == wire.DataRow && r.Rows == 0 || typ == wire.ErrorResponse {
			if n > maxMessage {
				return r, fmt.Errorf("the server sent a message of %d bytes", n)
			}
			body := make([]byte, n)
			if err := c.readFull(body); err != nil {
				return r, err
			}
			if typ == wire.ErrorResponse {
				failure = serverError(body)
				continue
			}
			r.First = textValues(body)
		} else if _, err := c.in.Discard(n); err != nil {
			return r, err
		}
		switch typ {
		case wire.DataRow:
			r.Rows++
			r.Bytes += int64(n)
		case wire.CopyData:
			r.Bytes += int64(n)
		case wire.CopyInResponse:
			return r, errCopyIn
		case wire.ReadyForQuery:
			return r, failure
		}
	}
}

func (c *Conn) readFull(p []byte) error {
	for len(p) > 0 {
		n, err := c.in.Read(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// errCopyIn tells CopyIn that the server is ready for data.
var errCopyIn = errors.New("the server waits for COPY data")

// CopyIn runs a COPY … FROM STDIN and sends chunk as often as times says. It
// returns the bytes sent.
func (c *Conn) CopyIn(sql string, chunk []byte, times int) (int64, error) {
	if _, err := c.Query(sql); !errors.Is(err, errCopyIn) {
		if err == nil {
			err = errors.New("the server did not ask for COPY data")
		}
		return 0, err
	}
	message := appendMessage(nil, wire.CopyData, chunk)
	for range times {
		if _, err := c.conn.Write(message); err != nil {
			return 0, err
		}
	}
	c.out = appendMessage(c.out[:0], wire.CopyDone, nil)
	_, err := c.roundTrip()
	return int64(len(chunk)) * int64(times), err
}

// textValues returns the values of a DataRow, none where it is malformed.
func textValues(body []byte) (values []string) {
	row, _ := wire.ParseDataRow(body)
	for _, v := range row {
		values = append(values, v.Text)
	}
	return values
}
