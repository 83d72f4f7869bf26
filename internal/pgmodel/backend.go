package pgmodel

import (
	"github.com/pgseal/pgseal/internal/pgmodel/parser"
	"github.com/pgseal/pgseal/internal/wire"
)

// A Backend is one process of the server: it reads messages and has its session
// do what they say (tcop/postgres.c).
type Backend struct {
	cluster  *Cluster
	session  *Session
	planner  planner
	executor executor

	in     []byte
	out    output
	closed bool

	// The state of PostgresMain.
	extended bool // doing_extended_query_message
	ignoring bool // ignore_till_sync
	query    *simpleQuery
	copying  *copyIn
	waiting  bool // for a lock
}

// PID is the process ID that notifications of the backend carry.
func (b *Backend) PID() int { return b.session.proc.pid }

// Session is what the backend holds.
func (b *Backend) Session() *Session { return b.session }

// Feed gives the backend bytes of its client, in any cuts, and lets it work as
// far as it can.
func (b *Backend) Feed(p []byte) {
	if b.closed {
		return
	}
	b.in = append(b.in, p...)
	b.proceed()
	b.cluster.wake()
}

// Take returns what the backend has flushed since the last call.
func (b *Backend) Take() []byte { return b.out.take() }

// Kept returns what the backend has not flushed.
func (b *Backend) Kept() []byte { return b.out.kept() }

// Closed reports whether the backend has ended, by Terminate or a FATAL error.
func (b *Backend) Closed() bool { return b.closed }

// Blocked reports whether the backend waits for a lock of another one.
func (b *Backend) Blocked() bool { return b.waiting }

// Disconnect is the end of the client's connection.
func (b *Backend) Disconnect() { b.exit() }

// Cancel is a cancel request. It does something only where the backend waits,
// for a lock or for the data of a COPY: elsewhere the model is done before a
// request could come.
func (b *Backend) Cancel() {
	if b.copying != nil {
		b.copying.cancelled = true
	}
	if !b.waiting {
		return
	}
	b.waiting = false
	if b.query == nil {
		b.in = b.in[messageLength(b.in):] // the one that waited
	}
	b.fail(errorf("57014", "canceling statement due to user request"))
	b.proceed()
	b.cluster.wake()
}

func (b *Backend) exit() {
	if !b.closed {
		b.closed, b.waiting = true, false
		b.cluster.leave(b)
		b.cluster.wake()
	}
}

// fatal is an error that ends the session.
func (b *Backend) fatal(e *Error) {
	b.out.notice(wire.ErrorResponse, "FATAL", e)
	b.exit()
}

// badLength answers a length word that is out of bounds: by nothing, or within
// a COPY as if the client had left.
func (b *Backend) badLength() {
	if b.copying != nil {
		b.out.notice(wire.ErrorResponse, "ERROR", errorf("08006", "unexpected EOF on client connection with an open transaction"))
		b.fatal(errorf("08P01", "terminating connection because protocol synchronization was lost"))
		return
	}
	b.exit()
}

// Terminate is pg_terminate_backend.
func (b *Backend) Terminate() {
	if !b.closed {
		b.fatal(errorf("57P01", "terminating connection due to administrator command"))
	}
}

// proceed is the loop of PostgresMain.
func (b *Backend) proceed() {
	read := 0
	for !b.closed && !b.waiting {
		if b.query != nil && b.copying == nil {
			b.runQuery()
			continue
		}
		if len(b.in) == read {
			break
		}
		if b.copying != nil && !copyTakes(b.in[read]) {
			b.protocolLost(b.in[read])
			break
		}
		if b.copying == nil && wire.ClientLimit(b.in[read]) < 0 {
			b.fatal(errorf("08P01", "invalid frontend message type %d", b.in[read]))
			break
		}
		n := messageLength(b.in[read:])
		if n == 0 {
			break
		}
		if n < wire.HeaderSize || n-wire.HeaderSize > wire.ClientLimit(b.in[read]) {
			b.badLength()
			break
		}
		body := b.in[read+wire.HeaderSize : read+n]
		typ := b.in[read]
		if b.copying != nil {
			b.copyData(typ, body)
		} else {
			b.dispatch(typ, body)
		}
		if !b.waiting || b.query != nil {
			read += n
		}
	}
	b.in = b.in[:copy(b.in, b.in[read:])]
	b.tell(true)
}

// dispatch is SocketBackend and the switch of PostgresMain.
func (b *Backend) dispatch(typ byte, body []byte) {
	switch typ {
	case wire.Sync:
		b.ignoring, b.extended = false, false
	case wire.Terminate:
		b.ignoring, b.extended = false, false
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.CloseMessage, wire.Flush:
		b.extended = true
	default:
		b.extended = false
	}
	if b.session.settings.generation != b.cluster.conf.generation {
		b.session.settings.reload()
	}
	if b.ignoring {
		return
	}
	f := fields(body)
	var err *Error
	switch typ {
	case wire.Query:
		b.simpleQuery(f.text())
		return
	case wire.Parse:
		err = b.parseMessage(&f)
	case wire.Bind:
		err = b.bindMessage(&f)
	case wire.Describe:
		err = b.describeMessage(f.byte(), f.text())
	case wire.Execute:
		err = b.executeMessage(&f)
	case wire.CloseMessage:
		err = b.closeMessage(f.byte(), f.text())
	case wire.Flush:
		b.out.flush()
	case wire.Sync:
		if b.cluster.Version >= 18 {
			b.session.xact.endImplicit()
		}
		b.finishXact()
		b.ready()
	case wire.FunctionCall:
		if err = b.functionCall(&f); err == nil {
			b.finishXact()
			b.ready()
		}
	case wire.Terminate:
		b.exit()
	}
	if err != nil {
		b.fail(err)
	}
}

// fail is what PostgresMain does after an error.
func (b *Backend) fail(e *Error) {
	b.out.notice(wire.ErrorResponse, "ERROR", e)
	b.query, b.copying = nil, nil
	b.session.xact.abortCurrent()
	if b.extended {
		b.ignoring = true
	}
	if !b.ignoring {
		b.ready()
	}
}

// finishXact is finish_xact_command.
func (b *Backend) finishXact() { b.cluster.notify(b, b.session.xact.finishCommand()) }

// ready ends a command with ReadyForQuery.
func (b *Backend) ready() {
	b.tell(false)
	b.session.settings.report(&b.out)
	b.out.buf = wire.AppendReadyForQuery(b.out.buf, b.session.xact.status())
	b.out.flush()
}

// tell is ProcessNotifyInterrupt: an idle session is told of notifications.
func (b *Backend) tell(flush bool) {
	if b.closed || b.waiting || !b.session.xact.idle() {
		return
	}
	if b.session.async.tell(&b.out) && flush {
		b.out.flush()
	}
}

// mustWait reports whether a statement cannot go on because of a lock that
// another backend has.
func (b *Backend) mustWait(s *parser.Stmt, at phase) bool {
	b.waiting = s != nil && !b.session.xact.aborted() && b.planner.waits(s, at)
	if b.waiting && s.Kind == parser.Create {
		b.session.names.raced = true
	}
	return b.waiting
}

// copyData hands a message to the COPY FROM STDIN under way.
func (b *Backend) copyData(typ byte, body []byte) {
	c := b.copying
	tag, done, err := c.receive(typ, body)
	switch {
	case err != nil:
		b.fail(err)
	case !done:
	case b.query != nil:
		b.copying = nil
		b.session.portals.drop(c.portal)
		b.finishSimple(tag) // the loop goes on with the query
	default:
		b.copying = nil
		b.finishExecute(c.portal, tag, true)
	}
}

// protocolLost answers a message that COPY FROM STDIN does not take: its body
// was not read, so that nothing after it can be.
func (b *Backend) protocolLost(typ byte) {
	b.out.notice(wire.ErrorResponse, "ERROR", errorf("08P01", "unexpected message type 0x%02X during COPY from stdin", typ))
	b.fatal(errorf("08P01", "terminating connection because protocol synchronization was lost"))
}
