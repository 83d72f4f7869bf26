package relay

import "github.com/pgseal/pgseal/internal/wire"

// copyState is that of a COPY FROM STDIN. Nothing is sent behind what may begin
// one before PostgreSQL has answered that, so it is known at each message of the
// client's whether it is data.
type copyState byte

const (
	noCopy    copyState = iota
	copying             // the server reads data
	ended               // CopyDone or CopyFail was sent
	resolving           // it has failed, and may have swallowed Syncs or not
	streaming           // both sides send data, as in replication
)

// copyIn is the COPY FROM STDIN that is under way.
type copyIn struct {
	state  copyState
	torn   bool // a part of a message was sent that has no place in it
	syncs  int  // that were sent within it
	ready  int  // ReadyForQuery messages that came since it failed
	marked bool // it was asked which of the Syncs those answer
	synced bool // one of them answers a Sync of ours
}

// onCopyEnd takes a CopyDone or CopyFail, which is whole.
func (q *requests) onCopyEnd(m []byte) edit {
	if q.ex.copy.state != copying {
		return edit{}
	}
	q.ex.copy.state = ended
	q.ex.block()
	if e := q.ex.ledger.first(); e == nil || e.kind != execute {
		return edit{}
	}
	q.ex.flushed = q.ex.ledger.pushed
	return whole(m, wire.AppendFlush(append(q.ex.out[:0], m...)))
}

// outOfPlace takes the first byte of a message that PostgreSQL does not take for
// data: it needs no more to end the connection. If the COPY has failed
// meanwhile it takes it for a message, which it never gets.
func (q *requests) outOfPlace(typ byte) edit {
	q.ex.desynced, q.ex.copy.torn, q.ex.copy.state = true, true, ended
	return edit{out: []byte{typ}, wait: true}
}

// resolved takes the answer to it, and returns the ReadyForQuery messages that
// the client gets.
func (a *answers) resolved() (out []byte) {
	n := a.ex.copy.ready
	a.ex.copy.marked = false
	if a.ex.copy.synced {
		n--
	}
	a.ex.dropSyncs()
	if n > 0 && a.params.withheld && !a.life.left {
		out = a.params.catchUp(out) // what was reported in front of the first of them
	}
	for range n {
		out = wire.AppendReadyForQuery(out, a.ex.status)
		a.ex.answered++
	}
	a.ex.ledger.pop() // the Close
	a.ex.skipping = a.ex.copy.synced && n == 0
	return out
}

// copyBegins takes a CopyInResponse or CopyBothResponse.
func (x *exchange) copyBegins(typ byte, e *entry) {
	switch {
	case typ == wire.CopyBothResponse:
		x.copy.state = streaming
		return
	case e == nil || e.is(ours) || e.kind != query && e.kind != execute || x.ledger.len() > 1:
		// Something was sent behind it, which the text gave no reason to hold back.
		x.desynced = true
	}
	x.copy.state = copying
}

// copyDone takes the completion of a COPY FROM STDIN: the Syncs that were sent
// within it went with the data (PostgreSQL documentation, "COPY Operations").
func (x *exchange) copyDone() {
	if x.copy.state == noCopy || x.copy.state == streaming {
		return
	}
	x.copy.state = noCopy
	x.dropSyncs()
}

// dropSyncs takes the Syncs that were swallowed out of the ledger. Nothing but
// the message that began the COPY stands in front of them.
func (x *exchange) dropSyncs() {
	if x.copy.syncs == 0 {
		return
	}
	x.copy.syncs = 0
	x.ledger.dropCopySyncs()
}

// copyFailed takes an error while a COPY FROM STDIN is under way. Whether Syncs
// that were sent within it were swallowed before it failed, or are answered now,
// depends on how far PostgreSQL had read. It is asked: what comes before the
// answer to our own query answers them.
func (x *exchange) copyFailed() {
	switch {
	case x.copy.state == noCopy || x.copy.state == streaming:
	case x.copy.syncs == 0 || x.copy.torn:
		x.copy.state = noCopy
		x.dropSyncs()
	default:
		x.copy.state, x.copy.ready = resolving, 0
		x.block()
	}
}

// unresolved reports whether it has to be asked what became of Syncs within a
// COPY that has failed: all else is answered.
func (x *exchange) unresolved() bool {
	e := x.ledger.first()
	return x.copy.state == resolving && (e == nil || e.kind == copySync)
}

// settleSyncs returns what makes PostgreSQL tell.
func (x *exchange) settleSyncs() []byte {
	x.copy.state = noCopy
	var out []byte
	x.copy.synced = x.skipping
	if x.skipping {
		out = wire.AppendSync(out) // whose answer is one more
	}
	x.copy.marked = true
	out = wire.AppendNamed(out, wire.CloseMessage, 'S', x.cfg.absentName) // which ends nothing
	x.push(entry{kind: closing, flags: ours | marker})
	x.push(entry{kind: syncing, flags: ours | bestEffort})
	return wire.AppendSync(out)
}
