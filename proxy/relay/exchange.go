package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// exchange is the state of the protocol between the session and the server that
// it holds: what was sent and not answered, and what may be sent now.
type exchange struct {
	cfg      *Config
	server   *Server // that is held; nil: none
	ledger   ledger
	waiting  waiting
	answered uint // ReadyForQuery messages that the client got
	counts   Counts
	out      []byte // a buffer for what is written in place of the client's bytes
	link
}

// link is the part of an exchange that begins anew with each server.
type link struct {
	copy           copyIn
	batch          batch
	status         byte // of the last ReadyForQuery
	left           int  // bytes still to come of the message that the server sends
	skipping       bool // the server skips everything up to the next Sync, which was not sent
	foreignUnnamed bool // the server may have another client's unnamed statement
	flushed        int  // how many entries the ledger had had when a Flush of ours was sent
	needsSync      bool // a Query failed by what is ours in front of it: a Sync of ours gets its ReadyForQuery
	blocked        bool // nothing more may be sent before the server owes nothing
	desynced       bool // it can't be known what the server owes: never lend it again
	touched        bool // something of the client's was sent
}

// batch is the one that is being sent: what comes before a Sync or a Query ends
// one.
type batch struct {
	number  uint32
	open    bool   // extended-query messages were sent since the last Sync
	mixed   bool   // a Query was sent behind what was executed without a Sync: see Ours
	runs    bool   // some of those bind or execute
	ownRuns bool   // and some of ours between them do
	restore string // what brings startup values back before the Sync
}

// waiting is what is known of the client's message that waits.
type waiting struct {
	times      int  // how often it has waited
	waits      bool // the client has more to send, and waits for the server to answer
	hasPrelude bool // it is a Query in a batch, and something of ours was sent for it
	drop       bool // it is a Query, and was answered by the failure of what it needed
}

// attach notes that a server, idle and clean, is held from now on.
func (x *exchange) attach(s *Server) {
	x.server = s
	x.ledger.reset()
	x.link = link{status: wire.StatusIdle, batch: batch{number: x.batch.number + 1}}
	if cap(x.out) > keepOut {
		x.out = nil
	}
}

// detach notes that no server is held. The ledger is empty.
func (x *exchange) detach() {
	x.blocked, x.skipping, x.batch.open, x.copy.state = false, false, false, noCopy
	x.server = nil
}

// keepOut is how large a buffer a session keeps for what it rewrites.
const keepOut = 4 << 10

// gates are the effects behind which nothing is sent before PostgreSQL has
// answered: what comes next means something else by what the answer is.
const gates = effects.CopyIn | effects.Forgets | effects.Names

// push notes a message that is sent.
func (x *exchange) push(e entry) {
	if e.kind.extended() {
		x.batch.open = true
		if e.kind == bind || e.kind == execute {
			x.batch.runs = x.batch.runs || !e.is(ours)
			x.batch.ownRuns = x.batch.ownRuns || e.is(ours)
		}
	} else if e.kind != copySync {
		x.batch.open, x.batch.runs, x.batch.ownRuns, x.batch.restore = false, false, false, ""
		x.batch.number++
	}
	x.ledger.push(e)
}

// block makes the client's next message wait until the server owes nothing.
func (x *exchange) block() { x.blocked = true }

// open reports whether what was blocked may go on.
func (x *exchange) open() bool {
	return !x.copy.torn && x.left == 0 && (x.ledger.empty() || x.copy.state == copying)
}

// atStart reports whether nothing is under way, so that the client's next message
// begins something new.
func (x *exchange) atStart() bool {
	return x.ledger.empty() && !x.batch.open && !x.skipping && x.status == wire.StatusIdle
}

// quiet reports whether the server owes nothing and is between messages.
func (x *exchange) quiet() bool {
	return x.server != nil && x.ledger.empty() && !x.batch.open && !x.skipping && x.copy.state == noCopy && !x.desynced && x.left == 0
}

// answers reports whether the server is about to answer something: what was not
// flushed it keeps.
func (x *exchange) answers() bool {
	return x.ledger.readies > 0 || !x.ledger.empty() && x.flushed == x.ledger.pushed
}

// sure reports whether the server can't skip the client's next message: it begins
// a batch, and nothing of the one before is unanswered.
func (x *exchange) sure() bool {
	last := x.ledger.last()
	return !x.batch.open && (last == nil || last.kind == syncing)
}

// onlyOwnRan reports whether something of ours was executed in the client's
// batch, and nothing of its own, outside of a transaction as far as is known.
func (x *exchange) onlyOwnRan() bool {
	return x.cfg.Shared && x.batch.open && x.batch.ownRuns && !x.batch.runs && (!x.ledger.empty() || x.status == wire.StatusIdle)
}

// keep keeps a buffer that was written to for the next time.
func (x *exchange) keep(out []byte) {
	if cap(out) <= keepOut && cap(out) > cap(x.out) {
		x.out = out[:0]
	}
}
