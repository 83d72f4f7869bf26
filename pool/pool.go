package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/puddle/v2"
	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
)

// Errors that a waiter may get beside those of the server.
var (
	errWaitTimeout = wire.Fatal(wire.CodeTooManyConnections, "no server connection became free within query_wait_timeout")
	errClosed      = wire.Fatal(wire.CodeAdminShutdown, "the connection pooler is shutting down")
	errRemoved     = wire.Fatal(wire.CodeUndefinedDatabase, "the database was removed from the connection pooler")
)

// Pool lends the servers of one database under one login. All methods may be
// called from any goroutine and none blocks.
type Pool struct {
	// Set once.
	manager *Manager
	db      *Database
	login   Login

	// store holds the idle servers. It is touched only with mu held, but for
	// CreateResource, and asked for a server only where free says that it has
	// an idle one: then it answers at once.
	store *puddle.Pool[*Server]

	mu      sync.Mutex
	queue   queue
	timer   *time.Timer // expires the head of the queue; nil until needed
	free    int         // idle servers in store that are nobody's yet
	live    int         // servers that exist, or are being opened or closed
	closing int         // those of them that are being closed
	opening bool
	retryAt time.Time // no server is opened before
	lastErr error     // why the last one could not be opened
	params  []wire.Parameter
	renewal renewal
	closed  error
}

func newPool(m *Manager, db *Database, login Login) *Pool {
	p := &Pool{manager: m, db: db, login: login}
	store, err := puddle.NewPool(&puddle.Config[*Server]{
		Constructor: p.construct,
		Destructor:  func(s *Server) { p.destruct(s) },
		MaxSize:     maxPoolSize,
	})
	if err != nil {
		panic(err) // only for a MaxSize below one
	}
	p.store = store
	return p
}

// openKey marks the context of an opener, so that puddle opens nothing of its
// own accord.
type openKey struct{}

// Acquire returns a server where one is idle and nobody waits. Otherwise it
// returns nil, and w gets a server or an error later; or it returns an error,
// where waiting is in vain.
func (p *Pool) Acquire(w *Waiter) (*Server, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		return nil, p.closed
	}
	if p.queue.length == 0 {
		if s := p.take(); s != nil {
			return s, nil
		}
	}
	if p.live == 0 && p.lastErr != nil && time.Now().Before(p.retryAt) {
		return nil, p.lastErr
	}
	w.since = time.Now()
	p.queue.push(w)
	p.armTimer()
	p.openMore()
	return nil, nil
}

// Leave takes w out of the queue. It returns false where w was not in it:
// then its Ready was called, or is about to be.
func (p *Pool) Leave(w *Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.remove(w)
}

// take returns an idle server that is fit for use, or nil. mu is held.
func (p *Pool) take() *Server {
	for p.free > 0 {
		p.free--
		res, err := p.store.TryAcquire(context.Background())
		if err != nil {
			p.manager.log.Error("idle server is missing", zap.String("database", p.db.Name), zap.Error(err))
			return nil
		}
		s := res.Value()
		s.res, s.idle = res, false
		if p.fit(s) {
			return s
		}
		p.end(res)
	}
	return nil
}

// fit reports whether a server may be lent again; the caller ends one that may
// not. mu is held.
func (p *Pool) fit(s *Server) bool {
	return s.usable() && p.closed == nil && s.generation == p.db.generation.Load() &&
		(s.expires.IsZero() || time.Now().Before(s.expires)) && !p.makesWay(s)
}

// surplus reports whether there is a server too many, which happens when
// pool_size shrinks. mu is held.
func (p *Pool) surplus() bool { return p.live-p.closing > p.size() }

// end closes a server that is in nobody's hands. mu is held.
func (p *Pool) end(res *puddle.Resource[*Server]) {
	p.closing++
	res.Destroy()
}

// Release takes back a server whose session is clean: outside a transaction,
// with no answer under way.
func (p *Pool) Release(s *Server) {
	s.afterCancels(func() { p.release(s) })
}

func (p *Pool) release(s *Server) {
	p.mu.Lock()
	if !p.fit(s) || p.surplus() {
		p.end(s.res)
		p.mu.Unlock()
		return
	}
	w := p.queue.pop()
	if w == nil {
		s.idle, s.idleSince = true, time.Now()
		s.res.Release()
		p.free++
	}
	p.mu.Unlock()
	if w != nil {
		w.Ready(s, nil)
	}
}

// Discard ends a server that can't be lent again.
func (p *Pool) Discard(s *Server) {
	s.afterCancels(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.end(s.res)
	})
}

// Parameters returns what the newest server reported at its login, and false
// where there was none yet.
func (p *Pool) Parameters() ([]wire.Parameter, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.params), p.params != nil
}

// LastError returns why no server can be opened at present, or nil. It is
// what a client that logs in should be told instead of being made to wait.
func (p *Pool) LastError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == 0 && time.Now().Before(p.retryAt) {
		return p.lastErr
	}
	return nil
}

// forgive lets a server be opened at once although the last could not be: what
// stood in its way may have changed.
func (p *Pool) forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastErr, p.retryAt = nil, time.Time{}
	p.openMore()
}

func (p *Pool) size() int { return p.db.spec.Load().size() }

// openMore starts the opener where somebody waits whom no opening serves. mu
// is held.
func (p *Pool) openMore() {
	if p.opening || p.closed != nil || p.queue.length == 0 || p.live >= p.size() || time.Now().Before(p.retryAt) {
		return
	}
	p.opening = true
	p.live++
	p.manager.children.Go(p.open)
}

// open creates one server and hands it to the first waiter.
func (p *Pool) open() {
	err := p.store.CreateResource(context.WithValue(context.Background(), openKey{}, true))
	p.mu.Lock()
	p.opening = false
	if err != nil {
		p.openFailed(err)
		return
	}
	p.lastErr, p.retryAt = nil, time.Time{}
	p.free++
	var w *Waiter
	var s *Server
	if p.queue.length > 0 {
		if s = p.take(); s != nil {
			w = p.queue.pop()
		}
	}
	p.openMore()
	closed := p.closed
	p.mu.Unlock()
	switch {
	case w != nil:
		w.Ready(s, nil)
	case closed != nil: // meanwhile: nobody else would end the server
		p.sweep()
	}
}

// openFailed fails everybody who waits in vain, at once and together. Where
// other servers live, the waiters stay: one of those will come back. mu is
// held, and released.
func (p *Pool) openFailed(err error) {
	p.live--
	spec := p.db.spec.Load()
	failure := wire.AsError(err)
	p.lastErr = failure
	p.retryAt = time.Now().Add(spec.Defaults.ServerLoginRetry)
	var failed []*Waiter
	if p.live == 0 {
		failed = p.popAll()
	}
	p.mu.Unlock()
	p.manager.log.Error("server connection could not be opened",
		zap.String("database", p.db.Name), zap.String("user", p.login.User), zap.NamedError("error", unwrapCause(err)))
	for _, w := range failed {
		w.Ready(nil, failure)
	}
}

func unwrapCause(err error) error {
	var e *wire.Error
	if errors.As(err, &e) && e.Cause != nil {
		return e.Cause
	}
	return err
}

func (p *Pool) popAll() []*Waiter {
	var list []*Waiter
	for w := p.queue.pop(); w != nil; w = p.queue.pop() {
		list = append(list, w)
	}
	return list
}

// armTimer makes sure that the head of the queue is told when it has waited
// for query_wait_timeout. mu is held.
func (p *Pool) armTimer() {
	limit := p.db.spec.Load().Defaults.QueryWaitTimeout
	if limit == 0 || p.queue.length == 0 {
		return
	}
	wait := time.Until(p.queue.head.since.Add(limit))
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.expireWaiters)
	} else {
		p.timer.Reset(wait)
	}
}

func (p *Pool) expireWaiters() {
	var expired []*Waiter
	p.mu.Lock()
	limit := p.db.spec.Load().Defaults.QueryWaitTimeout
	for limit > 0 && p.queue.length > 0 && time.Since(p.queue.head.since) >= limit {
		expired = append(expired, p.queue.pop())
	}
	p.armTimer()
	p.mu.Unlock()
	for _, w := range expired {
		w.Ready(nil, errWaitTimeout)
	}
}

// construct is puddle's constructor: it opens and logs in one server.
func (p *Pool) construct(ctx context.Context) (s *Server, err error) {
	if ctx.Value(openKey{}) == nil {
		return nil, errors.New("a server was to be opened that nobody asked for")
	}
	defer func() {
		if r := recover(); r != nil {
			p.manager.log.Error("panic while a server was opened", zap.Any("panic", r), zap.Stack("stack"))
			err = wire.Fatal(wire.CodeInternal, "internal error in the connection pooler")
		}
	}()
	var conn *transport
	s, conn, err = p.manager.dial(ctx, p.db, p.login)
	if err != nil {
		return nil, err
	}
	s.pool = p
	p.mu.Lock()
	p.params = slices.Clone(s.params)
	s.idle, s.idleSince = true, s.Created
	p.mu.Unlock()
	p.manager.engine.Adopt(conn.raw, conn.tls, s, func(c engine.Conn) { s.conn = c })
	return s, nil
}

// destruct is puddle's destructor. A server counts against pool_size until it
// has gone.
func (p *Pool) destruct(s *Server) {
	s.close()
	reason := zap.Skip()
	if err := s.Err(); err != nil && !isTimeout(err) {
		reason = zap.NamedError("reason", err)
	}
	p.manager.log.Info("server closed", zap.Uint64("server", s.ID), zap.String("database", p.db.Name),
		zap.String("user", p.login.User), zap.Duration("age", time.Since(s.Created)), reason)
	p.mu.Lock()
	p.live--
	p.closing--
	p.openMore()
	p.mu.Unlock()
	p.manager.serverGone()
}

// idleServerEnded removes a server that died while nobody held it.
func (p *Pool) idleServerEnded(*Server) { p.sweep() }

// sweep ends the idle servers that are dead, too old, idle for too long or
// of an old generation.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.openMore()
	if p.free == 0 {
		return
	}
	idleFor := p.db.spec.Load().Defaults.ServerIdleTimeout
	all := p.store.AcquireAllIdle()
	p.free -= len(all)
	// Newest first; giving them back in reverse keeps that order.
	for _, res := range slices.Backward(all) {
		s := res.Value()
		if !p.fit(s) || idleFor > 0 && time.Since(s.idleSince) >= idleFor || p.surplus() {
			s.idle = false
			p.end(res)
			continue
		}
		res.ReleaseUnused()
		p.free++
	}
}

// closeSoon closes the pool from a goroutine of the manager's, for callers that
// hold locks.
func (p *Pool) closeSoon(reason error) {
	p.manager.children.Go(func() { p.close(reason) })
}

// close fails who waits and ends what is idle; servers that are held end when
// they come back.
func (p *Pool) close(reason error) {
	p.mu.Lock()
	if p.closed != nil {
		p.mu.Unlock()
		return
	}
	p.closed = reason
	waiting := p.popAll()
	p.mu.Unlock()
	for _, w := range waiting {
		w.Ready(nil, reason)
	}
	p.sweep()
}

// counts returns how many servers there are and how many clients wait.
func (p *Pool) counts() (servers, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live, p.queue.length
}
