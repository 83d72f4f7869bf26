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

// incoming is where the relay is in what the client sends.
type incoming struct {
	cfg      *Config
	ex       *exchange
	params   *parameters
	state    *sessionState
	stmts    *statements
	life     *life
	requests *requests
	left     int    // bytes still to come of the current message
	do       inDo   // with them
	gather   []byte // a message that does not come in one piece
	whole    bool   // gather is whole, and not taken yet
	counts   int64  // what gather counts for in the budget of texts
}

type inDo byte

const (
	passOn   inDo = iota
	dropIt        // they go nowhere
	gatherIt      // they are kept until the message is whole
)

// between reports whether no part of a message is with the server.
func (in *incoming) between() bool { return in.left == 0 || in.do == gatherIt }

// step takes bytes that the client sent. Everything up to where the driver
// has to act goes on in one piece.
func (in *incoming) step(b []byte) Step {
	n := 0
	for {
		if in.left > 0 {
			take := min(in.left, len(b)-n)
			body := b[n : n+take]
			in.left -= take
			n += take
			if st, ended := in.body(b, n, body); ended {
				return st
			}
		}
		if in.whole && n < len(b) {
			return in.gathered(n)
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
		if !complete && in.waitsWhole(typ, size) && (size <= wholeMessage || in.reserve(size)) {
			if size <= wholeMessage {
				// PostgreSQL can do nothing with a part of it, so no server waits
				// for a slow client.
				return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
			}
			if n > 0 {
				return Step{Used: n, Pass: b[:n]} // two destinations can't be one piece
			}
			in.gather = append([]byte(nil), b[:wire.HeaderSize]...) // it grows as bytes come
			in.left, in.do = size, gatherIt
			n = wire.HeaderSize
			continue
		}
		drop, v := in.admit(typ)
		if v == NeedRest {
			return in.wait(n, b, nil)
		} else if v != Proceed {
			return Step{Used: n, Pass: b[:n], Verdict: v}
		}
		if drop {
			if n > 0 {
				return Step{Used: n, Pass: b[:n]}
			}
			in.left, in.do = size, dropIt
			return Step{Used: wire.HeaderSize, Verdict: goOn(wire.HeaderSize, b)}
		}
		e, more := in.requests.take(typ, part, size, complete)
		switch {
		case more:
			return Step{Used: n, Pass: b[:n], Verdict: NeedMore}
		case e.err != nil:
			return Step{Used: n, Pass: b[:n], Verdict: Failed, Err: e.err}
		case e.exact:
			return Step{Used: n, Pass: b[:n], Verdict: NeedExact}
		case e.wait:
			return in.wait(n, b, e.out)
		}
		in.left, in.do = size, passOn
		if e.cut > 0 {
			in.ex.keep(e.out)
			in.left -= e.cut - wire.HeaderSize
			return Step{Used: n + e.cut, Pass: b[:n], Insert: e.out, Verdict: goOn(n+e.cut, b)}
		}
		n += wire.HeaderSize
	}
}

// body takes bytes of a message whose header was taken, before n. ended says
// that the step ends with them.
func (in *incoming) body(b []byte, n int, body []byte) (st Step, ended bool) {
	switch {
	case in.requests.scanning:
		if err := in.requests.scanMore(body, in.left == 0); err != nil {
			in.left++ // its last byte is withheld, so PostgreSQL will never run it
			in.ex.desynced = true
			return Step{Used: n, Pass: b[:n-1], Verdict: Failed, Err: err}, true
		}
	case in.do == dropIt:
		return Step{Used: n, Verdict: goOn(n, b)}, true
	case in.do == gatherIt:
		in.gather = append(in.gather, body...)
		in.whole = in.left == 0
		if !in.whole {
			return Step{Used: n, Verdict: NeedMore}, true
		}
		return in.gathered(n - 1), true
	}
	return st, false
}

func goOn(n int, b []byte) Verdict {
	if n < len(b) {
		return Proceed
	}
	return NeedMore
}

// wait has what is left of b wait until the server owes nothing. out goes there
// first, and asks for the answers.
func (in *incoming) wait(n int, b, out []byte) Step {
	if in.ex.waiting.times++; in.ex.waiting.times > maxWaits {
		return Step{Used: n, Pass: b[:n], Verdict: Failed, Err: errNoProgress}
	}
	in.ex.waiting.waits = true
	in.ex.block()
	if last := in.ex.ledger.last(); last != nil && last.kind.extended() && in.ex.flushed != in.ex.ledger.pushed && !in.life.leaving {
		in.ex.flushed = in.ex.ledger.pushed
		out = wire.AppendFlush(out)
	}
	return Step{Used: n, Pass: b[:n], Insert: out, Verdict: NeedRest}
}

// maxWaits is how often one message may wait for the server. A few times are
// plenty; nothing shall go on for ever.
const maxWaits = 1000

var errNoProgress = wire.Fatal(wire.CodeInternal, "the connection pooler could not set up the server connection for this message")

// waitsWhole reports whether a message of this type and size has to be whole
// before a server is of use.
func (in *incoming) waitsWhole(typ byte, size int) bool {
	if !in.cfg.Shared { // but to bring startup values back behind it
		return typ == wire.Query && size <= gathered && len(in.params.startup) > 0
	}
	switch typ {
	case wire.Query, wire.Parse:
		return size <= gathered
	case wire.CopyData, wire.Bind, wire.FunctionCall:
		return in.ex.server == nil && size <= wholeMessage
	}
	return true
}

// gathered takes a message that was gathered. Its last byte, at n, is not used
// before: a driver that has nothing left to come back with would not come back.
func (in *incoming) gathered(n int) Step {
	m := in.gather
	typ, size := wire.ParseHeader(m)
	drop, v := in.admit(typ)
	if v == NeedRest {
		return in.waitAt(n, nil)
	} else if v != Proceed {
		return Step{Used: n, Verdict: v}
	}
	if drop {
		in.dropGather()
		return Step{Used: n + 1}
	}
	in.uncount() // what is kept of it counts by itself
	e, _ := in.requests.take(typ, m, size, true)
	switch {
	case e.err != nil:
		return Step{Used: n, Verdict: Failed, Err: e.err}
	case e.exact:
		return Step{Used: n, Verdict: NeedExact}
	case e.wait:
		return in.waitAt(n, e.out)
	}
	in.dropGather()
	out := m
	if e.cut > 0 {
		out = append(e.out, m[e.cut:]...)
	}
	return Step{Used: n + 1, Insert: out}
}

// reserve counts a message of this size among the texts that are kept, if there is
// room for it. If there is none it passes as it comes.
func (in *incoming) reserve(size int) bool {
	if in.counts == 0 && in.stmts.names.Reserve(int64(size)) {
		in.counts = int64(size)
	}
	return in.counts > 0
}

// dropGather frees a message that was gathered.
func (in *incoming) dropGather() {
	in.uncount()
	in.gather, in.whole = nil, false
}

// uncount undoes reserve.
func (in *incoming) uncount() {
	if in.counts > 0 {
		in.stmts.names.Free(in.counts)
		in.counts = 0
	}
}

// waitAt is wait if nothing passes.
func (in *incoming) waitAt(n int, out []byte) Step {
	st := in.wait(0, nil, out)
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
func (in *incoming) admit(typ byte) (drop bool, v Verdict) {
	x := in.ex
	if typ == wire.Terminate {
		switch {
		case x.server == nil:
		case x.copy.state == copying: // the server has an error for that
			in.life.leaving = true
			return false, Proceed
		case x.answers():
			in.life.leaving = true // its answers come first
			return false, NeedRest
		}
		return false, Terminated
	}
	if x.server == nil {
		switch typ {
		case wire.CopyData, wire.CopyDone, wire.CopyFail, wire.Flush:
			// The rest of a COPY that has failed, or nothing to flush. PostgreSQL
			// skips it, and no server is needed for that.
			return true, Proceed
		}
		return false, NeedServer
	}
	if x.blocked {
		if !x.open() {
			return false, NeedRest
		}
		x.blocked = false
	}
	switch {
	case x.waiting.drop && typ == wire.Query: // which was answered already
		x.waiting.drop = false
		return true, Proceed
	case in.state.probe != nil || x.ledger.len() >= limit:
		return false, NeedRest
	case x.skipping && typ != wire.Sync:
		return true, Proceed
	}
	switch typ {
	case wire.CopyData, wire.CopyDone, wire.CopyFail:
		return x.copy.state == noCopy, Proceed
	case wire.Flush:
		x.flushed = x.ledger.pushed
		return x.copy.state == copying, Proceed
	}
	return false, Proceed
}

// cString returns b up to its first NUL.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
