package relay_test

import (
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// need is pool.Need.
type need struct {
	startup      []wire.Parameter
	exact, fresh bool
	last         *backend
}

// needOf is startupOf.
func needOf(asked []wire.Parameter) (list []wire.Parameter) {
	for _, p := range asked {
		if p.Name = strings.ToLower(p.Name); p.Name != "application_name" {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b wire.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (n *need) fits(s *backend) bool {
	switch {
	case !s.idle, s.canceler != nil, n.fresh && s.used:
		return false
	case n.exact:
		return slices.Equal(n.startup, s.startup)
	}
	for _, p := range s.startup {
		if !slices.Contains(n.startup, p) {
			return false
		}
	}
	return true
}

// tryAcquire returns an idle server that fits, or nil.
func (w *world) tryAcquire(n *need) *backend {
	if s := n.last; s != nil && slices.Contains(w.servers, s) && n.fits(s) && w.r.IntN(2) == 0 {
		return w.lend(s)
	}
	var fit []*backend
	for _, s := range w.servers {
		if n.fits(s) {
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return w.lend(fit[w.r.IntN(len(fit))])
}

func (w *world) lend(s *backend) *backend {
	s.idle, s.used = false, true
	return s
}

// serves reports whether the first in line can have a server now.
func (w *world) serves(p *player) bool {
	if len(w.servers) < w.plan.servers {
		return true
	}
	return slices.ContainsFunc(w.servers, func(s *backend) bool { return s.idle && s.canceler == nil })
}

// grant gives the first in line a server: an idle one, or a new one in the
// place of one that does not fit.
func (w *world) grant(p *player, _ *backend) {
	w.queue = w.queue[1:]
	s := w.tryAcquire(&p.need)
	if s == nil {
		if len(w.servers) >= w.plan.servers {
			w.retire(nil, w.servers[slices.IndexFunc(w.servers, func(s *backend) bool { return s.idle && s.canceler == nil })])
		}
		s = w.lend(w.open(&p.need))
	}
	p.granted = s
}

// open connects to PostgreSQL.
func (w *world) open(n *need) *backend {
	s := &backend{}
	if n.exact || n.fresh {
		s.startup = n.startup
	}
	s.Backend, s.reported = w.cluster.Connect(append([]wire.Parameter{{Name: "user", Value: role}}, s.startup...))
	s.id = s.PID()
	s.state = relay.NewServer(s.startup)
	w.servers = append(w.servers, s)
	w.log("server %d is opened with %v", s.id, s.startup)
	return s
}
