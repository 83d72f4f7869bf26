package pool

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

// stale reports whether a server was idle for so long that it is asked by
// server_check_query before it is lent again. That finds connections that died
// without a word, which the engine can't notice. mu is held.
func (p *Pool) stale(s *Server, now time.Time) bool {
	b := p.bounds()
	return b.checks && now.Sub(s.idleSince) >= b.checkAfter
}

// ask sends the check query to a server that was idle, and has its answer
// decide what becomes of it. mu is held.
func (p *Pool) ask(s *Server) {
	if !s.SetLink(&check{pool: p, answer: wire.Answer{SkipRows: true}}) {
		p.end(s, s.fate())
		return
	}
	p.asked = append(p.asked, s)
	spec := p.db.spec.Load()
	sql, _ := spec.checkQuery()
	s.conn.Post(func() {
		s.conn.SetTimeout(spec.Defaults.ServerConnectTimeout)
		s.conn.Write(wire.AppendQuery(nil, sql), nil)
	})
}

// check holds a server while that answers the check query.
type check struct {
	pool   *Pool
	answer wire.Answer
}

// fails ends a server that did not pass.
func (c *check) fails(s *Server) {
	s.setFate(ClosedCheck)
	s.Break()
}

// ServerBytes implements Link.
func (c *check) ServerBytes(s *Server, b []byte) (used int) {
	for len(b)-used >= wire.HeaderSize {
		typ, n := wire.ParseHeader(b[used:])
		if n < 0 || n > asyncLimit {
			c.fails(s)
			return len(b)
		}
		end := used + wire.HeaderSize + n
		if len(b) < end {
			break
		}
		err := c.answer.Take(typ, b[used+wire.HeaderSize:end])
		if used = end; err != nil || c.answer.Refused != nil || c.answer.Ready && !c.answer.Idle {
			c.fails(s)
			return len(b)
		}
		if c.answer.Ready {
			c.passed(s)
			return used
		}
	}
	return used
}

func (c *check) passed(s *Server) {
	for _, p := range c.answer.Reported {
		s.SetParameter(p)
		s.SetDefault(p)
	}
	s.conn.SetTimeout(0)
	c.pool.answered(s)
	c.pool.Release(s)
}

// answered notes that a server is no longer being asked.
func (p *Pool) answered(s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = slices.DeleteFunc(p.asked, func(other *Server) bool { return other == s })
}

// ServerTimedOut implements Link.
func (c *check) ServerTimedOut(s *Server) { c.fails(s) }

// ServerClosed implements Link.
func (c *check) ServerClosed(s *Server, err error) {
	c.pool.manager.log.Warn("server failed its check", zap.Uint64("server", s.ID), zap.String("database", c.pool.db.Name), zap.Error(err))
	c.pool.answered(s)
	c.pool.Discard(s)
}
