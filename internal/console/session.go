package console

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/pgseal/pgseal/internal/wire"
)

const (
	// maxMessage is the largest message that a client may send.
	maxMessage = 64 << 10
	// writeTimeout is how long a client may take to read an answer.
	writeTimeout = time.Minute
	// flushAt is how much of an answer is gathered before it is sent.
	flushAt = 64 << 10
	// readAhead is how many messages are read while a command runs: what stands
	// behind one in its batch, so that the end of the connection is seen.
	readAhead = 16
	// aheadTimeout is how long more than that may wait behind a command. Whether
	// its client is still there can't be seen meanwhile.
	aheadTimeout = time.Minute
)

// session is one client of the console. It belongs to the goroutine that
// serves it; another one reads, so that a client that leaves is noticed while
// a command waits.
type session struct {
	console  *Console
	client   Client
	in       chan message
	out      []byte
	status   byte // of the transaction, as in ReadyForQuery
	skipping bool // up to the next Sync, because of an error
	prepared map[string]*plan
	portals  map[string]*portal

	// Set by the goroutine that reads, before it ends.
	overrun  bool // the client sent too much behind a command that waits
	panicked any  // what reading ended with, or nil
}

// message is one that the client sent.
type message struct {
	typ  byte
	body []byte
}

// errOver ends a session without a word.
var errOver = errors.New("session is closed")

var errOverrun = wire.Fatal(wire.CodeProgramLimit, "too many messages queued behind a waiting command")

// Serve talks to a client that was greeted, until it leaves or ctx ends, and
// writes nothing once it has returned. The caller closes in when the client ends, and
// cancels ctx to abandon what the client has sent.
func (c *Console) Serve(ctx context.Context, client Client) {
	ctx, cancel := context.WithCancel(ctx)
	c.sessions.Add(1)
	defer c.sessions.Add(-1)
	s := &session{
		console: c, client: client, in: make(chan message, readAhead), status: wire.StatusIdle,
		prepared: map[string]*plan{}, portals: map[string]*portal{},
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer func() {
			if s.panicked = recover(); s.panicked != nil {
				cancel()
			}
			close(s.in)
		}()
		if s.read(ctx) {
			cancel()
		}
	}()
	defer func() {
		cancel()
		client.SetReadDeadline(time.Unix(1, 0)) // whoever reads stops
		<-read
		if s.panicked != nil {
			panic(s.panicked) // here it is dealt with
		}
		if s.overrun {
			s.out = errOverrun.Append(s.out)
			s.flush()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case m, more := <-s.in:
			if !more || s.handle(ctx, m) != nil {
				return
			}
		}
	}
}

// read passes on what the client sends, until ctx ends or the client does. It
// reports whether that went away without a word: then what it waits for ends,
// where otherwise all is done that it sent before it said goodbye.
func (s *session) read(ctx context.Context) (vanished bool) {
	for {
		typ, body, err := wire.ReadMessage(s.client, nil, maxMessage)
		var length *wire.LengthError
		switch {
		case errors.As(err, &length):
			typ, body = 0, nil // no message has this type
		case err != nil:
			return true
		}
		if !s.pass(ctx, message{typ, body}) {
			return true
		}
		if length != nil || typ == wire.Terminate {
			return false
		}
	}
}

// pass hands a message on, and reports false if that can't be done.
func (s *session) pass(ctx context.Context, m message) bool {
	select {
	case s.in <- m:
		return true
	default:
	}
	patience := time.NewTimer(aheadTimeout)
	defer patience.Stop()
	select {
	case s.in <- m:
		return true
	case <-ctx.Done():
	case <-patience.C:
		s.overrun = true
	}
	return false
}

// handle answers a message.
func (s *session) handle(ctx context.Context, m message) error {
	switch m.typ {
	case wire.Terminate:
		return errOver
	case wire.CopyData, wire.CopyDone, wire.CopyFail:
		return nil // the rest of something that has failed, as in PostgreSQL
	case wire.Flush:
		return s.flush()
	case wire.Sync:
		s.skipping = false
		if s.status == wire.StatusIdle {
			clear(s.portals)
		}
		return s.ready()
	case wire.Query:
		s.skipping = false
		return s.query(ctx, m.body)
	case wire.FunctionCall:
		s.fail(&wire.Error{Severity: "ERROR", Code: wire.CodeFeatureNotSupported, Message: "function calls are not supported by the console"})
		return s.ready()
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.CloseMessage:
	case 0:
		return s.violated("invalid message length")
	default:
		return s.violated("invalid frontend message type")
	}
	if s.skipping {
		return nil
	}
	switch err := s.extended(ctx, m); err {
	case nil:
	case errFormat:
		return s.violated(errFormat.Error())
	default:
		s.fail(err)
		s.skipping = true
	}
	if len(s.out) > flushAt {
		return s.flush()
	}
	return nil
}

// violated tells the client of a protocol violation, which
// ends the session.
func (s *session) violated(reason string) error {
	s.out = wire.Fatal(wire.CodeProtocolViolation, reason).Append(s.out)
	s.flush()
	return errOver
}

// query runs the statements of a simple query, up to the first that fails.
func (s *session) query(ctx context.Context, body []byte) error {
	sql, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(rest) > 0 {
		return s.violated(errFormat.Error())
	}
	list, err := split(string(sql))
	if err != nil {
		s.fail(err)
		return s.ready()
	}
	if len(list) == 0 {
		s.out = encode(s.out, &pgproto3.EmptyQueryResponse{})
	}
	for _, st := range list {
		if err := s.one(ctx, st); err != nil {
			s.fail(err)
			break
		}
	}
	return s.ready()
}

// one runs a statement of a simple query.
func (s *session) one(ctx context.Context, st statement) error {
	p, unknown := understand(st)
	if unknown != nil {
		return unknown
	}
	a, err := s.run(ctx, &p)
	if err != nil {
		return err
	}
	if p.columns != nil {
		s.out = appendRowDescription(s.out, p.columns, nil)
	}
	for _, r := range a.rows {
		s.out = appendDataRow(s.out, p.columns, r, nil)
		if len(s.out) > flushAt {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	s.out = appendComplete(s.out, a.tag)
	return nil
}

// run runs a plan. A CancelRequest ends what it waits for.
func (s *session) run(ctx context.Context, p *plan) (answer, error) {
	if s.status == wire.StatusFailed && !p.ends {
		return answer{}, &wire.Error{Severity: "ERROR", Code: wire.CodeAbortedTransaction,
			Message: "current transaction is aborted, commands ignored until end of transaction block"}
	}
	select {
	case <-s.client.Canceled: // it was for something that is over
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.client.Canceled:
			cancel()
		case <-ctx.Done():
		}
	}()
	s.console.commands.Add(1)
	a, err := p.run(ctx, s)
	if err == nil && a.notice != nil {
		s.out = a.notice.AppendNotice(s.out)
	}
	return a, err
}

// fail tells the client of an error, which ends a transaction.
func (s *session) fail(err error) {
	s.out = s.asError(err).Append(s.out)
	if s.status == wire.StatusInTransaction {
		s.status = wire.StatusFailed
	}
}

// ready says that the console waits for the next query.
func (s *session) ready() error {
	s.out = wire.AppendReadyForQuery(s.out, s.status)
	return s.flush()
}

func (s *session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	s.client.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := s.client.Write(s.out)
	s.out = s.out[:0]
	return err
}
