package pool

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
)

// openKey marks the context of an opener, so that puddle opens nothing of its
// own accord.
type openKey struct{}

// openMore starts the opener where somebody waits whom neither an opening nor a
// server that is being asked serves, or where there are fewer servers than
// min_pool_size, and gives places to those who open for themselves. mu is held.
func (p *Pool) openMore() {
	if p.held() {
		p.block(nil)
		return
	}
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
	b := p.bounds()
	n := b.size
	if p.queue.length > 0 && time.Since(p.queue.head.since) >= b.spec.Defaults.ReservePoolTimeout {
		n += b.reserve
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
	p.usage.opened.Add(1)
	p.lastErr, p.retryAt = nil, time.Time{}
	p.free++
	var w *Waiter
	var s *Server
	if p.queue.length > 0 {
		now := time.Now()
		if s = p.take(now); s != nil {
			w = p.queue.pop()
			p.lent(w, now)
		}
	}
	p.openMore()
	closed := p.closed != nil || p.held()
	p.mu.Unlock()
	switch {
	case w != nil:
		w.Ready(s, nil)
	case closed: // meanwhile: nobody else would end the server
		p.sweep()
	}
}

// openFailed fails everybody who waits in vain, at once and together. Where
// other servers live, the waiters stay: one of those will come back. mu is
// held, and released.
func (p *Pool) openFailed(err error) {
	p.usage.failed.Add(1)
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
		zap.String("database", p.db.Name), zap.String("user", p.login.User), zap.NamedError("error", unwrapCause(err)), p.advice(failure))
	for _, w := range failed {
		w.Ready(nil, failure)
	}
	p.manager.gone.ring()
	p.roomMade()
}

// roomMade tells the other pools that this one has a server less.
func (p *Pool) roomMade() {
	p.manager.roomMade(&p.db.share)
	p.manager.roomMade(p.role)
}

// construct is puddle's constructor: it opens and logs in one server.
func (p *Pool) construct(ctx context.Context) (s *Server, err error) {
	if ctx.Value(openKey{}) == nil {
		return nil, errors.New("a server was to be opened that nobody asked for")
	}
	defer func() {
		if r := recover(); r != nil {
			p.manager.panics.Add(1)
			p.manager.log.Error("panic while a server was opened", zap.String("database", p.db.Name), zap.String("user", p.login.User), zap.Any("panic", r), zap.Stack("stack"))
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
	p.params = s.params
	s.idle, s.idleSince = true, s.Created
	p.servers[s] = struct{}{}
	p.countFresh(s)
	p.mu.Unlock()
	p.manager.engine.Adopt(conn.raw, conn.tls, s, func(c engine.Conn) { s.conn = c })
	return s, nil
}

// destruct is puddle's destructor. A server counts against pool_size until it
// has gone.
func (p *Pool) destruct(s *Server) {
	s.close()
	p.mu.Lock()
	why := s.ended
	p.mu.Unlock()
	reason := zap.Skip()
	if err := s.Err(); err != nil && !isTimeout(err) {
		reason = zap.NamedError("reason", err)
	}
	p.manager.log.Info("server closed", zap.Uint64("server", s.ID), zap.String("database", p.db.Name),
		zap.String("user", p.login.User), zap.Duration("age", time.Since(s.Created)), zap.String("why", why), reason)
	p.mu.Lock()
	delete(p.servers, s)
	p.unclaim()
	p.closing--
	p.db.share.closing.Add(-1)
	p.role.closing.Add(-1)
	p.mu.Unlock()
	p.roomMade() // first to who has waited longest
	p.retry()
	p.manager.gone.ring()
	p.manager.serverGone()
}

func unwrapCause(err error) error {
	var e *wire.Error
	if errors.As(err, &e) && e.Cause != nil {
		return e.Cause
	}
	return err
}
