package pool

import (
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// A Need says which servers a client can use. nil stands for its zero value:
// any server that was opened with nothing of a client's. The pool reads it while
// its client waits, so it is not changed then.
type Need struct {
	// Startup is what the client's startup packet set, sorted by name in lower
	// case, each name once. application_name, which every session is given, is
	// never in it. The list is shared and never changed.
	Startup []wire.Parameter
	// Exact: the server was opened with just these. Without it, a server that
	// was opened with some of them, or with none, does as well.
	Exact bool
	// Fresh: the server was never lent before.
	Fresh bool
	// Last is the server that the client held last, if any. It is taken where it
	// is idle and fits, unless server_round_robin is set: what the client left
	// there need not be brought about again.
	Last *Server
}

// fits reports whether a server that no client holds does. mu of its pool
// is held.
func (n *Need) fits(s *Server) bool {
	switch {
	case n == nil:
		return len(s.Startup) == 0
	case n.Fresh && s.used:
		return false
	case n.Exact:
		return slices.EqualFunc(n.Startup, s.Startup, sameParameter)
	}
	rest := n.Startup
	for _, p := range s.Startup { // both are sorted
		i := slices.IndexFunc(rest, func(q wire.Parameter) bool { return sameParameter(p, q) })
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

func sameParameter(a, b wire.Parameter) bool {
	return a.Value == b.Value && strings.EqualFold(a.Name, b.Name)
}

// strict reports whether a plain server may not do.
func (n *Need) strict() bool { return n != nil && (n.Exact || n.Fresh) }

// last returns the server that the client held last, or nil.
func (n *Need) last() *Server {
	if n == nil {
		return nil
	}
	return n.Last
}

// opens returns what a server is opened with that is opened for the need.
func (n *Need) opens() []wire.Parameter {
	if !n.strict() {
		return nil
	}
	return n.Startup
}

// special reports whether a server that may be lent was opened with what a
// client's startup packet set. It can't be lent to most others, so there is a
// bound on how many a pool has.
func (s *Server) special() bool { return len(s.Startup) > 0 }

// unserved returns the first waiter that none of the servers that are being
// asked whether they live will serve: one has to be opened for it. Of those who
// need a special one while there may be none more, it returns the first as
// bounded, who holds up nobody.
func (p *policy) unserved() (w, bounded *Waiter) {
	var asked []*Server
	if len(p.asked) > 0 {
		asked = slices.Clone(p.asked)
	}
	for w = p.queue.head; w != nil; w = w.next {
		if i := slices.IndexFunc(asked, w.Need.fits); i >= 0 {
			asked = slices.Delete(asked, i, i+1)
			continue
		}
		if len(w.Need.opens()) == 0 || p.places.specials < p.bounds().special {
			return w, bounded
		}
		if bounded == nil {
			bounded = w
		}
	}
	return nil, bounded
}

// next returns the first waiter that a server serves which has come back. If
// there is one before it that no server fits, and that has no room for one of its
// own, the server ends instead, so that nobody is passed by for ever.
func (p *policy) next(s *Server, now time.Time) (w *Waiter, makesRoom bool) {
	if w = p.queue.head; w == nil || w.Need.fits(s) {
		return w, false
	}
	lacksRoom, lacksSpecial := p.lackRoom(now)
	for ; w != nil; w = w.next {
		if w.Need.fits(s) {
			return w, false
		}
		if w == lacksRoom || w == lacksSpecial && s.special() {
			return nil, true
		}
	}
	return nil, false
}

// lackRoom returns the first waiter that a server could be opened for if there
// were one less, and the first that a special one could if there were one less
// of those, or nil. Room that is being made already is not made twice.
func (p *policy) lackRoom(now time.Time) (w, ofSpecials *Waiter) {
	if p.queue.length == 0 || p.closed != nil || p.backoff.active(now) {
		return nil, nil
	}
	w, ofSpecials = p.unserved()
	if p.places.specials-p.places.specialsClosing < p.bounds().special {
		ofSpecials = nil
	}
	full := p.places.left() >= p.most() || p.places.blocked != nil && p.places.blocked.contended()
	if p.opening != nil || !full {
		w = nil
	}
	return w, ofSpecials
}

// makeWay ends an idle server if somebody waits whom none fits and who has no
// room for one of its own.
func (p *policy) makeWay(now time.Time) {
	if len(p.idle) == 0 {
		return
	}
	w, ofSpecials := p.lackRoom(now)
	if ofSpecials != nil && p.endIdle((*Server).special) {
		return
	}
	if w != nil && p.places.left() >= p.most() { // makeRoom ends one if it is for a budget
		p.endIdle(anyServer)
	}
}

// endIdle ends the server that was idle for the longest time among those that
// may end, and reports whether there was one.
func (p *policy) endIdle(may func(*Server) bool) bool {
	i := p.idle.longest(may)
	if i < 0 {
		return false
	}
	p.end(p.idle.remove(i), ClosedLimit)
	return true
}

// serve takes the idle servers for those who wait, in turn, but for that of an
// opening, which is first for whom it was opened for. The caller grants.
func (p *policy) serve(o *opening, now time.Time) (grants []granted) {
	one := func(w *Waiter) {
		if s := p.take(w.Need.last(), w.Need.fits, now); s != nil {
			p.lend(s, w, now)
			grants = append(grants, granted{w, s})
		}
	}
	if w := o.waiter; w != nil && w.queued && w.Need.strict() && w.Need.fits(o.server) {
		one(w)
	}
	for w := p.queue.head; w != nil && len(p.idle) > 0; {
		next := w.next
		if slices.ContainsFunc(p.idle, w.Need.fits) {
			one(w)
		}
		w = next
	}
	return grants
}

// granted is a server and the waiter that gets it.
type granted struct {
	waiter *Waiter
	server *Server
}
