package proxy

import (
	"bytes"
	"fmt"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// smallMessage is up to which size a message that the relay has to read is
// gathered whole. A ParameterStatus beyond it passes unread.
const smallMessage = 4 << 10

// wholeMessage is up to which size a message with SQL text is looked at whole.
// The text of a longer one is looked at as it passes.
const wholeMessage = 16 << 10

// relay follows the conversation of one client with the servers it is lent,
// message by message, and decides where each byte goes. It touches no socket
// and takes no lock: its driver feeds it what arrived, and does what the steps
// it returns say. Bodies pass through it in whatever pieces they come; only
// headers, names, SQL text of usual size and a few small messages have to be
// whole.
//
// The rules are those of PostgreSQL documentation, "Message Flow".
type relay struct {
	linked bool // a server is held
	tracks bool // what the client does to its session is followed, so that it may change servers

	// From the client.
	clientBody int  // bytes still to come of the client's current message
	dropping   bool // that message goes nowhere
	scanning   bool // its text is being looked at
	gather     []byte
	batch      bool   // extended-protocol messages were sent since the last Sync
	runs       bool   // some of those run something, or bind
	copyIn     bool   // the server reads COPY data
	mixed      bool   // extended-protocol messages were sent while earlier answers were owed
	doubt      bool   // it can't be known what the server still owes: never lend it again
	barrier    bool   // nothing more may be sent before all that was sent is answered
	held       bool   // the client has more to send, and waits for that
	setting    bool   // it waits for its parameters, and has sent nothing yet
	fixAtSync  bool   // a statement of the batch may have reset parameters
	fix        []byte // the query that brings back what the client came with, or nil
	pending    pending
	left       bool // the client has gone; what comes from the server goes nowhere

	// From the server.
	serverBody int // bytes still to come of the server's current message
	hideBody   bool
	answered   uint // ReadyForQuery messages that answered the client
	single     bool // a transaction block ends the session
	status     byte // of the last ReadyForQuery
	lastType   byte // of the message that was last passed to the client

	work    pool.Work                             // that its pool was not told of
	done    done                                  // that the session has not looked at
	onError func(ours *wire.Error, theirs []byte) // told of errors that go to the client; may be nil

	server   *serverState // of the server that is held
	extended extended
	effects  effects
	survey   *survey // under way, or not learnt from yet
	scanner  sqlscan.Scanner
}

// done is what has come to its end for the client.
type done struct{ queries, transactions uint64 }

// verdict is what a step asks of the driver beyond passing bytes on.
type verdict int

const (
	proceed    verdict = iota // step again with what is left
	needMore                  // what is left waits for more bytes
	needServer                // link a server, then step again
	needRest                  // what is left waits until the server owes nothing
	skipped                   // a cancelled exchange is over: say so, then step again
	terminate                 // the client said goodbye
	failed                    // the step's error ends the session
	over                      // the session has ended already
)

// step is what became of a run of bytes: used of them are done with, and pass
// is the part of those that goes to the other side. Both start where the bytes
// given did. insert goes there behind pass, and is good until the next step.
type step struct {
	used    int
	pass    []byte
	insert  []byte
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
			body := b[n : n+take]
			r.clientBody -= take
			n += take
			switch {
			case r.dropping:
				return step{used: n, verdict: proceedOrMore(n, b)}
			case r.gather != nil:
				return r.gatherMore(body, n, b)
			case r.scanning:
				if err := r.scanMore(body); err != nil {
					return step{used: n, pass: b[:n-1], verdict: failed, err: err}
				}
			}
		}
		if n == len(b) || len(b)-n < wire.HeaderSize {
			return step{used: n, pass: b[:n], verdict: needMore}
		}
		typ, size := wire.ParseHeader(b[n:])
		if err := checkClientMessage(typ, size); err != nil {
			return step{used: n, pass: b[:n], verdict: failed, err: err}
		}
		if !r.linked && r.tracks && size <= wholeMessage && len(b)-n < wire.HeaderSize+size {
			// PostgreSQL can do nothing with a part of it, so no server waits
			// for a slow client.
			return step{used: n, pass: b[:n], verdict: needMore}
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
		l := look{kind: pendingQuery}
		if r.tracks {
			if l = r.look(typ, size, b[n:]); l.more {
				return step{used: n, pass: b[:n], verdict: needMore}
			}
		}
		if l.err == nil && (!r.account(typ, l.kind) || l.fixed && !r.pending.push(pendingFix)) {
			l.err = errPipeline
		}
		if l.err != nil {
			return step{used: n, pass: b[:n], verdict: failed, err: l.err}
		}
		r.clientBody = size
		if l.cut > 0 {
			r.clientBody -= l.cut - wire.HeaderSize
			return step{used: n + l.cut, pass: b[:n], insert: l.out, verdict: proceedOrMore(n+l.cut, b)}
		}
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
		if r.barrier && (!r.quiet() || r.status == wire.StatusIdle && (r.asks() || r.survey != nil)) {
			r.held = true
			return needRest
		}
		r.barrier, r.setting = false, false
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

// account notes what the server will owe for a message of this type. kind is
// that of a query.
func (r *relay) account(typ, kind byte) bool {
	switch typ {
	case wire.Query, wire.FunctionCall:
		// After an error in an unfinished batch PostgreSQL skips all up to the
		// next Sync, this query too, or it does not: we can't tell.
		// Where the batch was flushed and is answered, nothing has failed, and
		// the query ends what the batch began.
		r.batch = r.batch && !(r.tracks && r.extended.answered())
		r.doubt = r.doubt || r.batch || r.copyIn
		return r.pending.push(kind)
	case wire.Sync:
		r.doubt = r.doubt || r.copyIn
		r.batch, r.runs = false, false
		r.extended.synced()
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
		r.mixed = r.mixed || r.pending.owesClient()
		r.batch = true
		r.runs = r.runs || typ == wire.Bind || typ == wire.Execute
		switch typ {
		case wire.Parse:
			r.work.ClientParses++
			if !r.tracks {
				r.work.ServerParses++
			}
		case wire.Bind:
			r.work.Binds++
		}
	}
	return true
}

// look is what was found in a message.
type look struct {
	more  bool // more bytes of it are needed to tell
	kind  byte // as which a query is pending
	fixed bool // our fix goes behind it
	edit
	err *wire.Error
}

// look looks at a message, which may change what goes to the server. It starts
// b, which may end within it.
func (r *relay) look(typ byte, size int, b []byte) look {
	b = b[:min(len(b), wire.HeaderSize+size)]
	whole := len(b) == wire.HeaderSize+size
	switch typ {
	case wire.Query:
		return r.lookAtQuery(b, whole, size)
	case wire.Parse:
		return r.lookAtParse(b, whole, size)
	case wire.Bind:
		return r.lookAtBind(b, whole)
	case wire.Describe, wire.CloseMessage:
		if !whole {
			return look{more: true}
		}
		return r.lookAtName(typ, b)
	case wire.FunctionCall:
		return r.lookAtCall(b, whole, size)
	case wire.Execute:
		r.extended.sent++
	case wire.Sync:
		if r.fixAtSync {
			r.fixAtSync = false
			r.server.unnamed = 0 // the fix ends it
			return r.fixBehind(look{kind: pendingQuery}, b)
		}
	}
	return look{kind: pendingQuery}
}

// lookAtQuery looks at a simple Query.
func (r *relay) lookAtQuery(b []byte, whole bool, size int) look {
	if !whole && size <= wholeMessage {
		return look{more: true}
	}
	if r.mixes() {
		return look{err: errMixed}
	}
	r.extended.queried(r.server)
	if !whole {
		r.startScan()
		return look{kind: pendingQuery}
	}
	text := cString(b[wire.HeaderSize:])
	seen := scan(text)
	if seen == 0 {
		return look{kind: pendingQuery}
	}
	return r.heedQuery(seen, text, b)
}

// mixes reports whether a query comes in the midst of a batch. Which answers are
// the batch's could not be told then.
func (r *relay) mixes() bool {
	return r.batch && !r.extended.answered() && (r.extended.sent > 0 || !r.extended.idle())
}

var errMixed = wire.Fatal(wire.CodeFeatureNotSupported, "a simple query or function call within an extended-protocol batch does not pass through the connection pooler").
	WithHint("End the batch with Sync before it.")

// lookAtParse looks at a Parse.
func (r *relay) lookAtParse(b []byte, whole bool, size int) look {
	if !whole && (size <= wholeMessage || len(b) == wire.HeaderSize) {
		return look{more: true}
	}
	if !whole && b[wire.HeaderSize] == 0 {
		// The unnamed statement, too large to be carried elsewhere.
		r.extended.parseTooLarge(r.server)
		r.startScan()
		r.scanner.Feed(nil)
		return look{kind: pendingQuery, edit: edit{out: b[:wire.HeaderSize+1], cut: wire.HeaderSize + 1}}
	}
	if !whole {
		if size > r.extended.statements.roomFor() {
			return look{err: errStatementMemory}
		}
		r.gather = append([]byte(nil), b[:wire.HeaderSize]...)
		return look{kind: pendingQuery, edit: edit{cut: wire.HeaderSize}}
	}
	return r.parse(b)
}

// gatherMore takes a part of a Parse that is too large for a buffer. It goes on
// when it is whole.
func (r *relay) gatherMore(body []byte, n int, b []byte) step {
	r.gather = append(r.gather, body...)
	if r.clientBody > 0 {
		return step{used: n, verdict: proceedOrMore(n, b)}
	}
	m := r.gather
	r.gather = nil
	l := r.parse(m)
	if l.err != nil {
		return step{used: n, verdict: failed, err: l.err}
	}
	if l.cut == 0 {
		l.out = m
	}
	return step{used: n, insert: l.out, verdict: proceedOrMore(n, b)}
}

// parse looks at a Parse that is whole.
func (r *relay) parse(m []byte) look {
	if r.extended.full() {
		return look{err: errPipeline}
	}
	var seen sqlscan.Effects
	var lead []byte // goes in front
	size := len(m)
	if name, rest, ok := bytes.Cut(m[wire.HeaderSize:], []byte{0}); ok {
		text := cString(rest)
		if seen = scan(text); seen != 0 {
			if e := r.denies(seen); e != nil {
				return r.denyParse(e, m)
			}
			if seen&sqlscan.Deallocate != 0 && r.deallocates(text) {
				lead = r.extended.makeGone(lead)
				m = appendParse(nil, string(name), "DEALLOCATE "+goneName+"\x00\x00\x00")
			}
			r.read(seen, text)
		}
	}
	foreign := r.startsWithForeignSequences(seen)
	sure := r.pending.first() == 0 && r.status != wire.StatusFailed
	e, err := r.extended.parse(r.server, m, seen, sure)
	if err != nil {
		return look{err: err}
	}
	if foreign {
		lead = r.discardSequences(lead)
	}
	if len(lead) > 0 {
		if e.cut == 0 {
			e.out = m
		}
		e = edit{append(lead, e.out...), size}
	}
	return look{kind: pendingQuery, edit: e}
}

// lookAtBind looks at a Bind, whose names at least have to be there.
func (r *relay) lookAtBind(b []byte, whole bool) look {
	names := b[wire.HeaderSize:]
	portal := bytes.IndexByte(names, 0)
	length := -1
	if portal >= 0 {
		length = bytes.IndexByte(names[portal+1:], 0)
	}
	if length < 0 {
		if !whole && len(b) < wholeMessage {
			return look{more: true}
		}
		return look{err: violation("invalid message format")}
	}
	name := names[portal+1 : portal+1+length]
	head := wire.HeaderSize + portal + 1 + length + 1
	seen := r.extended.effectsOf(name)
	foreign := r.startsWithForeignSequences(seen)
	e, err := r.extended.reference(r.server, b, head, name)
	if foreign && err == nil {
		if e.cut == 0 {
			e.out = b[:head]
		}
		e = edit{append(r.discardSequences(nil), e.out...), head}
	}
	if seen&opaque != 0 {
		r.server.unlisted = true // of this server too, not only of that where it was prepared
	}
	if seen&(sqlscan.DeallocateAll|sqlscan.DiscardAll) != 0 {
		r.server.forgetCopies() // what follows in the batch can't rely on them
	}
	r.effects.heed(seen)
	r.fixAtSync = r.fixAtSync || seen&resets != 0 && r.fix != nil
	return look{kind: pendingQuery, edit: e, err: err}
}

// lookAtName looks at a Describe or Close, which is whole.
func (r *relay) lookAtName(typ byte, b []byte) look {
	l := look{kind: pendingQuery}
	if len(b) < wire.HeaderSize+2 || b[wire.HeaderSize] != 'S' || b[len(b)-1] != 0 {
		r.extended.sent++
		return l
	}
	name := b[wire.HeaderSize+1 : len(b)-1]
	if typ == wire.CloseMessage {
		l.err = r.extended.closeName(r.server, name)
		return l
	}
	l.edit, l.err = r.extended.reference(r.server, b, len(b), name)
	return l
}

// cString returns b up to its first NUL.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// startScan begins to look at a text that passes in pieces.
func (r *relay) startScan() {
	r.scanning = true
	r.scanner.Reset()
}

// scanMore looks at a piece of text. At the end of the message what was seen
// takes effect.
func (r *relay) scanMore(piece []byte) *wire.Error {
	text := cString(piece)
	r.scanner.Feed(text)
	if len(text) == len(piece) && r.clientBody > 0 {
		return nil
	}
	r.scanning = false
	seen := r.scanner.Effects() & heeded
	if seen&sqlscan.Settings != 0 {
		seen |= resets
	}
	if e := r.denies(seen); e != nil {
		r.clientBody++ // its last byte is withheld, so PostgreSQL will never run it
		r.doubt = true
		return fatal(e)
	}
	if seen&(carried|opaque) != 0 { // whose names were not read
		r.server.unlisted = true
		r.effects.pin(unknownState)
	}
	r.effects.heed(seen)
	r.extended.unnamed.effects = seen // of a Parse; a Query has ended it
	return nil
}
