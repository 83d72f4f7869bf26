package proxy

import (
	"context"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// settleParameters works out what the session's parameters are. A server is
// needed for what only a server can check, and if none lives that could be
// asked.
func (a *arrival) settleParameters(asked []wire.Parameter) error {
	joined := a.session.talk.pool
	if err := joined.LastError(); err != nil {
		return err
	}
	r := a.follow(asked, false)
	if !r.Asks() {
		if reported, known := joined.Parameters(); known {
			r.Greet(reported)
			return nil
		}
		server, err := a.acquire()
		if err != nil {
			return err
		}
		r.Greet(server.Defaults())
		joined.Release(server)
		return nil
	}
	for {
		a.session.talk.updateNeed()
		server, err := a.acquire()
		if err != nil {
			return err
		}
		if o := a.tryOut(server); !o.again {
			return o.refused
		}
	}
}

// acquire waits for a server during login, on the goroutine of the login.
func (a *arrival) acquire() (*pool.Server, error) {
	talk, grants := &a.session.talk, make(chan grant, 1)
	w := pool.Waiter{Need: &talk.wait.need, Ready: func(server *pool.Server, err error) { grants <- grant{server, err} }}
	server, err := talk.pool.Acquire(&w)
	if server != nil || err != nil {
		return server, err
	}
	g := a.await(&w, grants)
	talk.waited(w.Waited)
	a.session.link.logWait(&w, waitOutcome(g.err), g.err)
	return g.server, g.err
}

// await waits until w has got something, or the login has to end.
func (a *arrival) await(w *pool.Waiter, grants <-chan grant) grant {
	ctx := a.login.Context()
	select {
	case g := <-grants:
		return g
	case <-ctx.Done():
	}
	if a.session.talk.pool.Leave(w) {
		return grant{nil, context.Cause(ctx)}
	}
	return <-grants
}

// outcome is what came of trying out a session's parameters on a server.
type outcome struct {
	again   bool // they are to be tried on one that was never lent
	refused error
}

// tryOut has a server check the parameters of a client that logs in, and tells
// the relay their canonical values. If the login has to end first, the server
// ends too.
func (a *arrival) tryOut(server *pool.Server) outcome {
	talk, link, ctx := &a.session.talk, &a.session.link, a.login.Context()
	settled := talk.try()
	if !link.attach(server) {
		return outcome{refused: errServerLost}
	}
	if len(link.setup) == 0 {
		link.settle(server)
	} else {
		link.toServer(server, nil)
	}
	select {
	case o := <-settled:
		return o
	case <-ctx.Done():
		talk.breakServer(server)
		return outcome{refused: context.Cause(ctx)}
	}
}

// try has the relay try out the session's parameters on the next server, and
// returns where the outcome comes.
func (c *conversation) try() <-chan outcome {
	settled := make(chan outcome, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trial = settled
	c.relay.Try()
	return settled
}

// waited notes for how long a login waited for a server.
func (c *conversation) waited(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.totals.waited += d
}
