package pool

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/tlsconf"
)

// resultLimit is the largest message that Conn takes in answer to a query.
const resultLimit = 1 << 20

// Conn is a connection for queries of pgseal's own, outside of any pool: it is
// secured, verified and logged in as a Server is. One goroutine may use it at
// a time.
type Conn struct {
	conn *transport
	err  error // ends the connection's use
}

// Dial opens a Conn to host, a name or address, as login. ctx bounds the
// opening. An error of the server is returned as *wire.Error.
func Dial(ctx context.Context, host string, port int, trust *tlsconf.Upstream, login Login, dbname string) (*Conn, error) {
	at := DatabaseConfig{Host: host, Port: port}.addresses()[0]
	conn, err := connect(ctx, new(net.Dialer).DialContext, at, trust, 0)
	if err != nil {
		return nil, err
	}
	return newConn(ctx, conn, trust, login, append([]wire.Parameter{{Name: "database", Value: dbname}}, ourStartup...))
}

// newConn logs in over a transport, which it closes where that fails.
func newConn(ctx context.Context, conn *transport, trust *tlsconf.Upstream, login Login, startup []wire.Parameter) (*Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := logIn(conn, login, conn.binding(trust), startup); err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return &Conn{conn: conn}, nil
}

// TLS returns the state of the connection's TLS, and false without TLS.
func (c *Conn) TLS() (tls.ConnectionState, bool) {
	if c.conn.tls == nil {
		return tls.ConnectionState{}, false
	}
	return c.conn.tls.ConnectionState(), true
}

// A Value is a column of a row, in text form.
type Value struct {
	Text string // empty for NULL
	Null bool
}

// A Row is what a query returns one of, or many.
type Row []Value

// Query runs one statement and returns its rows. An error of the server is
// returned as *wire.Error and leaves the connection usable; after any other
// error it is not.
func (c *Conn) Query(ctx context.Context, sql string) ([]Row, error) {
	return c.run(ctx, wire.AppendQuery(nil, sql))
}

// QueryRows is Query for a statement with parameters, $1 and so on. They are
// sent beside it and never become part of it. It returns most rows at most.
func (c *Conn) QueryRows(ctx context.Context, most int, sql string, args ...string) ([]Row, error) {
	return c.run(ctx, wire.AppendExtendedQuery(nil, sql, uint32(most), args...))
}

// run sends messages and reads the answer up to ReadyForQuery.
func (c *Conn) run(ctx context.Context, messages []byte) (rows []Row, err error) {
	if c.err != nil {
		return nil, c.err
	}
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.conn.Write(messages); err != nil {
		return nil, c.broken(err)
	}
	var refused error
	for {
		typ, body, err := wire.ReadMessage(c.conn, nil, resultLimit)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			if refused != nil { // the server's last words tell more than its silence
				err = refused
			}
			return nil, c.broken(err)
		}
		switch typ {
		case wire.DataRow:
			row, err := parseRow(body)
			if err != nil {
				return nil, c.broken(err)
			}
			rows = append(rows, row)
		case wire.ErrorResponse:
			e, err := wire.ParseError(body)
			if err != nil {
				return nil, c.broken(err)
			}
			refused = e
		case wire.CopyInResponse, wire.CopyOutResponse, wire.CopyBothResponse:
			return nil, c.broken(errors.New("the statement is a COPY"))
		case wire.ReadyForQuery:
			if !stop() { // the deadline has come, or is about to
				c.err = context.Cause(ctx)
			}
			return rows, refused
		}
	}
}

func (c *Conn) broken(err error) error {
	c.err = err
	return err
}

// Close says goodbye and closes the connection.
func (c *Conn) Close() {
	c.conn.SetDeadline(time.Now().Add(closeWait))
	c.conn.Write([]byte{wire.Terminate, 0, 0, 0, 4})
	c.conn.Close()
}

// parseRow reads the body of a DataRow message.
func parseRow(body []byte) (Row, error) {
	malformed := fmt.Errorf("malformed row of %d bytes", len(body))
	if len(body) < 2 {
		return nil, malformed
	}
	row := make(Row, 0, 8)
	n := int(binary.BigEndian.Uint16(body))
	for body = body[2:]; n > 0; n-- {
		if len(body) < 4 {
			return nil, malformed
		}
		size := int(int32(binary.BigEndian.Uint32(body)))
		body = body[4:]
		switch {
		case size == -1:
			row = append(row, Value{Null: true})
			continue
		case size < 0 || size > len(body):
			return nil, malformed
		}
		row = append(row, Value{Text: string(body[:size])})
		body = body[size:]
	}
	if len(body) > 0 {
		return nil, malformed
	}
	return row, nil
}
