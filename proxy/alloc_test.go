package proxy

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/pool"
)

// dryEngine adopts connections whose bytes can be kept from the network.
type dryEngine struct {
	engine.Engine
	dry  atomic.Bool
	sent int // bytes, while it is dry

	mu      sync.Mutex
	servers []*pool.Server
}

func (e *dryEngine) Adopt(t *engine.Transport, secured *tls.Conn, h engine.Handler, set func(engine.Conn)) {
	if s, ok := h.(*pool.Server); ok {
		e.mu.Lock()
		e.servers = append(e.servers, s)
		e.mu.Unlock()
	}
	e.Engine.Adopt(t, secured, h, func(c engine.Conn) { set(&dryConn{c, e}) })
}

type dryConn struct {
	engine.Conn
	engine *dryEngine
}

func unwrap(c engine.Conn) engine.Conn {
	if d, ok := c.(*dryConn); ok {
		return d.Conn
	}
	return c
}

func (c *dryConn) Write(b []byte, from engine.Conn) {
	if c.engine.dry.Load() {
		c.engine.sent += len(b)
		return
	}
	c.Conn.Write(b, unwrap(from))
}

func (c *dryConn) Free(from engine.Conn) { c.Conn.Free(unwrap(from)) }

// The whole way of a query is session, pool, server, relay and counters.
func TestAQueryOnItsWayFromClientToServerAndBackAllocatesNothing(t *testing.T) {
	for _, database := range []string{"app", "sess"} {
		for name, q := range map[string][2]string{
			"simple":   {query("SELECT 1"), answer},
			"extended": {parse + bind + describe + execute + syncMsg, parsed + bound + described + answer},
		} {
			e := &dryEngine{}
			h := open(t, func(p *plan) {
				p.wrap = func(inner engine.Engine) engine.Engine { e.Engine = inner; return e }
			})
			c := h.login(database)
			c.ask("SELECT pid")
			eventually(t, "the server is back", func() bool { return database == "sess" || h.manager.Snapshots()[0].Servers.Idle == 1 })
			s := h.proxy.sessions.list()[0]
			before := s.talk.pool.Snapshot().Totals
			ask, reply := []byte(q[0]), []byte(q[1])
			const runs = 500
			allocations := make(chan float64, 1)
			s.link.conn.Post(func() { // at the client's home
				e.dry.Store(true)
				defer e.dry.Store(false)
				allocations <- testing.AllocsPerRun(runs, func() {
					if s.Data(ask) != len(ask) || e.servers[0].Data(reply) != len(reply) {
						t.Error("bytes were not used")
					}
				})
			})
			if n := receive(t, "the count", allocations); n != 0 {
				t.Errorf("%s, %s: %v allocations", database, name, n)
			}
			const times = runs + 1 // it warms up
			if want := times * (len(ask) + len(reply)); e.sent != want {
				t.Errorf("%s, %s: %d bytes went their way, want %d", database, name, e.sent, want)
			}
			s.talk.mu.Lock()
			s.talk.tally.report(s.talk.relay, s.talk.pool)
			s.talk.mu.Unlock()
			if after := s.talk.pool.Snapshot().Totals; after.Queries-before.Queries != times || after.Transactions-before.Transactions != times ||
				after.Received-before.Received != uint64(times*len(ask)) || after.Sent-before.Sent != uint64(times*len(reply)) {
				t.Errorf("%s, %s: it was counted as %+v after %+v", database, name, after, before)
			}
			c.leave()
		}
	}
}
