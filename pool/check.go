package pool

import (
	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

// ask sends the check query to a server that was idle. It returns false if the
// server is dead.
func (s *Server) ask(spec *Spec) bool {
	if !s.SetLink(&check{pool: s.pool, answer: wire.Answer{SkipRows: true}}) {
		return false
	}
	sql, _ := spec.checkQuery()
	s.conn.Post(func() {
		s.conn.SetTimeout(spec.Defaults.ServerConnectTimeout)
		s.conn.Write(wire.AppendQuery(nil, sql), nil)
	})
	return true
}

// check holds a server while that answers the check query.
type check struct {
	pool   *Pool
	answer wire.Answer
}

// fails ends a server that did not pass.
func (c *check) fails(s *Server) {
	s.setCloseReason(ClosedCheck)
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
	c.answered(s)
	c.pool.Release(s)
}

func (c *check) answered(s *Server) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.policy.answered(s)
}

// ServerTimedOut implements Link.
func (c *check) ServerTimedOut(s *Server) { c.fails(s) }

// ServerClosed implements Link.
func (c *check) ServerClosed(s *Server, err error) {
	c.pool.manager.log.Warn("server_check_query failed", zap.Uint64("server", s.ID), zap.String("database", c.pool.db.Name), zap.Error(err))
	c.answered(s)
	c.pool.Discard(s)
}
