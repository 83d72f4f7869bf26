package pool

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/puddle/v2"
	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
)

// openKey marks the context of an opener, so that puddle opens nothing of its
// own accord.
type openKey struct{}

// opening is a server that is being opened.
type opening struct {
	waiter  *Waiter          // that has no other; it may leave meanwhile. nil: nobody
	startup []wire.Parameter // what its need has it opened with
	started bool             // the Pool has started it
	server  *Server          // once it is open
}

func (o *opening) special() bool { return len(o.startup) > 0 }

// openMore has a server opened if somebody waits whom neither an opening nor a
// server that is being asked serves, or if there are fewer servers than
// min_pool_size, and gives places to those who open for themselves.
func (p *policy) openMore() {
	if p.db.paused.on() {
		p.places.block(nil)
		return
	}
	if p.givePlaces(); p.places.blocked != nil && p.dedicatedIsNext() {
		return
	}
	now := time.Now()
	p.makeWay(now)
	w, _ := p.unserved()
	if p.opening != nil || p.closed != nil || p.backoff.active(now) || w == nil && !p.cold() || p.places.live >= p.most() {
		p.places.block(nil)
		return
	}
	if full := p.begin(w); full == nil || w == nil {
		p.places.block(nil)
	} else {
		p.requestRoom(full)
	}
}

// begin has a server opened for w, or for nobody in particular, or returns what
// has no room for it.
func (p *policy) begin(w *Waiter) (full *budget) {
	o := &opening{waiter: w}
	if w != nil {
		o.startup = w.Need.opens()
	}
	if full = p.places.reserve(p.bounds(), o.special()); full == nil {
		p.opening = o
	}
	return full
}

// requestRoom notes what the pool's waiters have no room in, and has it made once.
// Later the next server that comes back makes room.
func (p *policy) requestRoom(full *budget) {
	if p.places.block(full) {
		p.crowded = full
	}
}

// add counts a server that has logged in among those that are open.
func (p *policy) add(s *Server) {
	if !s.dedicated {
		if p.defaults.compare(s, p.servers, s.Created) {
			p.rotation = rotation{number: p.db.trust.Load(), since: s.Created}
		}
		p.rotation.opened(s)
	}
	p.servers[s] = struct{}{}
}

// opened lends a new server to a waiter. The caller grants.
func (p *policy) opened(o *opening) []granted {
	now := time.Now()
	p.opening = nil
	p.usage.opened.Add(1)
	p.backoff = backoff{}
	if why := o.server.overtaken(); why != "" {
		p.end(o.server, why)
	} else {
		p.idle.add(o.server, now)
	}
	grants := p.serve(o, now)
	p.openMore()
	return grants
}

// open creates one server and hands it to whom it is for, or to the first
// waiter that it fits.
func (p *Pool) open(o *opening) {
	res, err := p.store.Acquire(context.WithValue(context.Background(), openKey{}, o))
	if err != nil {
		p.openFailed(o, err)
		return
	}
	p.mu.Lock()
	o.server.res = res
	grants := p.policy.opened(o)
	closed := p.policy.closed != nil || p.db.paused.on()
	p.unlock()
	for _, g := range grants {
		g.waiter.Ready(g.server, nil)
	}
	if closed && len(grants) == 0 { // meanwhile: nobody else would end the server
		p.sweep()
	}
}

// capacityFreed lets other pools use the room that this one no longer needs.
func (p *Pool) capacityFreed() {
	p.manager.capacityFreed(p.policy.places.ofDatabase)
	p.manager.capacityFreed(p.policy.places.ofRole)
}

// newStore returns the puddle that makes a pool's servers and ends them.
func newStore(p *Pool) *puddle.Pool[*Server] {
	store, err := puddle.NewPool(&puddle.Config[*Server]{
		Constructor: p.construct,
		Destructor:  p.destruct,
		MaxSize:     2 * maxPoolSize, // pool_size and reserve_pool_size
	})
	if err != nil {
		panic(err) // only for a MaxSize below one
	}
	return store
}

// construct is puddle's constructor: it opens and logs in one server.
func (p *Pool) construct(ctx context.Context) (s *Server, err error) {
	o, _ := ctx.Value(openKey{}).(*opening)
	if o == nil {
		return nil, errors.New("puddle asked for a server connection without an opener")
	}
	defer func() {
		if r := recover(); r != nil {
			p.manager.panics.Add(1)
			p.manager.log.Error("panic while opening a server connection", zap.String("database", p.db.Name), zap.String("user", p.login.User), zap.Any("panic", r), zap.Stack("stack"))
			err = wire.Fatal(wire.CodeInternal, "internal error in the connection pooler")
		}
	}()
	o.server, err = p.dial(ctx, o.startup, false)
	return o.server, err
}

// dial opens a server and has the engine drive it.
func (p *Pool) dial(ctx context.Context, startup []wire.Parameter, dedicated bool) (*Server, error) {
	s, conn, err := p.manager.dial(ctx, p.db, p.login, startup)
	if err != nil {
		return nil, err
	}
	s.pool, s.dedicated = p, dedicated
	if !dedicated {
		s.Startup = startup
	}
	s.State = p.manager.newState(s.Startup)
	p.mu.Lock()
	p.policy.add(s)
	p.mu.Unlock()
	raw, secured := conn.Detach()
	p.manager.engine.Adopt(raw, secured, s, func(c engine.Conn) { s.conn = c })
	return s, nil
}

// destruct is puddle's destructor. A server counts against pool_size until it
// has gone.
func (p *Pool) destruct(s *Server) {
	s.close()
	p.mu.Lock()
	why := s.closed
	p.mu.Unlock()
	cause := zap.Skip()
	if err := s.Err(); err != nil && !isTimeout(err) {
		cause = zap.Error(err)
	}
	p.manager.log.Info("server closed", zap.Uint64("server", s.ID), zap.String("database", p.db.Name),
		zap.String("user", p.login.User), zap.Duration("age", time.Since(s.Created)), zap.String("reason", why), cause)
	p.mu.Lock()
	delete(p.policy.servers, s)
	p.policy.places.closes(s.special(), -1)
	p.policy.places.release(s.special())
	p.mu.Unlock()
	p.capacityFreed() // the longest waiter first
	p.retry()
	p.manager.gone.notify()
	p.manager.servers.Done()
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
