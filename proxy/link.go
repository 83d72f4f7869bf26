package proxy

import (
	"sync"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/engine"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/relay"
)

// link carries bytes between a client and the servers that it is lent, one after
// the other. The pool calls it at a server's home: ServerBytes, ServerTimedOut
// and ServerClosed. The conversation decides, and has the rules of the locks.
type link struct {
	// Set once, the last when the session is greeted.
	proxy     *Server
	client    *clientConn
	talk      *conversation
	onCheck   func() // what runs at the client's home
	onAsk     func()
	onGranted func()
	conn      engine.Conn

	setup []byte // owned by the client's home: goes to the server in front of the client's next bytes

	wmu sync.Mutex // held while bytes are written to the client
}

// greet notes that the engine has the client.
func (l *link) greet(c engine.Conn) {
	l.conn = c
	l.talk.greet()
}

// check has the session look whether it has to end now.
func (l *link) check() { l.conn.Post(l.onCheck) }

// toServer writes to the server. If that fails, ServerClosed will say so.
func (l *link) toServer(server *pool.Server, b []byte) {
	if len(l.setup) > 0 {
		b = append(l.setup, b...)
		l.setup = nil
	}
	if len(b) > 0 {
		server.Write(b, l.conn)
	}
}

// tell sends a message of ours to a client that waits for a server: nobody else
// writes to it then, and what it got so far are whole messages.
func (l *link) tell(message []byte) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.talk.canNotify() {
		l.conn.Write(message, nil)
	}
}

// attach makes server the session's, and prepares what gives it the session's
// parameters if it lacks any. It reports false if the server died on the
// way; it is discarded then.
func (l *link) attach(server *pool.Server) bool {
	var tell []byte
	l.setup, tell = l.talk.take(server)
	if !server.SetLink(l) {
		l.talk.drop(server, false)
		l.talk.pool.Discard(server)
		return false
	}
	if len(tell) > 0 {
		l.tell(tell)
	}
	return true
}

// giveBack gives back a server that the client has not used yet, for one that
// was opened with its own startup values.
func (l *link) giveBack(server *pool.Server) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.talk.drop(server, true) {
		l.setup = nil
		server.FreeFrom(l.conn)
		l.talk.pool.Release(server)
	}
}

// trySettle looks whether the server has answered already what a client that was
// paused waits for. If the server's home is at work, it will see to that.
func (l *link) trySettle(server *pool.Server) {
	if l.wmu.TryLock() {
		l.settle(server)
		l.wmu.Unlock()
	}
}

// ask sends what the relay has to ask, if that is still so. It runs at the
// client's home, which alone writes to the server.
func (l *link) ask() {
	server, q := l.talk.ours()
	if len(q) > 0 {
		l.toServer(server, q)
	} else if server != nil {
		l.trySettle(server) // what waited for that goes on
	}
}

// ServerBytes implements pool.Link.
func (l *link) ServerBytes(server *pool.Server, b []byte) (used int) {
	used, err := l.passToClient(server, b)
	if err != nil {
		l.fail(server, err)
		return len(b)
	}
	l.settle(server)
	return used
}

// passToClient steps through what the server sent.
func (l *link) passToClient(server *pool.Server, b []byte) (used int, failure *wire.Error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	for {
		st, mute := l.talk.stepServer(server, b[used:])
		used += st.Used
		if !mute {
			if st.Rejected != nil || st.ErrorBody != nil {
				l.proxy.counters.errors.note(l.client, st.Rejected, st.ErrorBody)
			}
			if len(st.Pass) > 0 {
				server.PassTo(l.conn, st.Pass)
			}
			if len(st.Insert) > 0 {
				server.PassTo(l.conn, st.Insert)
			}
		}
		switch {
		case st.Verdict == relay.Failed:
			return used, st.Err
		case st.Verdict == relay.NeedMore, used == len(b):
			return used, nil
		}
	}
}

// settle gives the server back if the session needs it no longer, or sends
// the next query that has to run before it may.
func (l *link) settle(server *pool.Server) {
	d := l.talk.decide(server)
	if len(d.Query) > 0 {
		server.Write(d.Query, nil)
	}
	switch d.Do {
	case relay.Keep:
	case relay.Break:
		server.Break()
	default:
		if d.greeted {
			server.FreeFrom(l.conn)
		}
		if d.left {
			server.SetTimeout(0)
		}
		if d.Do == relay.Retry {
			l.talk.pool.Discard(server)
		} else {
			l.talk.pool.Release(server)
		}
	}
	if d.trial != nil {
		d.trial <- d.outcome
	}
	if d.Wake && d.greeted {
		l.conn.Post(l.onAsk)
	}
	if d.Resume && d.greeted {
		l.conn.Resume()
	}
	for _, p := range d.Defaults {
		server.SetDefault(p)
	}
	if d.Pinned != 0 {
		reasons := relay.Reasons(d.Pinned)
		for _, reason := range reasons {
			l.proxy.counters.pins.Inc(reason)
		}
		l.proxy.log.Info("client pinned to server", append(l.client.fields(), zap.Strings("reasons", reasons))...)
	}
	if d.wake {
		l.check()
	}
}

// ServerClosed implements pool.Link.
func (l *link) ServerClosed(server *pool.Server, err error) {
	d, held := l.talk.lost(server, err)
	if !held {
		return
	}
	l.talk.pool.Discard(server)
	if d.trial != nil {
		d.trial <- d.outcome
	}
	if d.wake {
		l.check()
	}
}

// fail ends the session, and the server it holds, for what the server sent.
func (l *link) fail(server *pool.Server, err *wire.Error) {
	greeted := l.talk.fail(err)
	server.Break()
	if greeted {
		l.check()
	}
}
