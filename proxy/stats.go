package proxy

import (
	"slices"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/proxy/relay"
)

// Pins returns the clients that keep their servers now, the longest first. It
// may be called from any goroutine.
func (p *Server) Pins() []stats.Pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []stats.Pin
	for s := range p.sessions {
		if pin, ok := s.pin(); ok {
			list = append(list, pin)
		}
	}
	slices.SortFunc(list, func(a, b stats.Pin) int { return a.Since.Compare(b.Since) })
	return list
}

func (s *session) pin() (stats.Pin, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseLogin || s.server == nil { // a login is its goroutine's alone
		return stats.Pin{}, false
	}
	why := s.relay.HoldsFor()
	if why == 0 {
		return stats.Pin{}, false
	}
	return stats.Pin{
		Client: s.id, User: s.user, Database: s.database, Server: s.server.ID,
		Reasons: relay.Reasons(why), Since: s.relay.PinnedSince(),
	}, true
}

// PinCounts returns how often clients were pinned since the start, by reason.
func (p *Server) PinCounts() map[string]uint64 { return p.pinCounts.Read() }

// Statements returns how many different prepared statements clients and
// servers have, and how many bytes of memory they take.
func (p *Server) Statements() (count int, bytes int64) { return p.statements.Use() }
