package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

const (
	// maxMessage bounds a message that is kept rather than passed over.
	maxMessage = 1 << 20

	readBuffer = 8 << 10

	loginTimeout = 30 * time.Second
)

// ErrRefusesTLS is what a server without TLS answers to a client that asks
// for it.
var ErrRefusesTLS = errors.New("the server does not support SSL")

// Conn is a connection that is logged in. One goroutine uses it at a time.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte // what is sent next, reused
	body []byte // the last message that was kept, reused
	head [wire.HeaderSize]byte
}

// Dial connects and logs in, within ctx and at most 30 seconds.
func Dial(ctx context.Context, e *Endpoint) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, e.Network, e.Address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	c, err := open(ctx, raw, e)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

func open(ctx context.Context, raw net.Conn, e *Endpoint) (*Conn, error) {
	conn := raw
	if e.TLS != nil {
		secured, err := secure(ctx, raw, e.TLS)
		if err != nil {
			return nil, err
		}
		conn = secured
	}
	c := &Conn{conn: conn, in: bufio.NewReaderSize(conn, readBuffer)}
	if err := c.logIn(e); err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	return c, nil
}

// secure asks for TLS and shakes hands (PostgreSQL documentation, "SSL Session
// Encryption").
func secure(ctx context.Context, raw net.Conn, config *tls.Config) (net.Conn, error) {
	var packet [8]byte
	binary.BigEndian.PutUint32(packet[:], uint32(len(packet)))
	binary.BigEndian.PutUint32(packet[4:], wire.SSLRequestCode)
	if _, err := raw.Write(packet[:]); err != nil {
		return nil, fmt.Errorf("ask for TLS: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(raw, answer[:]); err != nil {
		return nil, fmt.Errorf("ask for TLS: %w", err)
	}
	if answer[0] != 'S' {
		return nil, ErrRefusesTLS
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return conn, nil
}

// TLS tells what was negotiated; ok is false for plaintext.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	if secured, is := c.conn.(*tls.Conn); is {
		return secured.ConnectionState(), true
	}
	return state, false
}

// SetDeadline bounds what follows; the zero time bounds nothing.
func (c *Conn) SetDeadline(t time.Time) { c.conn.SetDeadline(t) }

// Close says good-bye and closes.
func (c *Conn) Close() {
	c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	c.conn.Write(wire.AppendTerminate(nil))
	c.conn.Close()
}

func (c *Conn) logIn(e *Endpoint) error {
	params := []wire.Parameter{{Name: "user", Value: e.User}, {Name: "database", Value: e.Database}}
	for name, value := range e.Params {
		params = append(params, wire.Parameter{Name: name, Value: value})
	}
	packet, err := wire.AppendStartup(nil, wire.Version30, params)
	if err != nil {
		return err
	}
	if _, err := c.conn.Write(packet); err != nil {
		return err
	}
	var scram *exchange
	for {
		typ, body, err := c.message()
		if err != nil {
			return err
		}
		switch typ {
		case wire.ReadyForQuery:
			return nil
		case wire.ErrorResponse:
			return serverError(body)
		case wire.Authentication:
			if scram, err = c.authenticate(e, scram, body); err != nil {
				return err
			}
		}
	}
}

func (c *Conn) authenticate(e *Endpoint, scram *exchange, body []byte) (*exchange, error) {
	kind, data, err := wire.ParseAuthentication(body)
	if err != nil {
		return scram, err
	}
	switch kind {
	case wire.AuthOK:
		if scram != nil && scram.serverProof == nil {
			return scram, errors.New("the server accepted the login without proving that it knows the secret")
		}
		return scram, nil
	case wire.AuthCleartext:
		_, err = c.conn.Write(appendMessage(nil, wire.Password, append([]byte(e.Password), 0)))
		return scram, err
	case wire.AuthSASL:
		offered, err := wire.ParseMechanisms(data)
		if err != nil {
			return scram, err
		}
		if !slices.Contains(offered, mechanism) {
			return scram, errors.New("the server does not offer " + mechanism)
		}
		scram = newExchange(e.Password)
		_, err = c.conn.Write(wire.AppendSASLInitialResponse(nil, mechanism, []byte(scram.first())))
		return scram, err
	case wire.AuthSASLContinue, wire.AuthSASLFinal:
		if scram == nil {
			return scram, errors.New("unexpected SASL message from the server")
		}
		if kind == wire.AuthSASLFinal {
			return scram, scram.verify(string(data))
		}
		answer, err := scram.respond(string(data))
		if err != nil {
			return scram, err
		}
		_, err = c.conn.Write(wire.AppendSASLResponse(nil, []byte(answer)))
		return scram, err
	}
	return scram, fmt.Errorf("authentication method %d not supported; supported are SCRAM-SHA-256 and cleartext", kind)
}

// message reads a whole message. Its body is valid until the next one.
func (c *Conn) message() (typ byte, body []byte, err error) {
	typ, n, err := c.header()
	if err != nil {
		return 0, nil, err
	}
	if n > maxMessage {
		return 0, nil, fmt.Errorf("the server sent a message of %d bytes", n)
	}
	c.body = slices.Grow(c.body[:0], n)[:n]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return 0, nil, err
	}
	return typ, c.body, nil
}

// header reads what stands before a body of n bytes.
func (c *Conn) header() (typ byte, n int, err error) {
	if _, err := io.ReadFull(c.in, c.head[:]); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(c.head[1:])
	if length < 4 || length > wire.LargeLimit {
		return 0, 0, fmt.Errorf("invalid message length %d", length)
	}
	return c.head[0], int(length) - 4, nil
}

func appendMessage(dst []byte, typ byte, body []byte) []byte {
	dst = append(dst, typ)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)+4))
	return append(dst, body...)
}

// serverError is what the server reported, as *wire.Error. Its message is the
// server's, who never puts a secret there.
func serverError(body []byte) error {
	e, err := wire.ParseError(body)
	if err != nil {
		return err
	}
	return e
}
