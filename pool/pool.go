package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
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
// called from any goroutine, and none but OpenOwn blocks.
type Pool struct {
	// Set once.
	manager *Manager
	db      *Database
	login   Login
	role    *share // that of the login
	clients atomic.Int64

	// store holds the idle servers. It is touched only with mu held, but for
	// CreateResource, and asked for a server only where free says that it has
	// an idle one: then it answers at once.
	store *puddle.Pool[*Server]

	mu      sync.Mutex
	queue   queue
	owners  queue       // who waits for a place for a server of their own
	timer   *time.Timer // expires the head of the queue; nil until needed
	free    int         // idle servers in store that are nobody's yet
	live    int         // servers that exist, or are being opened or closed
	closing int         // those of them that are being closed
	asked   int         // idle servers that are asked whether they live
	opening bool
	blocked *share    // what has no room for the server that somebody waits for
	retryAt time.Time // no server is opened before
	lastErr error     // why the last one could not be opened
	params  []wire.Parameter
	renewal renewal
	closed  error
}

func newPool(m *Manager, db *Database, login Login) *Pool {
	p := &Pool{manager: m, db: db, login: login, role: m.role(login.User)}
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
	defer p.relax()
	return p.queue.remove(w)
}

// relax has other pools make no room for this one where nobody waits any
// more. mu is held.
func (p *Pool) relax() {
	if p.queue.length+p.owners.length == 0 {
		p.block(nil)
	}
}

// Mode returns for how long clients of the pool hold a server: SessionMode,
// TransactionMode or StatementMode.
func (p *Pool) Mode() string { return p.db.spec.Load().mode(p.login.User) }

// take returns an idle server that is fit for use, or nil. One that was idle
// for so long that it has to be asked first whether it lives comes back by
// itself. mu is held.
func (p *Pool) take() *Server {
	for p.free > 0 {
		res := p.idleResource()
		if res == nil {
			return nil
		}
		p.free--
		s := res.Value()
		s.res, s.idle = res, false
		switch {
		case !p.fit(s):
			p.end(s)
		case p.stale(s):
			p.ask(s)
			return nil
		default:
			return s
		}
	}
	return nil
}

// idleResource takes the idle server that was used last from the store, or
// with server_round_robin that which was used first. mu is held.
func (p *Pool) idleResource() *puddle.Resource[*Server] {
	if p.db.spec.Load().Defaults.ServerRoundRobin {
		return p.takeOut(func(all []*puddle.Resource[*Server]) int { return len(all) - 1 })
	}
	res, err := p.store.TryAcquire(context.Background())
	if err != nil {
		p.manager.log.Error("idle server is missing", zap.String("database", p.db.Name), zap.Error(err))
		p.free--
		return nil
	}
	return res
}

// takeOut takes the idle server from the store that choose picks of a list
// with the newest first. There has to be one. mu is held.
func (p *Pool) takeOut(choose func([]*puddle.Resource[*Server]) int) *puddle.Resource[*Server] {
	all := p.store.AcquireAllIdle()
	chosen := choose(all)
	// Giving them back in reverse keeps their order.
	for i, res := range slices.Backward(all) {
		if i != chosen {
			res.ReleaseUnused()
		}
	}
	return all[chosen]
}

// fit reports whether a server may be lent again; the caller ends one that may
// not. mu is held.
func (p *Pool) fit(s *Server) bool {
	return s.res != nil && s.usable() && p.closed == nil && s.generation == p.db.generation.Load() &&
		(s.expires.IsZero() || time.Now().Before(s.expires)) && !p.makesWay(s)
}

// surplus reports whether there is a server too many, which happens when
// a limit shrinks, or when nobody here waits for one and others do. mu is held.
func (p *Pool) surplus() bool {
	spec := p.db.spec.Load()
	most := spec.size(p.login.User) + spec.reserve(p.login.User)
	return p.live-p.closing > most || p.overfull() || p.queue.length == 0 && p.wantedElsewhere()
}

// end closes a server that is in nobody's hands. mu is held.
func (p *Pool) end(s *Server) {
	p.closing++
	p.db.share.closing.Add(1)
	p.role.closing.Add(1)
	if s.res == nil {
		go p.destruct(s) // the manager waits until the server has gone
		return
	}
	s.res.Destroy()
}

// Release takes back a server whose session is clean: outside a transaction,
// with no answer under way.
func (p *Pool) Release(s *Server) {
	s.afterCancels(func() { p.release(s) })
}

func (p *Pool) release(s *Server) {
	p.mu.Lock()
	if !p.fit(s) || p.surplus() || p.makesPlace() {
		p.end(s)
		p.mu.Unlock()
		return
	}
	w := p.queue.pop()
	p.relax()
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
		p.end(s)
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

// User returns the role that the pool's servers log in as.
func (p *Pool) User() string { return p.login.User }

// openMore starts the opener where somebody waits whom neither an opening nor a
// server that is being asked serves, or where there are fewer servers than
// min_pool_size, and gives places to those who open for themselves. mu is held.
func (p *Pool) openMore() {
	if p.givePlaces(); p.blocked != nil && p.ownerIsNext() {
		return
	}
	needed := p.queue.length > p.asked
	if p.opening || p.closed != nil || time.Now().Before(p.retryAt) || !needed && !p.cold() || p.live >= p.most() {
		p.block(nil)
		return
	}
	full := p.claim()
	switch {
	case full == nil:
		p.block(nil)
		p.opening = true
		p.manager.children.Go(p.open)
	case !needed:
		p.block(nil)
	default:
		p.wantRoom(full)
	}
}

// tryAgain is openMore for when room may have been made meanwhile. mu is held.
func (p *Pool) tryAgain() {
	p.block(nil)
	p.openMore()
}

// most returns how many servers there may be now: the reserve is for clients
// that have waited for long. mu is held.
func (p *Pool) most() int {
	spec := p.db.spec.Load()
	n := spec.size(p.login.User)
	if p.queue.length > 0 && time.Since(p.queue.head.since) >= spec.Defaults.ReservePoolTimeout {
		n += spec.reserve(p.login.User)
	}
	return n
}

// cold reports whether there are fewer servers than min_pool_size asks for,
// and room for one more that nobody needs more urgently. Pools that nobody
// uses are not kept warm, but for those whose login the configuration names.
// mu is held.
func (p *Pool) cold() bool {
	spec := p.db.spec.Load()
	return p.live < spec.least(p.login.User) && (p.clients.Load() > 0 || spec.User == p.login.User) &&
		p.db.share.blocked.Load() == 0 && p.role.blocked.Load() == 0
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
	p.unclaim()
	spec := p.db.spec.Load()
	failure := wire.AsError(err)
	p.lastErr = failure
	p.retryAt = time.Now().Add(spec.Defaults.ServerLoginRetry)
	var failed []*Waiter
	if p.live == 0 {
		failed = p.queue.popAll()
		p.relax()
	}
	p.mu.Unlock()
	p.manager.log.Error("server connection could not be opened",
		zap.String("database", p.db.Name), zap.String("user", p.login.User), zap.NamedError("error", unwrapCause(err)))
	for _, w := range failed {
		w.Ready(nil, failure)
	}
	p.roomMade()
}

// roomMade tells the other pools that this one has a server less.
func (p *Pool) roomMade() {
	p.manager.roomMade(&p.db.share)
	p.manager.roomMade(p.role)
}

func unwrapCause(err error) error {
	var e *wire.Error
	if errors.As(err, &e) && e.Cause != nil {
		return e.Cause
	}
	return err
}

// armTimer makes sure that the head of the queue is looked at when it has
// waited for query_wait_timeout, and when it may have a server of the reserve.
// mu is held.
func (p *Pool) armTimer() {
	if p.queue.length == 0 {
		return
	}
	spec := p.db.spec.Load()
	waited := time.Since(p.queue.head.since)
	wait := spec.Defaults.QueryWaitTimeout - waited
	if reserve := spec.Defaults.ReservePoolTimeout - waited; reserve > 0 && spec.reserve(p.login.User) > 0 {
		if spec.Defaults.QueryWaitTimeout == 0 || reserve < wait {
			wait = reserve
		}
	} else if spec.Defaults.QueryWaitTimeout == 0 {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.waitedLong)
	} else {
		p.timer.Reset(wait)
	}
}

// waitedLong tells those who have waited for query_wait_timeout, and opens
// servers of the reserve for others.
func (p *Pool) waitedLong() {
	var expired []*Waiter
	p.mu.Lock()
	limit := p.db.spec.Load().Defaults.QueryWaitTimeout
	for limit > 0 && p.queue.length > 0 && time.Since(p.queue.head.since) >= limit {
		expired = append(expired, p.queue.pop())
	}
	p.openMore()
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
	s, conn, err = p.manager.dial(ctx, p.db, p.login, ourStartup)
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
	p.unclaim()
	p.closing--
	p.db.share.closing.Add(-1)
	p.role.closing.Add(-1)
	p.mu.Unlock()
	p.roomMade() // first to who has waited longest
	p.retry()
	p.manager.serverGone()
}

// idleServerEnded removes a server that died while nobody held it.
func (p *Pool) idleServerEnded(*Server) { p.sweep() }

// sweep ends the idle servers that are dead, too old, idle for too long or
// of an old generation.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.tryAgain()
	if p.free == 0 {
		return
	}
	spec := p.db.spec.Load()
	idleFor, least := spec.Defaults.ServerIdleTimeout, spec.least(p.login.User)
	all := p.store.AcquireAllIdle()
	p.free -= len(all)
	// Newest first; giving them back in reverse keeps that order.
	for _, res := range slices.Backward(all) {
		s := res.Value()
		s.res = res
		idleLong := idleFor > 0 && time.Since(s.idleSince) >= idleFor && p.live-p.closing > least
		if !p.fit(s) || idleLong || p.surplus() {
			s.idle = false
			p.end(s)
			continue
		}
		res.ReleaseUnused()
		p.free++
	}
}

// idlers returns the idle servers, the newest first. mu is held.
func (p *Pool) idlers() []*Server {
	all := p.store.AcquireAllIdle()
	list := make([]*Server, len(all))
	for i, res := range slices.Backward(all) {
		list[i] = res.Value()
		res.ReleaseUnused()
	}
	return list
}

// pick ends the i-th of the idle servers. mu is held.
func (p *Pool) pick(i int) {
	res := p.takeOut(func([]*puddle.Resource[*Server]) int { return i })
	p.free--
	s := res.Value()
	s.res, s.idle = res, false
	p.end(s)
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
	waiting := append(p.queue.popAll(), p.owners.popAll()...)
	p.relax()
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
	return p.live, p.queue.length + p.owners.length
}
