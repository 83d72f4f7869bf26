package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

// openKey marks the context of an opener, so that puddle opens nothing of its
// own accord.
type openKey struct{}

// openMore starts the opener where somebody waits whom neither an opening nor a
// server that is being asked serves, or where there are fewer servers than
// min_pool_size, and gives places to those who open for themselves. mu is held.
func (p *Pool) openMore() {
	if p.paused() {
		p.block(nil)
		return
	}
	if p.givePlaces(); p.blocked != nil && p.dedicatedIsNext() {
		return
	}
	now := time.Now()
	p.makeWay(now)
	w, _ := p.unserved()
	if p.opening != nil || p.closed != nil || now.Before(p.retryAt) || w == nil && !p.cold() || p.live >= p.most() {
		p.block(nil)
		return
	}
	full := p.claim()
	switch {
	case full == nil:
		p.block(nil)
		p.startOpening(w)
	case w == nil:
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
	return p.plain() < spec.least(p.login.User) && (p.clients.Load() > 0 || spec.User == p.login.User) &&
		p.db.budget.blocked.Load() == 0 && p.role.blocked.Load() == 0
}

// plain returns how many servers there are, or are being opened or closed, that
// are not special. mu is held.
func (p *Pool) plain() int { return p.live - p.specials }

// opening is a server that is being opened.
type opening struct {
	waiter  *Waiter          // that has no other; it may leave meanwhile. nil: nobody
	startup []wire.Parameter // what its need has it opened with
	server  *Server          // once it is open
}

// startOpening has a server opened for w, or for nobody in particular. It has
// been claimed. mu is held.
func (p *Pool) startOpening(w *Waiter) {
	o := &opening{waiter: w}
	if w != nil {
		o.startup = w.Need.opens()
	}
	if len(o.startup) > 0 {
		p.specials++
	}
	p.opening = o
	p.manager.children.Go(func() { p.open(o) })
}

// open creates one server and hands it to whom it is for, or to the first
// waiter that it fits.
func (p *Pool) open(o *opening) {
	res, err := p.store.Acquire(context.WithValue(context.Background(), openKey{}, o))
	p.mu.Lock()
	p.opening = nil
	if err != nil {
		p.openFailed(o, err)
		return
	}
	p.usage.opened.Add(1)
	p.lastErr, p.retryAt = nil, time.Time{}
	s, now := o.server, time.Now()
	s.res = res
	if why := p.overtaken(s); why != "" {
		p.end(s, why)
	} else {
		s.idle, s.idleSince = true, now
		p.idle = append(p.idle, s)
	}
	grants := p.serve(o, now)
	p.openMore()
	closed := p.closed != nil || p.paused()
	p.mu.Unlock()
	for _, g := range grants {
		g.waiter.Ready(g.server, nil)
	}
	if closed && len(grants) == 0 { // meanwhile: nobody else would end the server
		p.sweep()
	}
}

// refuses reports whether a server that refused a login may have done so for a
// startup value, and not for the role, the database or its own state (the
// classes of SQLSTATE in PostgreSQL's appendix A).
func refuses(e *wire.Error) bool {
	return !slices.ContainsFunc([]string{"08", "28", "3D", "53", "57"}, func(class string) bool { return strings.HasPrefix(e.Code, class) })
}

// openFailed fails everybody who waits in vain, at once and together. Where
// other servers live, the waiters stay: one of those will come back. mu is
// held, and released.
func (p *Pool) openFailed(o *opening, err error) {
	p.usage.failed.Add(1)
	p.unclaim()
	if len(o.startup) > 0 {
		p.specials--
	}
	spec := p.db.spec.Load()
	failure := wire.AsError(err)
	if len(o.startup) > 0 && refuses(failure) {
		p.startupRefused(o, failure)
		return
	}
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

// startupRefused fails the one whose startup values the server refused: that
// concerns nobody else. mu is held, and released.
func (p *Pool) startupRefused(o *opening, failure *wire.Error) {
	w := o.waiter
	failed := w.queued && slices.Equal(w.Need.opens(), o.startup) // and did not leave meanwhile
	if failed {
		p.queue.remove(w)
		w.Waited = time.Since(w.since)
		p.relax()
	}
	p.openMore()
	p.mu.Unlock()
	p.manager.log.Warn("server refused what a client's startup packet sets",
		zap.String("database", p.db.Name), zap.String("user", p.login.User), zap.String("sqlstate", failure.Code))
	if failed {
		w.Ready(nil, failure)
	}
	p.manager.gone.ring()
	p.roomMade()
}

// roomMade tells the other pools that this one has a server less.
func (p *Pool) roomMade() {
	p.manager.roomMade(&p.db.budget)
	p.manager.roomMade(p.role)
}

// construct is puddle's constructor: it opens and logs in one server.
func (p *Pool) construct(ctx context.Context) (s *Server, err error) {
	o, _ := ctx.Value(openKey{}).(*opening)
	if o == nil {
		return nil, errors.New("a server was to be opened that nobody asked for")
	}
	defer func() {
		if r := recover(); r != nil {
			p.manager.panics.Add(1)
			p.manager.log.Error("panic while a server was opened", zap.String("database", p.db.Name), zap.String("user", p.login.User), zap.Any("panic", r), zap.Stack("stack"))
			err = wire.Fatal(wire.CodeInternal, "internal error in the connection pooler")
		}
	}()
	s, conn, err := p.manager.dial(ctx, p.db, p.login, o.startup)
	if err != nil {
		return nil, err
	}
	s.pool, s.Startup, o.server = p, o.startup, s
	s.State = p.manager.newState(s.Startup)
	p.mu.Lock()
	p.compare(s, s.Created)
	p.servers[s] = struct{}{}
	p.countFresh(s)
	p.mu.Unlock()
	p.manager.adopt(s, conn)
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
	if s.special() {
		p.specials--
		p.specialsClosing--
	}
	p.db.budget.closing.Add(-1)
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

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
