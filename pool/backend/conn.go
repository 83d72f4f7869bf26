package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
)

// CloseWait is how long a server that was told to terminate may take to close
// the connection before we do.
const CloseWait = time.Second

// Bounds of what Conn takes in answer to a query.
const (
	resultLimit = 1 << 20  // of a message
	resultBytes = 16 << 20 // of all
	resultRows  = 100_000
)

// Peer is what is known of a connection and of the server at its other end from
// its login on.
type Peer struct {
	Addr          string // host:port or path of the socket that answered
	Host          string // as it is configured
	Remote, Local net.Addr
	TLS           string         // protocol version and cipher suite; empty without TLS
	Facts         *stats.TLS     // nil without TLS
	Direct        bool           // TLS began without an SSLRequest
	Verified      string         // what was verified of the server, an sslmode
	Bound         bool           // the login was bound to the TLS connection
	Key           wire.CancelKey // empty if the server gave none

	network string
}

// Conn is a connection that is secured, verified and logged in. One goroutine
// may use it at a time.
type Conn struct {
	Peer
	Parameters []wire.Parameter // that the server reported until it was ready
	Took       time.Duration    // to open it, from the dialing of its host on

	transport *transport
	err       error // ends the connection's use
}

// enter logs in over a new transport.
func (c *Conn) enter(t *Target, at Address) error {
	terms, err := t.terms(c.transport)
	if err != nil {
		return err
	}
	if err := c.logIn(t.Login, terms, append([]wire.Parameter{{Name: "database", Value: t.Database}}, t.Startup...)); err != nil {
		return err
	}
	c.Remote, c.Local = c.transport.RemoteAddr(), c.transport.LocalAddr()
	c.network, c.Host, c.Addr = at.Network, at.Host, c.Remote.String()
	c.Direct, c.Verified = t.Trust.Direct(), t.Trust.Verification()
	if secured := c.transport.tls; secured != nil {
		state := secured.ConnectionState()
		c.TLS = tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
		c.Facts = stats.TLSOf(state)
	}
	if t.Ready == nil {
		return nil
	}
	return t.Ready(c)
}

// Detach returns what an engine adopts. The Conn must not be used afterwards.
func (c *Conn) Detach() (raw *engine.Transport, secured *tls.Conn) {
	return c.transport.raw, c.transport.tls
}

// Query runs one statement and returns its rows. An error of the server is
// returned as *wire.Error and leaves the connection usable; after any other
// error it is not.
func (c *Conn) Query(ctx context.Context, sql string) ([]wire.Row, error) {
	return c.run(ctx, resultRows, wire.AppendQuery(nil, sql))
}

// QueryRows is Query for a statement with parameters, $1 and so on. They are
// sent beside it and never become part of it. It returns most rows at most.
func (c *Conn) QueryRows(ctx context.Context, most int, sql string, args ...string) ([]wire.Row, error) {
	return c.run(ctx, most, wire.AppendExtendedQuery(nil, sql, uint32(most), args...))
}

// run sends messages and returns the rows of the answer, most at most: a server
// that was not verified in full could send any number.
func (c *Conn) run(ctx context.Context, most int, messages []byte) ([]wire.Row, error) {
	if c.err != nil {
		return nil, c.err
	}
	stop := endWith(ctx, c.transport)
	defer stop()
	answer := wire.Answer{MostRows: most}
	err := c.ask(messages, &answer, resultLimit, resultBytes)
	switch {
	case err == nil:
		if !stop() { // the deadline has come, or is about to
			c.err = context.Cause(ctx)
		}
		if answer.Refused != nil {
			return answer.Rows, answer.Refused
		}
		return answer.Rows, nil
	case answer.Refused != nil: // the server's error says more than the end of its connection
		err = answer.Refused
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	c.err = err
	return nil, err
}

// RunConnectQuery runs connect_query, within Target.Ready. As in PgBouncer an
// error of the server is returned as refused and changes nothing. Parameters that
// the query sets become those of the login.
func (c *Conn) RunConnectQuery(sql string) (refused *wire.Error, err error) {
	answer := wire.Answer{SkipRows: true}
	err = c.ask(wire.AppendQuery(nil, sql), &answer, loginMessageLimit, loginBytes)
	refused = answer.Refused
	switch {
	case refused != nil && refused.EndsSession():
		return nil, refused
	case errors.Is(err, wire.ErrCopy):
		err = errors.New("COPY is not supported")
	case err == nil && !answer.Idle:
		err = errors.New("it left a transaction open")
	}
	for _, p := range answer.Reported {
		c.Parameters = wire.SetParameter(c.Parameters, p)
	}
	return refused, err
}

// ask sends messages and reads the answer up to ReadyForQuery, of messages up to
// limit and of total bytes.
func (c *Conn) ask(messages []byte, answer *wire.Answer, limit, total int) error {
	if _, err := c.transport.Write(messages); err != nil {
		return err
	}
	for got := 0; got < total; {
		typ, body, err := wire.ReadMessage(c.transport, nil, limit)
		if err != nil {
			return err
		}
		got += wire.HeaderSize + len(body)
		if err := answer.Take(typ, body); err != nil || answer.Ready {
			return err
		}
	}
	return errors.New("result too large")
}

// Err returns why the connection can no longer be used, or nil.
func (c *Conn) Err() error { return c.err }

// Close sends Terminate and closes the connection.
func (c *Conn) Close() {
	c.transport.SetDeadline(time.Now().Add(CloseWait))
	c.transport.Write(wire.AppendTerminate(nil))
	c.transport.Close()
}
