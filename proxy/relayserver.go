package proxy

import (
	"bytes"
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
)

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
		end := n + wire.HeaderSize + size
		if r.needsWhole(typ, size) && len(b) < end {
			return step{used: n, pass: b[:n], verdict: needMore}
		}
		instead, err := r.observe(typ, b[n:min(end, len(b))], size, param)
		if err != nil {
			return step{used: n, pass: b[:n], verdict: failed, err: err}
		}
		if instead != nil {
			return step{used: end, pass: b[:n], insert: instead, verdict: proceedOrMore(end, b)}
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
func (r *relay) needsWhole(typ byte, size int) bool {
	if size > smallMessage {
		return typ == wire.DataRow && r.surveying() && size <= surveyRow
	}
	switch typ {
	case wire.ReadyForQuery, wire.ParameterStatus, wire.ErrorResponse:
		return true
	case wire.DataRow:
		return r.surveying()
	case wire.CommandComplete:
		return r.tracks && (size == len(tagDiscardAll) || size == len(tagDeallocateAll))
	}
	return false
}

// Command tags after which a session has no prepared statements.
const (
	tagDiscardAll    = "DISCARD ALL\x00"
	tagDeallocateAll = "DEALLOCATE ALL\x00"
)

// hides reports whether a message is kept from the client: all that answers
// our own queries and messages, but for what concerns the client's session
// anyway, and everything once the client has gone.
func (r *relay) hides(typ byte) bool {
	if r.left {
		return true
	}
	if r.pending.ours() {
		return typ != wire.ParameterStatus && typ != wire.NotificationResponse &&
			(typ != wire.ReadyForQuery || r.pending.first() != pendingFix)
	}
	if typ == wire.ReadyForQuery {
		return r.pending.fixed()
	}
	if !r.tracks || !completes(typ) || !r.inBatch() {
		return false
	}
	e := r.extended.next()
	return e != nil && (e.kind == eventHide || e.kind == eventPrepare || e.kind == eventCarry)
}

// completes reports whether a message completes one of the extended-query
// protocol.
func completes(typ byte) bool {
	switch typ {
	case wire.ParseComplete, wire.BindComplete, wire.CloseComplete, wire.RowDescription, wire.NoData,
		wire.CommandComplete, wire.EmptyQueryResponse, wire.PortalSuspended:
		return true
	}
	return false
}

// inBatch reports whether what the server sends now answers messages of the
// extended-query protocol.
func (r *relay) inBatch() bool {
	switch r.pending.first() {
	case 0, pendingSync, pendingEnd:
		return true
	}
	return false
}

// observe follows the server's side of the conversation. m starts with the
// message's header, and is whole where needsWhole asked so. instead is what the
// client is to get in place of a message that is whole.
func (r *relay) observe(typ byte, m []byte, size int, param func([]byte)) (instead []byte, err *wire.Error) {
	if r.lastType = typ; r.hideBody {
		r.lastType = 0 // what the client does not hear is nobody's last word
	}
	body := m[wire.HeaderSize:]
	if r.tracks && completes(typ) && r.inBatch() {
		if e := r.extended.next(); e != nil && e.kind == eventParsed && typ == wire.CloseComplete {
			m[0] = wire.ParseComplete
		}
		r.extended.completed(r.server)
	}
	switch typ {
	case wire.ReadyForQuery:
		if size != 1 {
			return nil, violation("the server sent an invalid message")
		}
		return nil, r.ready(body[0])
	case wire.ParameterStatus:
		if size <= smallMessage {
			param(body[:size])
		} else if r.tracks { // it could not be carried
			r.effects.pin(unknownState)
		}
	case wire.DataRow:
		if r.surveying() {
			r.survey.row(body, size)
		}
	case wire.CommandComplete:
		if r.needsWhole(typ, size) {
			r.forgetful(string(body))
		}
	case wire.CopyInResponse, wire.CopyBothResponse:
		return nil, r.copyBegins()
	case wire.ErrorResponse:
		r.copyIn = false
		return r.refused(m, size)
	}
	return nil, nil
}

// forgetful notes a command after which prepared statements are gone.
func (r *relay) forgetful(tag string) {
	if tag != tagDiscardAll && tag != tagDeallocateAll {
		return
	}
	r.server.forgetCopies()
	if !r.pending.ours() {
		r.extended.forgetNames()
	}
}

func (r *relay) copyBegins() *wire.Error {
	if r.pending.ours() {
		return violation("the server answered with a COPY that nobody asked for")
	}
	if r.pending.has(pendingFix) {
		// It is on its way already, and PostgreSQL would take it for data.
		return errCopyFixed
	}
	// pending does not know where one batch ends and the next begins. With
	// several under way it can't be told which CopyDone and which Sync this COPY
	// takes.
	swallowed, ended, odd := r.pending.copyIn()
	r.extended.swallowed(swallowed)
	r.copyIn = !ended
	r.doubt = r.doubt || odd || r.mixed
	if !r.pending.owes() {
		r.batch = true // the Sync that was to end it has been swallowed
	}
	return nil
}

var errCopyFixed = wire.Fatal(wire.CodeFeatureNotSupported, "COPY FROM STDIN in one query or batch with what resets parameters does not pass through the connection pooler").
	WithHint("Send the COPY by itself.")

// refused sees to an ErrorResponse. What it is about decides who is told what.
func (r *relay) refused(m []byte, size int) (instead []byte, err *wire.Error) {
	body := m[wire.HeaderSize:]
	switch r.pending.first() {
	case pendingOurs:
		return nil, refusal(body, size)
	case pendingAside:
		if r.survey != nil {
			r.survey.failed = true
			r.survey.canceled = bytes.Contains(body, canceled)
		}
		return nil, nil
	case pendingFix: // the client's own statement has failed
		return nil, nil
	case pendingDeny:
		return r.instead(r.effects.denied, size), nil
	}
	if e := r.extended.next(); r.tracks && !r.left && size <= smallMessage && r.inBatch() && e != nil && e.kind == eventDeny {
		return r.instead(r.effects.denied, size), nil
	}
	if !r.left {
		r.tellError(nil, body)
	}
	if !r.tracks || r.left || !r.inBatch() || size > smallMessage {
		return nil, nil
	}
	if bytes.Contains(body, planChanged) {
		r.extended.spoil()
	}
	if bytes.Contains(body, noStatement) && bytes.Contains(body, []byte(`"`+nameOnServers)) {
		r.server.forgetCopies() // something that can't be seen has dropped them
	}
	return r.rename(m), nil
}

// instead returns what the client gets in place of a message of size bytes, if
// that is whole.
func (r *relay) instead(e *wire.Error, size int) []byte {
	if size > smallMessage || r.left {
		return nil
	}
	r.tellError(e, nil)
	return e.Append(nil)
}

// tellError says that the client is sent an error: ours, or that in the body of
// a server's message.
func (r *relay) tellError(ours *wire.Error, theirs []byte) {
	if r.onError != nil {
		r.onError(ours, theirs)
	}
}

// planChanged is the field of an ErrorResponse that says where PostgreSQL
// found that a prepared statement would return other columns than it did.
var planChanged = []byte("\x00RRevalidateCachedQuery\x00")

// noStatement is the field of an ErrorResponse that says that a prepared
// statement does not exist.
var noStatement = []byte("\x00C26000\x00")

// canceled is the field of an ErrorResponse that says that a statement was
// canceled, by a request that came late or by a short statement_timeout.
var canceled = []byte("\x00C" + wire.CodeQueryCanceled + "\x00")

// rename puts the client's own name of a statement in the place of the one
// that servers know. It returns nil where m names none.
func (r *relay) rename(m []byte) []byte {
	at := bytes.Index(m, []byte(`"`+nameOnServers))
	if at < 0 {
		return nil
	}
	at++
	end := bytes.IndexByte(m[at:], '"')
	if end < 0 {
		return nil
	}
	own, ok := r.extended.nameOf(string(m[at : at+end]))
	if !ok {
		return nil
	}
	out := append([]byte(nil), m[:at]...)
	out = append(append(out, own...), m[at+end:]...)
	binary.BigEndian.PutUint32(out[1:], uint32(len(out)-1))
	return out
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
	switch r.pending.ready() {
	case 0:
		return violation("the server became ready without having been asked")
	case pendingAside:
		if r.survey != nil {
			r.survey.over = true
		}
		return nil
	case pendingOurs:
		return nil
	case pendingFlush:
		r.extended.ready(r.server)
		return nil
	case pendingSync:
		r.extended.ready(r.server)
	}
	r.answered++
	r.done.queries++
	if status == wire.StatusIdle {
		r.done.transactions++
	}
	if r.single && status != wire.StatusIdle {
		return errBlock
	}
	r.copyIn = false
	r.mixed = r.mixed && (r.batch || r.pending.owesClient())
	if status == wire.StatusIdle && !r.batch && r.pending.first() == 0 {
		r.server.era++
	}
	return nil
}
