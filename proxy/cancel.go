package proxy

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// What became of clients' CancelRequests.
const (
	CancelSent    = "sent"        // to the server that ran the query
	CancelFailed  = "failed"      // the server did not take it
	CancelWait    = "wait_ended"  // the client's wait for a server was ended
	CancelIdle    = "nothing_ran" // or one more cancels the same
	CancelUnknown = "unknown_key"
)

// errCanceled is sent to a client if its wait for a server was canceled.
var errCanceled = &wire.Error{Severity: "ERROR", Code: wire.CodeQueryCanceled,
	Message: "canceling statement due to user request", Hint: "It was waiting for a server connection."}

// cancelKeys finds the session that a cancel key was handed out to. The zero
// value is ready for use, from any goroutine.
type cancelKeys struct {
	mu    sync.RWMutex
	byPID map[uint32]*session
}

// Sizes of a secret in bytes: all that protocol 3.0 has room for, and what
// PostgreSQL gives since 3.2 has room for 256.
const (
	shortSecret = 4
	longSecret  = 32
)

// issue gives s a key of its own, of random bits, as long as the version of the
// protocol has it. The process ID only serves to look it up.
func (k *cancelKeys) issue(s *session, version uint32) {
	b := make([]byte, 4+shortSecret)
	if version >= wire.Version32 {
		b = make([]byte, 4+longSecret)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byPID == nil {
		k.byPID = map[uint32]*session{}
	}
	for {
		rand.Read(b)
		pid := binary.BigEndian.Uint32(b) >> 1 // drivers read it as a signed number
		if pid == 0 || k.byPID[pid] != nil {
			continue
		}
		s.conn.key = wire.CancelKey{PID: pid, Secret: string(b[4:])}
		k.byPID[pid] = s
		return
	}
}

// find returns the session that key was issued to, or nil.
func (k *cancelKeys) find(key wire.CancelKey) *session {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s := k.byPID[key.PID]
	if s == nil || subtle.ConstantTimeCompare([]byte(s.conn.key.Secret), []byte(key.Secret)) != 1 {
		return nil
	}
	return s
}

// forget makes the key of s worthless.
func (k *cancelKeys) forget(s *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byPID[s.conn.key.PID] == s {
		delete(k.byPID, s.conn.key.PID)
	}
}

// cancel serves a CancelRequest. The client learns nothing from it, as the
// protocol has it.
func (p *Server) cancel(addr string, body []byte) {
	key, err := wire.ParseCancelKey(body)
	if err != nil {
		p.Audit().cancelRefused(addr, err.Error())
		return
	}
	s := p.keys.find(key)
	if s == nil {
		p.Audit().cancelRefused(addr, "cancel key does not match any session")
		p.counters.cancels.Inc(CancelUnknown)
		return
	}
	s.cancel()
}

// cancel cancels the query that the session runs now, and nothing else: while
// the request is under way its server is not lent to another client. It blocks until
// PostgreSQL has got the request.
func (l *link) cancel() {
	request, outcome := l.talk.beginCancel()
	switch outcome {
	case CancelWait:
		l.stopWaiting(errCanceled)
	case CancelSent:
		sent := l.send(request)
		l.talk.endCancel()
		if !sent {
			outcome = CancelFailed
			break
		}
		l.proxy.log.Info("query canceled", l.client.fields()...)
	}
	l.proxy.counters.cancels.Inc(outcome)
}

// send sends a request to cancel what a server runs, and logs if that fails.
func (l *link) send(request pool.Cancel) bool {
	err := request.Send(context.Background())
	if err != nil {
		l.proxy.log.Warn("could not send cancel request", append(l.client.fields(), zap.Error(err))...)
	}
	return err == nil
}

// beginCancel returns a request to cancel what runs, which CancelSent says and
// endCancel must follow, or what is to become of the cancelling instead. It
// blocks while another request of the session is under way.
func (c *conversation) beginCancel() (request pool.Cancel, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.cancels.await(&c.mu):
		return request, CancelIdle
	case c.wait.waiting:
		return request, CancelWait
	case c.server == nil || !c.relay.Running():
		return request, CancelIdle
	}
	c.cancels.begin()
	return c.server.PrepareCancel(), CancelSent
}

func (c *conversation) endCancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancels.end()
}

// cancelTurn has one cancel request of a session be under way at a time. That may
// come too early for a query that began meanwhile, so one more waits for its
// turn, and the others are one with that.
type cancelTurn struct {
	through chan struct{} // closed when the request under way is; nil: there is none
	queued  bool          // another request waits for that
}

// await waits until no request is under way, and releases mu meanwhile. It
// reports false, at once, if another request waits already.
func (t *cancelTurn) await(mu *sync.Mutex) bool {
	if t.queued {
		return false
	}
	for t.through != nil {
		t.queued = true
		through := t.through
		mu.Unlock()
		<-through
		mu.Lock()
	}
	t.queued = false
	return true
}

func (t *cancelTurn) begin() { t.through = make(chan struct{}) }

func (t *cancelTurn) end() {
	close(t.through)
	t.through = nil
}
