package proxy

import (
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/relay"
)

// conversation is what the client's home and the server's home share of a
// session. It decides, and its caller carries out: the session at the client's
// home, the link at the server's.
//
// The rules of a session's locks:
//
//   - mu guards the state between the two homes. The methods lock it, but for
//     those that say that it is held.
//   - mu is never held while bytes are written.
//   - Only the client's home writes to the server while the client is there, but
//     for queries of ours to a server that owes nothing.
//   - A client that the engine has is written to only with the link's wmu held, which
//     makes such a write and the decision that led to it one.
//   - Locks are taken in this order: the session's mu, the link's wmu, this mu.
type conversation struct {
	// Set once, before the session is greeted.
	ends *ending
	pool *pool.Pool

	mu        sync.Mutex     // guards what follows
	relay     *relay.Relay   // nil until it is known what the client may do
	greeted   bool           // the engine has the client, or had it
	server    *pool.Server   // nil while none is held
	dedicated bool           // the server is that of a replication connection
	requested int64          // when a server was taken last, in seconds since 1970
	trial     chan<- outcome // during login: told when our own query was answered
	wait      wait
	watch     watch
	tally     tally
	cancels   cancelTurn
	end       error // why the session is to end
	muted     bool  // nothing more is to be written to the client
}

// follow has the session followed by r from now on. own says that it gets a
// server of its own.
func (c *conversation) follow(r *relay.Relay, own bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relay, c.dedicated = r, own
}

// greet notes that the engine has the client.
func (c *conversation) greet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.greeted = true
}

// reported returns what the client is greeted with. A replication connection's
// server may report meanwhile.
func (c *conversation) reported() []wire.Parameter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.relay.ClientReported()
}

// stepClient has the relay look at what the client sent, unless the session is
// to end.
func (c *conversation) stepClient(b []byte) (st relay.Step, server *pool.Server, rests bool) {
	c.mu.Lock()
	defer c.mu.Unlock() // also when the relay panics: leave needs it
	if c.end != nil {
		return relay.Step{Verdict: over}, nil, false
	}
	st = c.relay.FromClient(b)
	c.tally.fromClient(c.relay, st.Used)
	c.observe()
	return st, c.server, c.relay.AtRest()
}

// stepServer has the relay look at what the server sent, unless that was given
// away meanwhile: what it says then is not ours.
func (c *conversation) stepServer(server *pool.Server, b []byte) (st relay.Step, mute bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != server {
		return relay.Step{Verdict: relay.NeedMore}, true
	}
	st = c.relay.FromServer(b)
	if list, changed := c.relay.ServerReported(); changed {
		server.SetReported(list)
	}
	c.observe()
	sent := len(st.Pass) + len(st.Insert)
	if mute = c.muted || !c.greeted || c.end != nil; mute {
		sent = 0
	}
	c.tally.toClient(c.relay, c.pool, sent)
	return st, mute
}

// decision is what is to be done with a server.
type decision struct {
	relay.Action
	greeted bool           // there is a client that the engine has, or had
	left    bool           // the client has gone
	trial   chan<- outcome // the login that waits for this
	outcome outcome        // what it gets
	wake    bool           // the session may have to end
}

// decide takes the server from the session if that needs it no longer, and says
// what is to become of it.
func (c *conversation) decide(server *pool.Server) (d decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != server || server == nil {
		return d
	}
	d.left, d.greeted = c.relay.Left(), c.greeted
	d.Action = c.relay.Next()
	gone := d.Do == relay.Release || d.Do == relay.Retry
	if d.End != nil && c.end == nil && c.trial == nil {
		c.end = d.End
	}
	d.wake = (c.ends.whenIdle() != nil || c.end != nil) && d.greeted && (gone || c.mayEnd() || d.End != nil)
	if gone {
		if d.trial, c.trial = c.trial, nil; d.trial != nil {
			d.outcome.again = d.End == nil && c.relay.Trying()
			if d.End != nil {
				d.outcome.refused = d.End
			}
		}
		c.release()
	}
	c.observe()
	return d
}

// release notes that the server is no longer the session's. mu is held.
func (c *conversation) release() {
	c.relay.Detach()
	c.server = nil
}

// take notes that server is the session's. setup goes to it in front of what the
// client sends, tell to the client.
func (c *conversation) take(server *pool.Server) (setup, tell []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	setup, tell = c.relay.Attach(stateOf(server))
	c.server, c.wait.need.Last, c.requested = server, server, c.pool.Clock()
	if c.greeted {
		c.tally.began()
	}
	return setup, tell
}

// NewServerState is what a pool.Manager whose servers sessions are lent makes their
// State by.
func NewServerState(startup []wire.Parameter) pool.State { return relay.NewServer(startup) }

// stateOf returns the relay's state of a server that is held.
func stateOf(server *pool.Server) *relay.Server {
	state := server.State.(*relay.Server)
	state.SetReported(server.Reported())
	return state
}

// drop takes a server from the session that it holds, if that is at rest or need
// not be, and reports whether it did.
func (c *conversation) drop(server *pool.Server, atRest bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != server || server == nil || atRest && !c.relay.AtRest() {
		return false
	}
	c.release()
	return true
}

// ours returns the server that is held, and what the relay has to ask it if that
// is still so.
func (c *conversation) ours() (server *pool.Server, query []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil && c.end == nil {
		query = c.relay.Ours()
	}
	return c.server, query
}

// lost notes that the connection of a server has ended, and says what is to be
// done, if that was held.
func (c *conversation) lost(server *pool.Server, err error) (d decision, held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != server {
		return d, false
	}
	if c.end == nil {
		c.end = errServerLost.WithCause(err)
		switch {
		case c.relay.FatalSeen():
			c.end = errServerSaid
		case c.relay.Leaving():
			c.end = errTerminated
		}
	}
	// What the client got of a message stays torn: BetweenMessages looks at
	// the relay, which is left as it is.
	c.server = nil
	d.trial, c.trial = c.trial, nil
	d.outcome.refused, d.wake = c.end, c.greeted
	return d, true
}

// fail has the session end for what its server sent, and the server never lent
// again. It reports whether the engine has the client.
func (c *conversation) fail(err *wire.Error) (greeted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end = err
	}
	c.relay.Desync()
	return c.greeted
}

// breakServer ends a server if the session still holds it.
func (c *conversation) breakServer(server *pool.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == server {
		c.relay.Desync()
		server.Break()
	}
}

// abort has the session end now, and the server that it holds.
func (c *conversation) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.muted = true
	if c.end == nil {
		c.end = errShutdown
	}
	if c.relay != nil {
		c.relay.Desync()
	}
	if c.server != nil {
		c.server.Break()
	}
}

// endIfDue returns why the session is to end now, or nil. It notes that: the
// client gets no more of its server's answers.
func (c *conversation) endIfDue() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return c.end
	}
	if killed := c.ends.killed.Load(); killed != nil {
		c.end = killed
	} else if idle := c.ends.whenIdle(); idle != nil && !c.wait.waiting && c.mayEnd() {
		c.end = idle
	}
	return c.end
}

// mayEnd reports whether the session can be ended in order: nothing of its
// client's is under way, or what never comes to an end by itself, and the
// client can be told. mu is held.
func (c *conversation) mayEnd() bool {
	return c.server == nil || c.relay.AtRest() || c.dedicated && c.relay.BetweenMessages()
}

// ended reports whether the session is about to end.
func (c *conversation) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != nil
}

// idle reports whether the client waits for nothing, or has sent Terminate and gets
// its answers first.
func (c *conversation) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.wait.waiting && c.server == nil || c.relay.Leaving()
}

// canNotify reports whether a message of ours could be sent to the client.
func (c *conversation) canNotify() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.greeted && !c.muted && c.end == nil && c.relay.BetweenMessages()
}

// close ends what the session waits for, frees what it has of memory that is
// shared, and adds to the pool's counters what they lack. It returns a server that
// was granted and not taken, or nil, whether it still waited, and why it ended.
func (c *conversation) close() (unused *pool.Server, waited bool, all totals, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait.closed = true
	unused, waited = c.wait.take().server, c.endWait()
	c.tally.report(c.relay, c.pool)
	c.relay.Close()
	return unused, waited, c.tally.totals, c.end
}

// doing says what the client spends its time with. mu is held.
func (c *conversation) doing() activity {
	switch {
	case c.wait.waiting:
		return waiting
	case c.relay == nil || !c.relay.Held():
		return idle
	case c.relay.Running() || !c.relay.Quiet():
		return running
	case c.relay.Status() != wire.StatusIdle:
		return idleInTransaction
	}
	return idle
}

// observe notes what the client does. mu is held.
func (c *conversation) observe() { c.watch.note(c.doing(), c.relay.Answered()) }

// arm returns for how long to set the timer of the watch, if it has to be set.
func (c *conversation) arm() (d time.Duration, set bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watch.arm()
}

// limit has these timeouts hold from now on.
func (c *conversation) limit(t pool.Timeouts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch.limit(t, c.doing(), c.relay.Answered())
}

// timedOut notes that the timer of the watch has fired. It returns the end of the
// session if something took too long, and whether the client is to be told
// that it waits.
func (c *conversation) timedOut() (end *wire.Error, notify bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch.due = time.Time{}
	end, notify = c.watch.expired(time.Now())
	c.watch.notified = c.watch.notified || notify
	return end, notify
}

// describe adds what SHOW tells of the session to v.
func (c *conversation) describe(v *stats.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.Replication = c.dedicated
	v.Application = applicationNameIn(c.relay.ClientReported(), "")
	v.PoolUser, v.Prepared = c.pool.User(), c.relay.Names()
	if c.requested != 0 {
		v.Requested = time.Unix(c.requested, 0)
	}
	switch {
	case c.wait.waiting:
		v.State, v.Wait = stats.StateWaiting, c.pool.Waiting(&c.wait.waiter)
	case c.server != nil:
		v.State, v.Server = stats.StateActive, c.server.ID
		v.Pins = relay.Reasons(c.relay.HoldsFor())
		v.ServerPrepared = c.relay.ServerPrepared()
	}
}

// pin says what keeps the client on its server, if anything does.
func (c *conversation) pin() (p stats.Pin, pinned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return p, false
	}
	why := c.relay.HoldsFor()
	return stats.Pin{Server: c.server.ID, Reasons: relay.Reasons(why), Since: c.relay.PinnedSince()}, why != 0
}
