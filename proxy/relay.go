package proxy

import (
	"fmt"

	"github.com/pgseal/pgseal/internal/wire"
)

// smallMessage is up to which size a message that the relay has to read is
// gathered whole. A ParameterStatus beyond it passes unread.
const smallMessage = 4 << 10

// relay follows the conversation of one client with the servers it is lent,
// message by message, and decides where each byte goes. It touches no socket
// and takes no lock: its driver feeds it what arrived, and does what the steps
// it returns say. Bodies pass through it in whatever pieces they come; only
// headers and a few small messages have to be whole.
//
// The rules are those of PostgreSQL documentation, "Message Flow".
type relay struct {
	linked bool // a server is held

	// From the client.
	clientBody int  // bytes still to come of the client's current message
	dropping   bool // that message goes nowhere
	batch      bool // extended-protocol messages were sent since the last Sync
	copyIn     bool // the server reads COPY data
	mixed      bool // extended-protocol messages were sent while earlier answers were owed
	doubt      bool // it can't be known what the server still owes: never lend it again
	pending    pending
	left       bool // the client has gone; what comes from the server goes nowhere

	// From the server.
	serverBody int // bytes still to come of the server's current message
	hideBody   bool
	ours       int  // queries of our own whose answers come first
	answered   uint // ReadyForQuery messages that answered the client
	single     bool // a transaction block ends the session
	status     byte // of the last ReadyForQuery
	lastType   byte // of the message that was last passed to the client
}

// verdict is what a step asks of the driver beyond passing bytes on.
type verdict int

const (
	proceed    verdict = iota // step again with what is left
	needMore                  // what is left waits for more bytes
	needServer                // link a server, then step again
	terminate                 // the client said goodbye
	failed                    // the step's error ends the session
	over                      // the session has ended already
)

// step is what became of a run of bytes: used of them are done with, and pass
// is the part of those that goes to the other side. Both start where the bytes
// given did.
type step struct {
	used    int
	pass    []byte
	verdict verdict
	err     *wire.Error
}

func violation(format string, args ...any) *wire.Error {
	return wire.Fatal(wire.CodeProtocolViolation, fmt.Sprintf(format, args...))
}

// fromClient takes bytes that the client sent. Everything up to where the
// driver has to act goes on in one piece.
func (r *relay) fromClient(b []byte) step {
	n := 0
	for {
		if r.clientBody > 0 {
			take := min(r.clientBody, len(b)-n)
			r.clientBody -= take
			n += take
			if r.dropping {
				return step{used: n, verdict: proceedOrMore(n, b)}
			}
		}
		if n == len(b) || len(b)-n < wire.HeaderSize {
			return step{used: n, pass: b[:n], verdict: needMore}
		}
		typ, size := wire.ParseHeader(b[n:])
		if err := checkClientMessage(typ, size); err != nil {
			return step{used: n, pass: b[:n], verdict: failed, err: err}
		}
		if v := r.admit(typ); v != proceed {
			return step{used: n, pass: b[:n], verdict: v}
		}
		if r.dropping {
			if n > 0 {
				r.dropping = false
				return step{used: n, pass: b[:n]}
			}
			r.clientBody = size
			return step{used: wire.HeaderSize, verdict: proceedOrMore(wire.HeaderSize, b)}
		}
		if !r.account(typ) {
			return step{used: n, pass: b[:n], verdict: failed,
				err: wire.Fatal(wire.CodeProgramLimit, "too many requests in one pipeline")}
		}
		r.clientBody = size
		n += wire.HeaderSize
	}
}

func proceedOrMore(n int, b []byte) verdict {
	if n < len(b) {
		return proceed
	}
	return needMore
}

func checkClientMessage(typ byte, size int) *wire.Error {
	limit := wire.ClientLimit(typ)
	switch {
	case limit < 0:
		return violation("invalid frontend message type %d", typ)
	case size < 0 || size > limit:
		return violation("invalid message length")
	}
	return nil
}

// admit says what a message of this type needs before it may be taken, and
// sets dropping.
func (r *relay) admit(typ byte) verdict {
	r.dropping = false
	if typ == wire.Terminate {
		return terminate
	}
	if r.linked {
		return proceed
	}
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail:
		// The rest of a COPY that has failed. PostgreSQL skips it, and no
		// server is needed for that.
		r.dropping = true
		return proceed
	}
	return needServer
}

// account notes what the server will owe for a message of this type.
func (r *relay) account(typ byte) bool {
	switch typ {
	case wire.Query, wire.FunctionCall:
		// After an error in an unfinished batch PostgreSQL skips all up to the
		// next Sync, this query too, or it does not: we can't tell.
		r.doubt = r.doubt || r.batch || r.copyIn
		return r.pending.push(pendingQuery)
	case wire.Sync:
		r.doubt = r.doubt || r.copyIn
		r.batch = false
		return r.pending.push(pendingSync)
	case wire.CopyDone, wire.CopyFail:
		if r.copyIn {
			r.copyIn = false
			return true
		}
		if r.pending.first() != 0 || r.batch {
			return r.pending.push(pendingEnd)
		}
	case wire.CopyData:
	default:
		r.mixed = r.mixed || r.pending.owes()
		r.batch = true
	}
	return true
}

// fromServer takes bytes that the server sent. param is called for each
// ParameterStatus among them, and its slice is good only during the call.
func (r *relay) fromServer(b []byte, param func(body []byte)) step {
	n := 0
	for {
		if r.serverBody > 0 {
			take := min(r.serverBody, len(b)-n)
			r.serverBody -= take
			n += take
			if r.hideBody {
				return step{used: n, verdict: proceedOrMore(n, b)}
			}
		}
		if len(b)-n < wire.HeaderSize {
			return step{used: n, pass: b[:n], verdict: needMore}
		}
		typ, size := wire.ParseHeader(b[n:])
		if limit := wire.ServerLimit(typ); limit < 0 || size < 0 || size > limit {
			return step{used: n, pass: b[:n], verdict: failed, err: violation("the server sent an invalid message")}
		}
		if hide := r.hides(typ); hide != r.hideBody {
			r.hideBody = hide
			if n > 0 {
				// Two destinations can't be one piece.
				return step{used: n, pass: b[:n]}
			}
		}
		if r.needsWhole(typ) && size <= smallMessage && len(b)-n < wire.HeaderSize+size {
			return step{used: n, pass: b[:n], verdict: needMore}
		}
		if err := r.observe(typ, b[n+wire.HeaderSize:], size, param); err != nil {
			return step{used: n, pass: b[:n], verdict: failed, err: err}
		}
		r.serverBody = size
		n += wire.HeaderSize
		if r.hideBody {
			take := min(size, len(b)-n)
			r.serverBody -= take
			n += take
			return step{used: n, verdict: proceedOrMore(n, b)}
		}
	}
}

// needsWhole reports whether observe reads the body of such a message.
func (r *relay) needsWhole(typ byte) bool {
	return typ == wire.ReadyForQuery || typ == wire.ParameterStatus || typ == wire.ErrorResponse && r.ours > 0
}

// hides reports whether a message is kept from the client: all that answers
// our own queries, but for what concerns the client's session anyway, and
// everything once the client has gone.
func (r *relay) hides(typ byte) bool {
	if r.left {
		return true
	}
	if r.ours == 0 {
		return false
	}
	return typ != wire.ParameterStatus && typ != wire.NotificationResponse
}

// observe follows the server's side of the conversation. body starts with the
// message's body, of which size bytes are there where needsWhole asked so.
func (r *relay) observe(typ byte, body []byte, size int, param func([]byte)) *wire.Error {
	r.lastType = typ
	switch typ {
	case wire.ReadyForQuery:
		if size != 1 {
			return violation("the server sent an invalid message")
		}
		return r.ready(body[0])
	case wire.ParameterStatus:
		if size <= smallMessage {
			param(body[:size])
		}
	case wire.CopyInResponse, wire.CopyBothResponse:
		if r.ours > 0 {
			return violation("the server answered with a COPY that nobody asked for")
		}
		// pending does not know where one batch ends and the next begins. With
		// several under way it can't be told which CopyDone and which Sync
		// this COPY takes.
		ended, odd := r.pending.copyIn()
		r.copyIn = !ended
		r.doubt = r.doubt || odd || r.mixed
		if !r.pending.owes() {
			r.batch = true // the Sync that was to end it has been swallowed
		}
	case wire.ErrorResponse:
		r.copyIn = false
		if r.ours > 0 {
			return refusal(body, size)
		}
	}
	return nil
}

// refusal turns the server's error about a query of ours, which sets the
// parameters of a session or cleans up after one, into the end of the session.
func refusal(body []byte, size int) *wire.Error {
	if size <= smallMessage {
		if e, err := wire.ParseError(body[:size]); err == nil {
			e.Severity = "FATAL"
			return e
		}
	}
	return wire.Fatal(wire.CodeInvalidParameter, "the server refused the parameters of this session")
}

func (r *relay) ready(status byte) *wire.Error {
	switch status {
	case wire.StatusIdle, wire.StatusInTransaction, wire.StatusFailed:
	default:
		return violation("the server reported an unknown transaction status")
	}
	r.status = status
	if r.ours > 0 {
		r.ours--
		return nil
	}
	if !r.pending.ready() {
		return violation("the server became ready without having been asked")
	}
	r.answered++
	if r.single && status != wire.StatusIdle {
		return errBlock
	}
	r.copyIn = false
	r.mixed = r.mixed && (r.batch || r.pending.owes())
	return nil
}

// link notes that a server, clean and idle, is held from now on, and that our
// own queries go to it in front of what the client sends.
func (r *relay) link(ours int) {
	r.linked, r.ours, r.status = true, ours, wire.StatusIdle
	r.batch, r.copyIn, r.mixed, r.doubt = false, false, false, false
	r.serverBody, r.hideBody, r.lastType = 0, false, 0
	r.pending.reset()
}

// unlink notes that the server was given back.
func (r *relay) unlink() { r.linked = false }

// quiet reports whether the server owes nothing and is between messages, so
// that it would not notice a change of its client.
func (r *relay) quiet() bool {
	return r.linked && r.ours == 0 && r.pending.first() == 0 && !r.batch && !r.copyIn && !r.doubt &&
		r.clientBody == 0 && r.serverBody == 0
}

// atRest reports whether, beyond that, no transaction is open.
func (r *relay) atRest() bool { return r.quiet() && r.status == wire.StatusIdle }

// running reports whether the server works for the client at this moment.
func (r *relay) running() bool {
	return r.linked && r.ours == 0 && (r.pending.first() != 0 || r.batch || r.copyIn)
}

// betweenMessages reports whether the client could be told something of ours
// without tearing a server's message apart.
func (r *relay) betweenMessages() bool { return !r.linked || r.serverBody == 0 || r.hideBody }

// leave notes that the client has gone while it held a server, and returns
// what to send to bring an unfinished exchange to its end. It reports false
// where that can't be done, so that the server has to be ended.
func (r *relay) leave(dst []byte) ([]byte, bool) {
	r.left, r.hideBody = true, true
	if r.clientBody > 0 || r.doubt {
		return dst, false
	}
	if r.copyIn {
		dst = wire.AppendCopyFail(dst, "the client has gone")
		r.copyIn = false
	}
	if r.batch {
		dst = wire.AppendSync(dst)
		r.batch = false
		r.pending.push(pendingSync)
	}
	return dst, true
}

// clean is called when the server that a client left behind is quiet. It
// returns the query that has to run before somebody else may have the server:
// the end of an open transaction, then reset, if that is not empty.
func (r *relay) clean(reset string) string {
	if r.status != wire.StatusIdle {
		return "ROLLBACK"
	}
	return reset
}

// fatalSeen reports whether the server's last word to the client was an
// error, as it is when PostgreSQL ends a session by itself.
func (r *relay) fatalSeen() bool { return r.lastType == wire.ErrorResponse && r.serverBody == 0 }
