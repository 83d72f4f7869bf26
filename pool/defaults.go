package pool

import (
	"slices"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// outdateEvery is the least time between two rotations of a pool because new
// servers start with other defaults. Behind an address that leads to servers of
// different defaults each new one would otherwise have the others replaced.
const outdateEvery = time.Minute

// Defaults returns the run-time parameters that a session of the server has
// which has set none: what it reported at its login, and what became of that
// since. The list is shared and never changed.
func (s *Server) Defaults() []wire.Parameter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.defaults
}

// SetDefault records that a default of the server has another value now, because
// PostgreSQL reloaded its configuration. Who holds the server calls it; while
// nobody does the server itself does.
func (s *Server) SetDefault(param wire.Parameter) {
	if !s.setDefault(param) || s.dedicated || slices.ContainsFunc(s.Startup, func(q wire.Parameter) bool { return strings.EqualFold(q.Name, param.Name) }) {
		return
	}
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.policy.defaults.change(s, param)
}

// setDefault reports whether it changed anything.
func (s *Server) setDefault(param wire.Parameter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.defaults, param) {
		return false
	}
	s.defaults = wire.SetParameter(slices.Clone(s.defaults), param)
	return true
}

// defaults are those of a pool's new servers, as far as is known. mu of the pool
// guards them.
type defaults struct {
	params     []wire.Parameter // is replaced, never changed; nil: no server was opened yet
	outdatedAt time.Time        // when servers were last told to make way for such
}

// change takes notice of a default that became another at a server that lives.
func (d *defaults) change(s *Server, param wire.Parameter) {
	if s.differs && !s.special() && sameDefaults(s.Defaults(), d.params) { // new servers only knew earlier
		s.differs, s.outdated = false, false
	}
	if d.params != nil && !s.differs && !slices.Contains(d.params, param) {
		d.params = wire.SetParameter(slices.Clone(d.params), param)
	}
}

// compare takes notice of the defaults of a new server, which nobody else has yet.
// Others that were opened with other ones, as before an ALTER ROLE or ALTER
// DATABASE or by another host, make way for new ones. It reports whether any do
// that did not.
func (d *defaults) compare(s *Server, others map[*Server]struct{}, now time.Time) (outdates bool) {
	if s.special() {
		return false
	}
	changed := false
	if sameDefaults(d.params, s.params) {
		s.params, s.defaults = d.params, d.params // what many have is kept once
	} else {
		changed, d.params = d.params != nil, s.params
	}
	mayOutdate := now.Sub(d.outdatedAt) >= outdateEvery
	if !mayOutdate && !changed {
		return false
	}
	for other := range others {
		if other.dedicated || other.closed != "" {
			continue
		}
		if changed {
			other.differs = other.special() || !sameDefaults(other.Defaults(), s.params)
		}
		if other.differs && !other.outdated && mayOutdate {
			other.outdated, outdates = true, true
		}
	}
	if outdates {
		d.outdatedAt = now
	}
	return outdates
}

// Parameters returns the defaults of the newest plain server that lives, as far
// as any server told of a change since, and false if none lives. Others have
// the same list: it must not be changed.
func (p *Pool) Parameters() ([]wire.Parameter, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.policy.defaults.params
	var newest *Server
	for s := range p.policy.servers {
		if !s.dedicated && !s.special() && s.closed == "" && s.usable() && (newest == nil || s.ID > newest.ID) {
			newest = s
		}
	}
	switch {
	case newest == nil && p.db.paused.on() && known != nil:
		return known, true // until there is a server, which reports what has changed
	case newest == nil:
		return nil, false
	case newest.differs:
		return newest.Defaults(), true
	}
	return known, true
}

// sameDefaults reports whether two lists hold the same, in whatever order.
func sameDefaults(a, b []wire.Parameter) bool {
	return len(a) == len(b) && (slices.Equal(a, b) || !slices.ContainsFunc(a, func(p wire.Parameter) bool { return !slices.Contains(b, p) }))
}
