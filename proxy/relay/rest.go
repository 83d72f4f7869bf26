package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// Do is what is to become of the server that is held.
type Do byte

const (
	Keep    Do = iota
	Release    // it is clean and owes nothing: others may have it
	Retry      // it refused the session's parameters: end it, and attach one that was never lent
	Break      // end it
)

// Action is what the driver does when the relay has been told of something.
type Action struct {
	Do     Do
	Query  []byte      // is to be sent to the server; its client has gone
	Wake   bool        // Ours has something to send, at the client's home
	Resume bool        // the client's bytes may go on
	End    *wire.Error // why the session has to end
	Pinned effects.Set // why the client keeps its server from now on
	// Defaults are what the server reports that was not set in its session.
	Defaults []wire.Parameter
}

// quiet reports whether the server owes nothing and is between messages, so that
// it would not notice a change of its client.
func (r *Relay) quiet() bool { return r.ex.quiet() && r.in.between() }

// AtRest reports whether, beyond that, no transaction is open.
func (r *Relay) AtRest() bool { return r.quiet() && r.ex.status == wire.StatusIdle }

// flushable reports whether all that keeps the server from being at rest is that
// the client prepared or described statements and flushed, as asyncpg does,
// without a Sync. That leaves nothing but statements, which follow the client.
func (r *Relay) flushable() bool {
	return r.cfg.Shared && r.ex.server != nil && !r.life.left && r.ex.batch.open && !r.ex.batch.runs && !r.ex.skipping && !r.ex.waiting.waits &&
		r.ex.status == wire.StatusIdle && r.ex.ledger.empty() && r.ex.copy.state == noCopy && !r.ex.desynced && r.in.left == 0 && r.ex.left == 0
}

// Running reports whether the server works for the client.
func (r *Relay) Running() bool {
	return r.ex.server != nil && (r.ex.ledger.theirs > 0 || r.ex.batch.open || r.ex.copy.state != noCopy)
}

// Quiet reports whether the server owes nothing, or what it owes can't be known.
func (r *Relay) Quiet() bool { return r.quiet() || r.ex.desynced }

// Sends reports whether the client has begun what is not over yet.
func (r *Relay) Sends() bool { return r.ex.batch.open || r.in.left > 0 || r.ex.ledger.theirs > 0 }

// BetweenMessages reports whether the client could be sent a message of ours
// without tearing a server's message apart.
func (r *Relay) BetweenMessages() bool { return r.ex.server == nil || r.ex.left == 0 || r.from.hide }

// FatalSeen reports whether the server's last word to the client was an error,
// as it is when PostgreSQL ends a session by itself.
func (r *Relay) FatalSeen() bool { return r.from.last == wire.ErrorResponse && r.ex.left == 0 }

// Desync notes that it is not known which answers are outstanding: the server is
// never lent again.
func (r *Relay) Desync() { r.ex.desynced = true }

// HoldsFor returns what keeps the client on its server beyond its transaction.
func (r *Relay) HoldsFor() effects.Set { return r.stmts.holdsFor() }

// Next says what is to become of the server, after it or the client has sent
// something.
func (r *Relay) Next() (a Action) {
	if r.ex.server == nil {
		return a
	}
	if r.state.probe != nil && r.state.probe.done {
		var forgotten bool
		if r.params.defaults, forgotten = r.state.learn(); forgotten {
			r.stmts.names.Forget(r.state.opaque)
		}
	}
	if r.params.defaults && !(r.cfg.Shared && (r.state.suspect&(effects.Settings|effects.Unseen) != 0 || r.state.probe != nil || !r.ex.ledger.empty())) {
		r.params.defaults, a.Defaults = false, r.ex.server.params.Unset()
	}
	switch {
	case r.life.left:
		r.nextLeft(&a)
	case r.life.end != nil:
		a.Do, a.End = Break, r.life.end
	case r.life.refused != nil && r.ex.ledger.empty():
		r.nextRefused(&a)
	default:
		r.nextHeld(&a)
		if why := r.stmts.holdsFor(); why&^r.life.pinned != 0 {
			a.Pinned, r.life.pinned = why&^r.life.pinned, why
		}
	}
	if r.ex.waiting.waits && (a.Do == Release || a.Do == Retry || !r.life.asked && r.ex.open() && r.state.probe == nil || r.life.leaving && !r.ex.answers() && !r.ex.copy.torn) {
		r.ex.waiting.waits, a.Resume = false, true
	}
	return a
}

// nextRefused says what is to become of a server that refused the session's
// parameters. A function of another's rights, or what was done in its session,
// may be why; so one that was never lent is tried.
func (r *Relay) nextRefused(a *Action) {
	err := r.life.refused
	r.life.refused = nil
	switch {
	case !r.life.retried:
		r.life.retried = true
		a.Do = Retry
	case r.life.trial: // what its client asks for is no fault of the server's
		r.life.trial = false
		a.Do, a.End = Release, err
	default:
		a.Do, a.End = Break, err
	}
}

// nextHeld says what is to become of a server while its client is there.
func (r *Relay) nextHeld(a *Action) {
	switch {
	case r.flushable(), r.ex.needsSync, r.ex.unresolved() && r.in.between():
		a.Wake = r.life.wake()
	case r.ex.batch.mixed && r.cfg.Shared && r.AtRest():
		a.Wake = r.life.wake()
	case !r.AtRest() || r.cfg.Stream:
	case r.life.trial:
		a.Do = Release
		r.life.trial, r.life.retried = false, false
		r.params.setReported(r.ex.server.params.Reported)
		r.state.checkSearchPath()
	case !r.cfg.Shared:
	case r.state.toAsk() != 0 && !r.stmts.unnamed.stuck():
		a.Wake = r.life.wake()
	case !r.ex.touched:
	case r.stmts.holdsFor() != 0:
	case r.cfg.Always && r.cfg.Reset != "" && !r.life.cleaned:
		a.Wake = r.life.wake()
	default:
		a.Do = Release
		r.life.retried = false
	}
}

// Ours returns what is to be sent to the server on our own account, if that is
// still so. Only the writer of what the client sends may call it.
func (r *Relay) Ours() []byte {
	r.life.asked = false
	switch {
	case r.ex.server == nil || r.life.left:
	case r.ex.needsSync:
		r.ex.needsSync = false
		return wire.AppendSync(nil)
	case r.flushable():
		r.ex.push(entry{kind: syncing, flags: ours | bestEffort})
		return wire.AppendSync(nil)
	case r.ex.unresolved() && r.in.between():
		return r.ex.settleSyncs()
	case r.ex.batch.mixed && r.cfg.Shared && r.AtRest():
		// PostgreSQL 18 leaves the transaction of such a batch open in part, and
		// fails at the next command. That shall not be another client's.
		r.ex.batch.mixed, r.ex.server.unnamed = false, 0
		r.ex.push(entry{kind: query, flags: ours | bestEffort})
		return wire.AppendQuery(nil, "")
	case !r.AtRest() || !r.cfg.Shared || r.ex.waiting.waits && r.ex.blocked && !r.ex.open():
	case r.state.toAsk() != 0 && !r.stmts.unnamed.stuck():
		return r.state.beginProbe()
	case r.cfg.Always && r.cfg.Reset != "" && r.ex.touched && !r.life.cleaned && r.stmts.holdsFor() == 0:
		r.life.cleaned = true
		r.ex.block()
		return r.clean(r.cfg.Reset)
	}
	return nil
}

// clean returns the query that resets the session between two clients.
func (r *Relay) clean(reset string) []byte {
	r.life.discardsAll = effects.Of([]byte(reset))&effects.DiscardAll != 0
	r.ex.push(entry{kind: query, flags: ours | cleans})
	r.ex.server.unnamed = 0
	return wire.AppendQuery(nil, reset)
}

// Leave notes that the client has gone. It returns what to send to bring an
// unfinished exchange to its end without committing anything, and false if
// that can't be done, so that the server has to be ended.
func (r *Relay) Leave() (out []byte, orderly bool) {
	if r.ex.server == nil {
		return nil, true
	}
	r.life.left, r.from.hide = true, true
	if r.in.left > 0 && r.in.do != gatherIt || r.ex.desynced || r.ex.copy.state == resolving || r.ex.copy.syncs > 0 || r.ex.copy.state == streaming || r.cfg.Stream && !r.quiet() {
		return nil, false
	}
	if r.ex.copy.state == copying {
		out = wire.AppendCopyFail(out, "client disconnected")
		r.ex.copy.state = ended
	}
	if r.ex.needsSync {
		r.ex.needsSync = false
		out = wire.AppendSync(out)
	}
	if !r.ex.batch.open && !r.ex.skipping {
		return out, true
	}
	if !r.ex.skipping {
		// What no Sync of the client's committed must not be committed by ours: the
		// batch fails before it.
		out = wire.AppendBind(out, r.cfg.absentName)
		r.ex.push(entry{kind: bind, flags: ours})
	}
	r.ex.push(entry{kind: syncing, flags: ours | bestEffort})
	r.ex.skipping = false
	return wire.AppendSync(out), true
}

// discardAll is what cleans a session of all that keeps a client on its server.
const discardAll = "DISCARD ALL"

// nextLeft says what is to become of a server that its client has left.
func (r *Relay) nextLeft(a *Action) {
	switch {
	case r.ex.desynced:
		a.Do = Break
		return
	case r.ex.copy.state == copying: // it began after its client had gone
		var orderly bool
		if a.Query, orderly = r.Leave(); !orderly {
			a.Do = Break
		}
		return
	case r.ex.needsSync:
		r.ex.needsSync = false
		a.Query = wire.AppendSync(nil)
		return
	case r.ex.skipping && r.ex.ledger.empty() && r.ex.left == 0: // up to a Sync that will not come
		r.ex.skipping = false
		r.ex.push(entry{kind: syncing, flags: ours | bestEffort})
		a.Query = wire.AppendSync(nil)
		return
	case !r.quiet():
		return
	case r.ex.batch.mixed:
		r.ex.batch.mixed = false
		r.ex.push(entry{kind: query, flags: ours | bestEffort})
		a.Query = wire.AppendQuery(nil, "")
		return
	case r.cfg.Stream:
		a.Do = Release
		return
	case r.ex.status != wire.StatusIdle && r.life.rolledBack:
		a.Do = Break // its transaction could not be ended
		return
	case r.ex.status != wire.StatusIdle:
		r.life.rolledBack = true
		r.ex.push(entry{kind: query, flags: ours | cleans})
		a.Query = wire.AppendQuery(nil, "ROLLBACK")
		return
	}
	something, indelibly := r.state.leavesBehind(r.stmts.names.BySQL() > 0)
	switch {
	case indelibly:
		a.Do = Break
	case r.life.cleaned:
		a.Do = Release
	case something != "":
		r.life.cleaned = true
		a.Query = r.clean(something)
	default:
		a.Do = Release
	}
}
