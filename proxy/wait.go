package proxy

import (
	"errors"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/proxy/relay"
)

// How a client's wait for a server ended.
const (
	waitGranted  = "granted"
	waitTimeout  = "timeout"  // query_wait_timeout, or the login's
	waitCanceled = "canceled" // by a CancelRequest
	waitLeft     = "left"     // the client left, or had to
	waitFailed   = "failed"   // no server could be had
)

// waitNotice is what a client is told after query_wait_notify.
var waitNotice = &wire.Error{Severity: "NOTICE", Code: wire.CodeSuccess,
	Message: "No server connection available in postgres backend, client being queued", Hint: "It has waited for query_wait_notify."}

// wait is a client's place in the queue of its pool. The lock of its conversation
// guards what is not owned by the client's home, or before that by the login.
type wait struct {
	need    pool.Need   // owned by the client's home
	waiter  pool.Waiter // likewise
	waiting bool        // in the queue, or granted a server that was not taken yet
	granted grant
	closed  bool // what is granted would not be taken
}

// grant is what a wait for a server ended with.
type grant struct {
	server *pool.Server
	err    error
}

// take returns what was granted, once.
func (w *wait) take() grant {
	g := w.granted
	w.granted = grant{}
	return g
}

// dropGathered drops a message of the client's that no server has got yet, all
// but its last byte, and returns its type.
func (c *conversation) dropGathered() (typ byte, gathered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.relay.DropGathered()
}

// updateNeed notes which servers the client can use.
func (c *conversation) updateNeed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait.need.Exact, c.wait.need.Fresh = c.relay.Need()
}

// setWaiting notes that the session joins the queue, or does not have to.
func (c *conversation) setWaiting(waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait.waiting = waiting
	c.observe()
}

// endWait notes that the session no longer waits for a server, and reports whether
// it did. mu is held.
func (c *conversation) endWait() bool {
	waited := c.wait.waiting
	if c.wait.waiting = false; waited {
		c.tally.totals.waited += c.wait.waiter.Waited
	}
	return waited
}

// grant notes what the wait ended with, and reports false if it would not be
// taken.
func (c *conversation) grant(server *pool.Server, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wait.closed {
		return false
	}
	c.wait.granted = grant{server, err}
	return true
}

// takeGrant returns what the wait ended with, whether there was one, and why the
// session is to end, if it is.
func (c *conversation) takeGrant() (g grant, waited bool, end error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, waited = c.wait.take(), c.endWait()
	c.observe()
	return g, waited, c.end
}

// acquire gets a server for what the client is about to send. It reports false
// if the session has to wait for it, or has ended.
func (s *session) acquire() bool {
	l := &s.link
	if l.conn.Unsent() {
		// It has answers to read first, or it could make us keep any number of
		// them. PostgreSQL would not read on either.
		l.conn.Write(nil, l.conn)
		return false
	}
	s.talk.updateNeed()
	for {
		server := l.talk.pool.TryAcquire(&s.talk.wait.need)
		if server == nil {
			if server = s.await(); server == nil {
				return false
			}
		}
		if l.attach(server) {
			return true
		}
	}
}

// await joins the pool's queue, unless a server has become free or waiting is
// useless: then the session has ended.
func (s *session) await() *pool.Server {
	s.talk.setWaiting(true)
	server, err := s.talk.pool.Acquire(&s.talk.wait.waiter)
	if server == nil && err == nil {
		s.link.conn.Pause()
		s.arm()
		return nil
	}
	s.talk.setWaiting(false)
	if err != nil {
		s.leave(err)
	}
	return server
}

// takeGrant goes on with what the wait ended with, at the client's home.
func (s *session) takeGrant() {
	g, waited, end := s.talk.takeGrant()
	waiter := &s.talk.wait.waiter
	switch {
	case !waited: // Closed has logged it
	case s.left:
		s.link.logWait(waiter, waitLeft, end)
	default:
		s.link.logWait(waiter, waitOutcome(g.err), g.err)
	}
	switch {
	case s.left:
		if g.server != nil {
			s.talk.pool.Release(g.server)
		}
	case g.err == errCanceled:
		s.skipWaiting()
		s.proxy.counters.errors.note(&s.conn, errCanceled, nil)
		s.link.tell(errCanceled.Append(nil))
		s.link.conn.Resume()
	case g.err != nil:
		s.leave(g.err)
	case s.link.attach(g.server) || s.acquire():
		s.link.conn.Resume()
	}
}

// skipWaiting has what the client sent that no server was found for go nowhere.
func (s *session) skipWaiting() {
	s.skips = true
	if typ, gathered := s.talk.dropGathered(); gathered {
		s.skip.begin(typ)
		s.skip.body = 1 // its last byte comes again
	}
}

// grant is called by the pool, from any goroutine, when the wait is over.
func (l *link) grant(server *pool.Server, err error) {
	switch {
	case l.talk.grant(server, err):
		l.conn.Post(l.onGranted)
	case server != nil:
		l.talk.pool.Release(server)
	}
}

// stopWaiting makes the wait for a server end with err, unless it is about to
// end anyway.
func (l *link) stopWaiting(err error) {
	if l.talk.pool.Leave(&l.talk.wait.waiter) {
		l.grant(nil, err)
	}
}

// logWait logs a wait that took long, once it is over. err is what
// it ended with, nil for a server.
func (l *link) logWait(w *pool.Waiter, outcome string, err error) {
	limit := l.proxy.settings.Load().SlowWait
	if limit == 0 || w.Waited < limit {
		return
	}
	reason := zap.Skip()
	if err != nil {
		reason = zap.NamedError("reason", err)
	}
	l.proxy.log.Warn("client waited long for a server connection", append(l.client.fields(),
		zap.Duration("waited", w.Waited), zap.Int("ahead", w.Ahead), zap.String("outcome", outcome), reason)...)
}

// waitOutcome sorts what a wait ended with.
func waitOutcome(err error) string {
	switch {
	case err == nil:
		return waitGranted
	case errors.Is(err, pool.ErrWaitTimeout), err == login.ErrTimeout:
		return waitTimeout
	case err == errCanceled:
		return waitCanceled
	}
	return waitFailed
}

// skipper consumes what a client sent that shall not be run, because its
// statement was cancelled before a server had it. It is to such messages what
// PostgreSQL is to those behind an error (PostgreSQL documentation, "Message
// Flow"): a simple query is over with its own message, anything of the extended
// protocol with the next Sync. The zero value is at the beginning of an
// exchange. It allocates nothing and keeps no bytes.
type skipper struct {
	begun  bool
	toSync bool // the exchange ends with a Sync
	last   bool // it ends with the current message
	body   int  // bytes still to come of that
}

// skip takes bytes that the client sent and says how many of them to drop. Its
// verdict is proceed if the exchange is over, so that it is to be answered
// by ReadyForQuery; terminate if the client sends Terminate instead, in a
// message that is left; failed if the client breaks the protocol; and else
// needMore. After proceed the skipper is at the beginning of an exchange.
func (k *skipper) skip(b []byte) (st relay.Step, over bool) {
	for n := 0; ; {
		take := min(k.body, len(b)-n)
		k.body -= take
		n += take
		switch {
		case k.last && k.body == 0:
			*k = skipper{}
			return relay.Step{Used: n, Verdict: skipped}, true
		case len(b)-n < wire.HeaderSize: // also if the body goes on
			return relay.Step{Used: n, Verdict: relay.NeedMore}, false
		}
		typ, size := wire.ParseHeader(b[n:])
		if err := relay.CheckClientMessage(typ, size); err != nil {
			return relay.Step{Used: n, Verdict: relay.Failed, Err: err}, false
		}
		if typ == wire.Terminate {
			return relay.Step{Used: n, Verdict: relay.Terminated}, false
		}
		k.begin(typ)
		k.body = size
		n += wire.HeaderSize
	}
}

// begin notes a message by its type.
func (k *skipper) begin(typ byte) {
	if !k.begun {
		k.begun = true
		switch typ {
		case wire.Query, wire.FunctionCall, wire.Sync:
			k.last = true
		default:
			k.toSync = true
		}
		return
	}
	k.last = k.toSync && typ == wire.Sync
}
