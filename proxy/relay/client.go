package relay

import (
	"bytes"

	"github.com/pgseal/pgseal/internal/wire"
)

const (
	// wholeMessage is up to which size a message that has to be read waits in the
	// driver's buffer until it is whole.
	wholeMessage = 16 << 10
	// gathered is up to which size one with a text is gathered here. A text beyond
	// that passes, and is looked at on its way.
	gathered = 256 << 10
)

// FromClient takes bytes that the client sent. Everything up to where the driver
// has to act goes on in one piece.
func (r *Relay) FromClient(b []byte) Step {
	n := 0
	for {
		if r.in.left > 0 {
			take := min(r.in.left, len(b)-n)
			body := b[n : n+take]
			r.in.left -= take
			n += take
			if st, ended := r.body(b, n, body); ended {
				return st
			}
		}
		if r.in.whole && n < len(b) {
			return r.gathered(n)
		}
		if len(b)-n < wire.HeaderSize {
			return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
		}
		typ, size := wire.ParseHeader(b[n:])
		if err := CheckClientMessage(typ, size); err != nil {
			return Step{Used: n, Pass: b[:n], Verdict: Failed, Err: err}
		}
		part := b[n:min(len(b), n+wire.HeaderSize+size)]
		complete := len(part) == wire.HeaderSize+size
		if !complete && r.waitsWhole(typ, size) && (size <= wholeMessage || r.mayGather(size)) {
			if size <= wholeMessage {
				// PostgreSQL can do nothing with a part of it, so no server waits
				// for a slow client.
				return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
			}
			if n > 0 {
				return Step{Used: n, Pass: b[:n]} // two destinations can't be one piece
			}
			r.in.gather = append([]byte(nil), b[:wire.HeaderSize]...) // it grows as bytes come
			r.in.left, r.in.do = size, gatherIt
			n = wire.HeaderSize
			continue
		}
		drop, v := r.admit(typ)
		if v == NeedRest {
			return r.wait(n, b, nil)
		} else if v != Proceed {
			return Step{Used: n, Pass: b[:n], Verdict: v}
		}
		if drop {
			if n > 0 {
				return Step{Used: n, Pass: b[:n]}
			}
			r.in.left, r.in.do = size, dropIt
			return Step{Used: wire.HeaderSize, Verdict: goOn(wire.HeaderSize, b)}
		}
		e, more := r.take(typ, part, size, complete)
		switch {
		case more:
			return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
		case e.err != nil:
			return Step{Used: n, Pass: b[:n], Verdict: Failed, Err: e.err}
		case e.exact:
			return Step{Used: n, Pass: b[:n], Verdict: NeedExact}
		case e.wait:
			return r.wait(n, b, e.out)
		}
		r.in.left = size
		if r.in.do != scanIt {
			r.in.do = passOn
		}
		if e.cut > 0 {
			r.keep(e.out)
			r.in.left -= e.cut - wire.HeaderSize
			return Step{Used: n + e.cut, Pass: b[:n], Insert: e.out, Verdict: goOn(n+e.cut, b)}
		}
		n += wire.HeaderSize
	}
}

// body takes bytes of a message whose header was taken, before n. ended says
// that the step ends with them.
func (r *Relay) body(b []byte, n int, body []byte) (st Step, ended bool) {
	switch r.in.do {
	case dropIt:
		return Step{Used: n, Verdict: goOn(n, b)}, true
	case gatherIt:
		r.in.gather = append(r.in.gather, body...)
		r.in.whole = r.in.left == 0
		if !r.in.whole {
			return Step{Used: n, Verdict: NeedMore}, true
		}
		return r.gathered(n - 1), true
	case scanIt:
		return r.scanMore(b, n, body)
	}
	return st, false
}

// keep keeps a buffer that was written to for the next time.
func (r *Relay) keep(out []byte) {
	if cap(out) <= keepOut && cap(out) > cap(r.x.out) {
		r.x.out = out[:0]
	}
}

func goOn(n int, b []byte) Verdict {
	if n < len(b) {
		return Proceed
	}
	return NeedMore
}

// wait has what is left of b wait until the server owes nothing. out goes there
// first, and asks for the answers.
func (r *Relay) wait(n int, b, out []byte) Step {
	if r.x.waiting.times++; r.x.waiting.times > maxWaits {
		return Step{Used: n, Pass: b[:n], Verdict: Failed, Err: errNoProgress}
	}
	r.x.waiting.waits = true
	r.x.hold()
	if last := r.x.ledger.last(); last != nil && last.kind.extended() && r.x.flushed != r.x.ledger.pushed && !r.life.leaving {
		r.x.flushed = r.x.ledger.pushed
		out = wire.AppendFlush(out)
	}
	return Step{Used: n, Pass: b[:n], Insert: out, Verdict: NeedRest}
}

// maxWaits is how often one message may wait for the server. A few times are
// plenty; nothing shall go on for ever.
const maxWaits = 1000

var errNoProgress = wire.Fatal(wire.CodeInternal, "the connection pooler can't prepare the server for this message")

// waitsWhole reports whether a message of this type and size has to be whole
// before a server is of use.
func (r *Relay) waitsWhole(typ byte, size int) bool {
	if !r.cfg.Shared { // but to bring startup values back behind it
		return typ == wire.Query && size <= gathered && len(r.params.startup) > 0
	}
	switch typ {
	case wire.Query, wire.Parse:
		return size <= gathered
	case wire.CopyData, wire.Bind, wire.FunctionCall:
		return r.x.server == nil && size <= wholeMessage
	}
	return true
}

// gathered takes a message that was gathered. Its last byte, at n, is not used
// before: a driver that has nothing left to come back with would not come back.
func (r *Relay) gathered(n int) Step {
	m := r.in.gather
	typ, size := wire.ParseHeader(m)
	drop, v := r.admit(typ)
	if v == NeedRest {
		return r.waitAt(n, nil)
	} else if v != Proceed {
		return Step{Used: n, Verdict: v}
	}
	if drop {
		r.dropGather()
		return Step{Used: n + 1}
	}
	r.uncount() // what is kept of it counts by itself
	e, _ := r.take(typ, m, size, true)
	switch {
	case e.err != nil:
		return Step{Used: n, Verdict: Failed, Err: e.err}
	case e.exact:
		return Step{Used: n, Verdict: NeedExact}
	case e.wait:
		return r.waitAt(n, e.out)
	}
	r.dropGather()
	out := m
	if e.cut > 0 {
		out = append(e.out, m[e.cut:]...)
	}
	return Step{Used: n + 1, Insert: out}
}

// mayGather reports whether there is room for a message of this size among the
// texts that are kept, and counts it. Where there is none it passes as it comes.
func (r *Relay) mayGather(size int) bool {
	if r.in.counts == 0 && r.stmts.names.reserve(int64(size)) {
		r.in.counts = int64(size)
	}
	return r.in.counts > 0
}

// dropGather lets go of a message that was gathered.
func (r *Relay) dropGather() {
	r.uncount()
	r.in.gather, r.in.whole = nil, false
}

// uncount undoes mayGather.
func (r *Relay) uncount() {
	if r.in.counts > 0 {
		r.stmts.names.free(r.in.counts)
		r.in.counts = 0
	}
}

// waitAt is wait where nothing passes.
func (r *Relay) waitAt(n int, out []byte) Step {
	st := r.wait(0, nil, out)
	st.Used = n
	return st
}

// CheckClientMessage returns what is wrong with the header of a client's
// message, or nil.
func CheckClientMessage(typ byte, size int) *wire.Error {
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
// whether it goes nowhere.
func (r *Relay) admit(typ byte) (drop bool, v Verdict) {
	if typ == wire.Terminate {
		switch {
		case r.x.server == nil:
		case r.x.copy.state == copying: // the server has words for that
			r.life.leaving = true
			return false, Proceed
		case r.x.answers():
			r.life.leaving = true // its answers come first
			return false, NeedRest
		}
		return false, Terminated
	}
	if r.x.server == nil {
		switch typ {
		case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush:
			// The rest of a COPY that has failed, or nothing to flush. PostgreSQL
			// skips it, and no server is needed for that.
			return true, Proceed
		}
		return false, NeedServer
	}
	if r.x.held {
		if !r.x.open() {
			return false, NeedRest
		}
		r.x.held = false
	}
	switch {
	case r.x.waiting.drop && typ == wire.Query: // which was answered already
		r.x.waiting.drop = false
		return true, Proceed
	case r.state.survey != nil || r.x.ledger.len() >= limit:
		return false, NeedRest
	case r.x.skipping && typ != wire.Sync:
		return true, Proceed
	}
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail:
		return r.x.copy.state == noCopy, Proceed
	case wire.Flush:
		r.x.flushed = r.x.ledger.pushed
		return r.x.copy.state == copying, Proceed
	}
	return false, Proceed
}

// take looks at a message, of which at least the header is there. more says that
// more of it has to be.
func (r *Relay) take(typ byte, m []byte, size int, complete bool) (e edit, more bool) {
	if r.x.copy.state == copying && !inCopy(typ) {
		return r.outOfPlace(typ), false
	}
	if typ == wire.FunctionCall && !complete && len(m) < wire.HeaderSize+4 {
		return edit{}, true // of which function, before anything goes in front of it
	}
	atStart := r.x.atStart()
	if lead := r.oust(typ, m); lead == nil {
		e, more = r.inspect(typ, m, size, complete)
	} else {
		e, more = r.inspectBehind(lead, typ, m, size, complete)
	}
	r.x.waiting.led = false
	switch {
	case e.exact || more:
	case !e.wait:
		r.x.waiting.times, r.x.touched, r.life.cleaned = 0, true, false
		r.stmts.changed = nil // what it waited for is in it
	case atStart && r.x.batch.open:
		// By itself it fails by itself, and makes no part of the client's batch.
		e.out = wire.AppendSync(e.out)
		r.x.push(entry{kind: syncing, flags: ours | aside, note: &note{lead: typ}})
		r.x.touched = false // the server is kept for what waits
	default:
		r.x.waiting.led = typ == wire.Query && !atStart && r.x.batch.open
	}
	return e, more
}

// inspectBehind is inspect for a message that oust has put something in front
// of.
func (r *Relay) inspectBehind(lead []byte, typ byte, m []byte, size int, complete bool) (e edit, more bool) {
	if e, more = r.inspect(typ, m, size, complete); more || e.err != nil || e.exact {
		r.x.ledger.unpush()
		r.x.stranger, r.x.batch.open = true, false
		return e, more
	}
	if e.cut == 0 && !e.wait {
		e.out, e.cut = m[:wire.HeaderSize], wire.HeaderSize
	}
	e.out = append(lead, e.out...)
	return e, false
}

// inCopy reports whether PostgreSQL takes a message of this type while it reads
// the data of a COPY.
func inCopy(typ byte) bool {
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush, wire.Sync:
		return true
	}
	return false
}

// oust has the server let go of another client's unnamed statement before this
// one sends its first message of the extended-query protocol, unless that
// itself does so. Nothing can have the server skip it: no batch is under way.
// Likewise it ends what was done for the client's batch before a Query.
func (r *Relay) oust(typ byte, m []byte) []byte {
	if back := r.x.batch.back; typ == wire.Query && back != "" && !r.x.skipping {
		r.x.batch.back = ""
		return r.x.appendHidden(nil, back, nil) // as the Sync would have, which it stands for
	}
	if (typ == wire.Query || typ == wire.FunctionCall) && r.x.onlyHelped() && r.x.ledger.empty() && !r.x.skipping {
		// To PostgreSQL 18 a Query behind what was executed without a Sync is
		// within a transaction. The client executed nothing.
		r.x.push(entry{kind: syncing, flags: ours | aside})
		return wire.AppendSync(nil)
	}
	if !r.x.stranger {
		return nil
	}
	switch typ {
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.CloseMessage:
	default:
		return nil
	}
	r.x.stranger = false
	r.x.server.unnamed = 0
	if typ == wire.Parse && len(m) > wire.HeaderSize && m[wire.HeaderSize] == 0 {
		return nil
	}
	r.x.push(entry{kind: closing, flags: ours})
	return wire.AppendNamed(nil, wire.CloseMessage, 'S', "")
}

func (r *Relay) inspect(typ byte, m []byte, size int, complete bool) (e edit, more bool) {
	if r.state.suspect != 0 && !r.x.batch.open && r.beginsUnsure(typ) {
		return edit{wait: true}, false
	}
	switch typ {
	case wire.CopyData, wire.Flush:
		return edit{}, false
	case wire.Query:
		return r.onQuery(m, complete), false
	case wire.FunctionCall:
		return r.onCall(m), false
	case wire.Bind:
		if e, more = r.onBind(m, complete); !more && !e.wait && !e.exact {
			r.x.counts.Binds++
		}
		return e, more
	case wire.Parse:
		if !complete {
			e, more = r.onLargeParse(m, size)
		} else {
			e = r.onParse(m)
		}
		if !more && !e.wait {
			r.x.counts.ClientParses++
		}
		return e, more
	}
	if !complete {
		return edit{}, true
	}
	return r.takeSmall(typ, m), false
}

// beginsUnsure reports whether a message begins a batch while it is not known
// under which values its statements would be analysed, but will be when
// PostgreSQL has answered: to ask in the midst of the batch would be felt.
func (r *Relay) beginsUnsure(typ byte) bool {
	switch typ {
	case wire.Bind, wire.Describe, wire.Execute, wire.CloseMessage: // Parse sees to it itself
		return r.state.unsure(r.stmts.unnamed.stuck())
	}
	return false
}

// takeSmall is take for messages that are whole.
func (r *Relay) takeSmall(typ byte, m []byte) edit {
	switch typ {
	case wire.Describe:
		return r.onDescribe(m)
	case wire.CloseMessage:
		return r.onClose(m)
	case wire.Execute:
		return r.onExecute(m)
	case wire.Sync:
		return r.onSync(m)
	}
	return r.onCopyEnd(m) // CopyDone, CopyFail
}

// cString returns b up to its first NUL.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
