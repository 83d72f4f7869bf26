package proxy

import (
	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// link notes that a server, clean and idle, is held from now on by the session
// of this number, and that our own queries go to it in front of what the client
// sends.
func (r *relay) link(server *serverState, holder uint64, ours int) {
	r.linked, r.status = true, wire.StatusIdle
	r.batch, r.runs, r.copyIn, r.mixed, r.doubt, r.barrier, r.setting = false, false, false, false, false, false, false
	r.serverBody, r.hideBody, r.lastType = 0, false, 0
	r.pending.reset()
	for range ours {
		r.pending.push(pendingOurs)
	}
	r.extended.link()
	r.survey = nil
	r.effects.foreign = server.lastHolder != holder
	server.lastHolder = holder
	server.era++
	if ours > 0 {
		server.unnamed = 0 // a simple query ends it
	}
	r.server = server
}

// unlink notes that the server was given back.
func (r *relay) unlink() { r.linked, r.server = false, nil }

// quiet reports whether the server owes nothing and is between messages, so
// that it would not notice a change of its client.
func (r *relay) quiet() bool {
	return r.linked && r.pending.first() == 0 && !r.batch && !r.copyIn && !r.doubt &&
		r.clientBody == 0 && r.serverBody == 0
}

// atRest reports whether, beyond that, no transaction is open.
func (r *relay) atRest() bool { return r.quiet() && r.status == wire.StatusIdle }

// flushed reports whether all that keeps the server from being at rest is that
// the client prepared or described statements and flushed, as asyncpg does,
// without a Sync. That leaves nothing but statements, which follow the client.
func (r *relay) flushed() bool {
	return r.tracks && r.linked && !r.left && r.batch && !r.runs && r.status == wire.StatusIdle && r.pending.first() == 0 &&
		!r.copyIn && !r.doubt && r.clientBody == 0 && r.serverBody == 0 && r.extended.answered()
}

// endFlushed returns what ends such a batch.
func (r *relay) endFlushed() []byte {
	r.batch = false
	r.extended.synced()
	r.pending.push(pendingFlush)
	return wire.AppendSync(nil)
}

// inNone reports whether no transaction is open.
func (r *relay) inNone() bool { return r.status == wire.StatusIdle }

// running reports whether the server works for the client at this moment.
func (r *relay) running() bool {
	return r.linked && !r.pending.ours() && (r.pending.first() != 0 || r.batch || r.copyIn)
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
		r.extended.synced()
		r.pending.push(pendingSync)
	}
	return dst, true
}

// discardAll is what cleans a session of all that the proxy knows to pin a
// client.
const discardAll = "DISCARD ALL"

// clean is called when the server that a client left behind is quiet. It
// returns the query that has to run before somebody else may have the server:
// the end of an open transaction, then reset, if that is not empty.
func (r *relay) clean(reset string) string {
	if r.status != wire.StatusIdle {
		return "ROLLBACK"
	}
	return reset
}

// holdsFor returns what keeps the client on its server beyond its transaction.
func (r *relay) holdsFor() sqlscan.Effects {
	why := r.effects.pins
	if r.extended.stuck() {
		why |= largeUnnamed
	}
	return why
}

// leavesBehind reports whether the client left in the session what the next
// one must not find, and whether nothing can remove it.
func (r *relay) leavesBehind() (something, indelibly bool) {
	e := &r.effects
	if !r.tracks {
		return false, false
	}
	traces := e.pins | e.toAsk()
	if e.policy == pool.IgnoreState {
		traces &= carried
	}
	return traces != 0, traces&indelible != 0
}

// fatalSeen reports whether the server's last word to the client was an
// error, as it is when PostgreSQL ends a session by itself.
func (r *relay) fatalSeen() bool { return r.lastType == wire.ErrorResponse && r.serverBody == 0 }
