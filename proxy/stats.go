package proxy

import (
	"slices"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/proxy/relay"
)

// Pin is a client that keeps its server, in transaction or statement mode,
// because of what it left there.
type Pin struct {
	Client   uint64 // the session's number in the log
	User     string
	Database string
	Server   uint64 // the server's number in the log
	Reasons  []string
	Since    time.Time
}

// Pins returns the clients that keep their servers now, the longest first. It
// may be called from any goroutine.
func (p *Server) Pins() []Pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Pin
	for s := range p.sessions {
		if pin, ok := s.pin(); ok {
			list = append(list, pin)
		}
	}
	slices.SortFunc(list, func(a, b Pin) int { return a.Since.Compare(b.Since) })
	return list
}

func (s *session) pin() (Pin, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseLogin || s.server == nil { // a login is its goroutine's alone
		return Pin{}, false
	}
	why := s.relay.HoldsFor()
	if why == 0 {
		return Pin{}, false
	}
	return Pin{
		Client: s.id, User: s.user, Database: s.database, Server: s.server.ID,
		Reasons: relay.Reasons(why), Since: s.relay.PinnedSince(),
	}, true
}

// pinCounts counts how often clients were pinned, by reason. The zero value is
// ready for use, from any goroutine.
type pinCounts struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (c *pinCounts) add(why sqlscan.Effects) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]uint64{}
	}
	for _, reason := range relay.Reasons(why) {
		c.counts[reason]++
	}
}

// PinCounts returns how often clients were pinned since the start, by reason.
func (p *Server) PinCounts() map[string]uint64 {
	p.pinCounts.mu.Lock()
	defer p.pinCounts.mu.Unlock()
	all := map[string]uint64{}
	for reason, n := range p.pinCounts.counts {
		all[reason] = n
	}
	return all
}

// Statements returns how many different prepared statements clients and
// servers have, and how many bytes of memory they take.
func (p *Server) Statements() (count int, bytes int64) { return p.statements.Use() }
