package proxy

import (
	"errors"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// leaveTimeout is how long the server that a client left behind in mid-query
// may take to come to rest before it is ended.
const leaveTimeout = 5 * time.Second

// parting is what is left to do when a client has gone.
type parting struct {
	tell    *wire.Error  // its last message, or nil
	waiting bool         // for a server
	server  *pool.Server // that it held, or nil
	out     []byte       // brings an unfinished exchange to its end
	orderly bool         // there is such an end
	request *pool.Cancel // of what runs, or nil
}

// part mutes the session, and says what is left to do.
func (c *conversation) part(reason error) (p parting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end = reason
	}
	if !c.muted && c.relay.BetweenMessages() { // else it would take it for part of something else
		errors.As(reason, &p.tell)
	}
	c.muted = true
	p.server, p.waiting = c.server, c.wait.waiting
	if p.server != nil {
		running := c.relay.Running()
		p.out, p.orderly = c.relay.Leave()
		if running {
			cancel := p.server.PrepareCancel()
			p.request = &cancel
		}
		p.server.SetTimeout(leaveTimeout) // before decide, which takes mu too, can take that back
	}
	return p
}

// leave takes leave of the client, and sees to the server that it held: what
// runs is cancelled, what is open is rolled back, and if that can't be done
// in time the connection ends. It tells the client why, if there is a point
// between messages to do so. It runs once, at the client's home.
func (l *link) leave(reason error) {
	l.conn.Hurry(closeWait) // writes to a client that does not read fail soon
	p := l.part(reason)
	l.conn.Finish(lingerFor(reason))
	if p.waiting {
		l.stopWaiting(reason)
	}
	if p.server != nil {
		p.server.FreeFrom(l.conn)
		l.leaveServer(p)
	}
}

// part mutes the session and tells the client why.
func (l *link) part(reason error) parting {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	p := l.talk.part(reason)
	if p.tell != nil {
		l.proxy.counters.errors.note(l.client, p.tell, nil)
		l.conn.Write(p.tell.Append(nil), nil)
	}
	return p
}

// leaveServer brings the server that a client left behind to rest.
func (l *link) leaveServer(p parting) {
	if p.orderly && len(p.out) > 0 {
		p.server.Write(p.out, nil)
	}
	if p.request == nil {
		l.leftServer(p)
		return
	}
	l.proxy.cancels.Go(func() {
		l.send(*p.request)
		l.leftServer(p)
	})
}

// leftServer goes on with a server once nothing is under way to cancel it.
func (l *link) leftServer(p parting) {
	if p.orderly {
		l.settle(p.server)
	} else {
		l.talk.breakServer(p.server)
	}
}

// ServerTimedOut implements pool.Link: a server that a client left behind did
// not come to rest in time. What it still runs, the next query of a pipeline
// say, is cancelled before the connection ends: PostgreSQL would notice that
// only when it has something to send.
func (l *link) ServerTimedOut(server *pool.Server) {
	request := l.talk.overdue(server)
	if request == nil {
		return
	}
	l.proxy.cancels.Go(func() {
		l.send(*request)
		l.talk.breakServer(server)
	})
}

// overdue returns a request to cancel what runs on the server that a client left
// behind, or nil if that is at rest.
func (c *conversation) overdue(server *pool.Server) *pool.Cancel {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.relay.Left() || c.server != server {
		return nil
	}
	request := server.PrepareCancel()
	return &request
}

// lingerFor returns how long a client gets to read what it was told. One that
// left on its own account needs none.
func lingerFor(reason error) time.Duration {
	var told *wire.Error
	if errors.As(reason, &told) || errors.Is(reason, errServerSaid) {
		return closeWait
	}
	return 0
}
