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
func (r *Relay) onCopyEnd(m []byte) edit {
	if r.copy.state != copying {
		return edit{}
	}
	r.copy.state = ended
	r.hold()
	if e := r.ledger.first(); e == nil || e.kind != execute {
		return edit{}
	}
	r.ex.flushed = r.ledger.pushed
	return whole(m, wire.AppendFlush(append(r.out[:0], m...)))
}

// outOfPlace takes the first byte of a message that PostgreSQL does not take for
// data: it needs no more to end the connection. Where the COPY has failed
// meanwhile it takes it for a message, which it never gets.
func (r *Relay) outOfPlace(typ byte) edit {
	r.ex.doubt, r.copy.torn, r.copy.state = true, true, ended
	return edit{out: []byte{typ}, wait: true}
}

// copyBegins takes a CopyInResponse or CopyBothResponse.
func (r *Relay) copyBegins(typ byte, e *entry) {
	switch {
	case typ == wire.CopyBothResponse:
		r.copy.state = streaming
		return
	case e == nil || e.is(ours) || e.kind != query && e.kind != execute || r.ledger.len() > 1:
		// Something was sent behind it, which the text gave no reason to hold back.
		r.ex.doubt = true
	}
	r.copy.state = copying
}

// copyDone takes the completion of a COPY FROM STDIN: the Syncs that were sent
// within it went with the data (PostgreSQL documentation, "COPY Operations").
func (r *Relay) copyDone() {
	if r.copy.state == noCopy || r.copy.state == streaming {
		return
	}
	r.copy.state = noCopy
	r.dropSyncs()
}

// dropSyncs takes the Syncs that were swallowed out of the ledger. Nothing but
// the message that began the COPY stands in front of them.
func (r *Relay) dropSyncs() {
	if r.copy.syncs == 0 {
		return
	}
	r.copy.syncs = 0
	kept := r.ledger.entries[:r.ledger.head]
	for _, e := range r.ledger.entries[r.ledger.head:] {
		if e.kind != copySync {
			kept = append(kept, e)
		} else {
			r.ledger.count(&e, -1)
		}
	}
	clear(r.ledger.entries[len(kept):])
	r.ledger.entries = kept
}

// copyFailed takes an error while a COPY FROM STDIN is under way. Whether Syncs
// that were sent within it were swallowed before it failed, or are answered now,
// depends on how far PostgreSQL had read. It is asked: what comes before the
// answer to our own query answers them.
func (r *Relay) copyFailed() {
	switch {
	case r.copy.state == noCopy || r.copy.state == streaming:
	case r.copy.syncs == 0 || r.copy.torn:
		r.copy.state = noCopy
		r.dropSyncs()
	default:
		r.copy.state, r.copy.ready = resolving, 0
		r.hold()
	}
}

// resolve returns what makes PostgreSQL tell.
func (r *Relay) settleSyncs() []byte {
	r.copy.state = noCopy
	var out []byte
	r.copy.synced = r.ex.skipping
	if r.ex.skipping {
		out = wire.AppendSync(out) // whose answer is one more
	}
	r.copy.marked = true
	out = wire.AppendNamed(out, wire.CloseMessage, 'S', r.cfg.nobody) // which ends nothing
	r.push(entry{kind: closing, flags: ours | marker})
	r.push(entry{kind: syncing, flags: ours | aside})
	return wire.AppendSync(out)
}

// resolved takes the answer to it, and returns the ReadyForQuery messages that
// the client gets.
func (r *Relay) resolved() (out []byte) {
	n := r.copy.ready
	r.copy.marked = false
	if r.copy.synced {
		n--
	}
	r.dropSyncs()
	if n > 0 && r.params.held && !r.life.left {
		out = r.catchUp(out) // what was reported in front of the first of them
	}
	for range n {
		out = wire.AppendReadyForQuery(out, r.ex.status)
		r.ex.answered++
	}
	r.ledger.pop() // the Close
	r.ex.skipping = r.copy.synced && n == 0
	return out
}
