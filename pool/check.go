package pool

import (
	"errors"
	"io"
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
	if !s.SetLink(&check{p}) {
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
type check struct{ pool *Pool }

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
		body := b[used+wire.HeaderSize : end]
		used = end
		switch typ {
		case wire.ParameterStatus:
			if p, err := wire.ParseParameterStatus(body); err == nil {
				s.SetParameter(p)
				s.SetDefault(p)
			}
		case wire.ReadyForQuery:
			if n != 1 || body[0] != wire.StatusIdle {
				c.fails(s)
				return len(b)
			}
			c.passed(s)
			return used
		case wire.ErrorResponse, wire.CopyInResponse, wire.CopyOutResponse, wire.CopyBothResponse:
			c.fails(s)
			return len(b)
		}
	}
	return used
}

func (c *check) passed(s *Server) {
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

// greet runs connect_query on a connection that has just logged in. As in
// PgBouncer an error of the server is logged and nothing more; parameters that
// the query sets become those of the login.
func (m *Manager) greet(conn io.ReadWriter, id uint64, d *Database, sql string, to *greeting) error {
	if sql == "" {
		return nil
	}
	if _, err := conn.Write(wire.AppendQuery(nil, sql)); err != nil {
		return err
	}
	for got := 0; got < loginBytes; {
		typ, body, err := wire.ReadMessage(conn, nil, loginMessageLimit)
		if err != nil {
			return err
		}
		got += wire.HeaderSize + len(body)
		switch typ {
		case wire.ParameterStatus:
			p, err := wire.ParseParameterStatus(body)
			if err != nil {
				return err
			}
			to.params = setParameter(to.params, p)
		case wire.ErrorResponse:
			e, err := wire.ParseError(body)
			if err != nil {
				return err
			}
			if e.Severity == "FATAL" || e.Severity == "PANIC" {
				return e
			}
			m.log.Warn("connect_query failed", zap.Uint64("server", id), zap.String("database", d.Name), zap.String("sqlstate", e.Code))
		case wire.CopyInResponse, wire.CopyOutResponse, wire.CopyBothResponse:
			return errors.New("it is a COPY")
		case wire.ReadyForQuery:
			if len(body) != 1 || body[0] != wire.StatusIdle {
				return errors.New("it leaves a transaction open")
			}
			return nil
		}
	}
	return errors.New("it returns too much")
}
