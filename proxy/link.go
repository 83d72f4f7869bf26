package proxy

import (
	"context"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/relay"
)

// toServer writes to the server. Where that fails, ServerClosed will say so.
func (s *session) toServer(server *pool.Server, b []byte) {
	if len(s.setup) > 0 {
		b = append(s.setup, b...)
		s.setup = nil
	}
	if len(b) > 0 {
		server.Write(b, s.client)
	}
}

// link gets a server for what the client is about to send. It reports false
// where the session has to wait for it, or has ended.
func (s *session) link() bool {
	if s.client.Unsent() {
		// It has answers to read first, or it could make us keep any number of
		// them. PostgreSQL would not read on either.
		s.client.Write(nil, s.client)
		return false
	}
	s.look()
	for {
		server := s.pool.TryAcquire(&s.need)
		if server == nil {
			if server = s.await(); server == nil {
				return false
			}
		}
		if s.attach(server) {
			return true
		}
	}
}

// look notes which servers the client can use.
func (s *session) look() {
	s.mu.Lock()
	s.need.Exact, s.need.Fresh = s.relay.Need()
	s.mu.Unlock()
}

// startupOf returns the parameters of a startup packet by which servers that
// were opened with them are known: sorted by name, and without
// application_name, which every session is given.
func startupOf(asked []wire.Parameter) (list []wire.Parameter) {
	for _, p := range asked {
		p.Name = strings.ToLower(p.Name)
		if p.Name == applicationName {
			continue
		}
		if i := slices.IndexFunc(list, func(q wire.Parameter) bool { return q.Name == p.Name }); i >= 0 {
			list[i] = p
		} else {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b wire.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// await joins the pool's queue, unless a server has become free or waiting is in
// vain: then the session has ended.
func (s *session) await() *pool.Server {
	s.setWaiting(true)
	server, err := s.pool.Acquire(&s.waiter)
	if server == nil && err == nil {
		s.client.Pause()
		s.waits()
		return nil
	}
	s.setWaiting(false)
	if err != nil {
		s.leave(err)
	}
	return server
}

func (s *session) setWaiting(waiting bool) {
	s.mu.Lock()
	s.waiting = waiting
	s.mu.Unlock()
}

// grant is called by the pool, from any goroutine, when the wait is over.
func (s *session) grant(server *pool.Server, err error) {
	s.mu.Lock()
	if s.phase == phaseClosed {
		s.mu.Unlock()
		if server != nil {
			s.pool.Release(server)
		}
		return
	}
	s.granted = grant{server, err}
	s.mu.Unlock()
	s.client.Post(s.onGranted)
}

// takeGrant goes on with what the wait ended with, at the client's home.
func (s *session) takeGrant() {
	s.mu.Lock()
	g, end := s.granted, s.end
	s.granted = grant{}
	waited := s.endWait()
	s.observe()
	s.mu.Unlock()
	switch {
	case !waited: // Closed told
	case s.left:
		s.tellWait(&s.waiter, waitLeft, end)
	default:
		s.tellWait(&s.waiter, waitOutcome(g.err), g.err)
	}
	switch {
	case s.left:
		if g.server != nil {
			s.pool.Release(g.server)
		}
	case g.err == errCanceled:
		s.skipWaiting()
		s.noteError(errCanceled, nil)
		s.tell(errCanceled.Append(nil))
		s.client.Resume()
	case g.err != nil:
		s.leave(g.err)
	case s.attach(g.server) || s.link():
		s.client.Resume()
	}
}

// skipWaiting has what the client sent that no server was found for go nowhere.
func (s *session) skipWaiting() {
	s.skips = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if typ, gathered := s.relay.DropGathered(); gathered {
		s.skip.begin(typ)
		s.skip.body = 1 // its last byte comes again
	}
}

// skipCanceled drops what the client sent that no server was found for before
// it was cancelled. The next exchange finds the session as it was. mu is held.
func (s *session) skipCanceled(b []byte) relay.Step {
	st, over := s.skip.skip(b)
	if over {
		s.skips = false
	}
	return st
}

// stopWaiting makes the wait for a server end with err, unless it is about to
// end anyway.
func (s *session) stopWaiting(err error) {
	if s.pool.Leave(&s.waiter) {
		s.grant(nil, err)
	}
}

// attach makes server the session's, and prepares what gives it the session's
// parameters if it lacks any. It reports false where the server died on the
// way; it is discarded then.
func (s *session) attach(server *pool.Server) bool {
	var tell []byte
	s.setup, tell = s.take(server)
	if !server.SetLink(s) {
		s.drop(server)
		s.pool.Discard(server)
		return false
	}
	if len(tell) > 0 {
		s.tell(tell)
	}
	return true
}

// take notes that server is the session's.
func (s *session) take(server *pool.Server) (setup, tell []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	setup, tell = s.relay.Attach(stateOf(server))
	s.server, s.need.Last, s.requested = server, server, s.pool.Clock()
	s.countLink()
	return setup, tell
}

// NewServerState is what a pool.Manager whose servers sessions are lent makes their
// State by.
func NewServerState(startup []wire.Parameter) pool.State { return relay.NewServer(startup) }

// stateOf returns the relay's state of a server that is held.
func stateOf(server *pool.Server) *relay.Server {
	state := server.State.(*relay.Server)
	state.SetReported(server.Reported())
	return state
}

// drop notes that a server is not the session's any more.
func (s *session) drop(server *pool.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == server {
		s.relay.Detach()
		s.server = nil
	}
}

// giveBack gives back a server that the client has not used yet, for one that
// was opened with its own startup values.
func (s *session) giveBack(server *pool.Server) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	held := s.server == server && server != nil && s.relay.AtRest()
	if held {
		s.relay.Detach()
		s.server = nil
	}
	s.mu.Unlock()
	if held {
		s.setup = nil
		server.FreeFrom(s.client)
		s.pool.Release(server)
	}
}

// ServerBytes implements pool.Link.
func (s *session) ServerBytes(server *pool.Server, b []byte) (used int) {
	used, err := s.passToClient(server, b)
	if err != nil {
		s.fail(server, err)
		return len(b)
	}
	s.settle(server)
	return used
}

// passToClient steps through what the server sent.
func (s *session) passToClient(server *pool.Server, b []byte) (used int, failure *wire.Error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	for {
		st, mute := s.stepServer(server, b[used:])
		used += st.Used
		if len(st.Pass) > 0 && !mute {
			server.PassTo(s.client, st.Pass)
		}
		if len(st.Insert) > 0 && !mute {
			server.PassTo(s.client, st.Insert)
		}
		switch {
		case st.Verdict == relay.Failed:
			return used, st.Err
		case st.Verdict == relay.NeedMore, used == len(b):
			return used, nil
		}
	}
}

// stepServer has the relay look at what the server sent, unless that was given
// away meanwhile: what it says then is not ours.
func (s *session) stepServer(server *pool.Server, b []byte) (st relay.Step, mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != server {
		return relay.Step{Verdict: relay.NeedMore}, true
	}
	st = s.relay.FromServer(b)
	if list, changed := s.relay.Reported(); changed {
		server.SetReported(list)
	}
	s.observe()
	sent := len(st.Pass) + len(st.Insert)
	if mute = s.muted || s.phase == phaseLogin || s.end != nil; mute {
		sent = 0
	} else if st.Denied != nil || st.Told != nil {
		s.noteError(st.Denied, st.Told)
	}
	s.countServer(sent)
	return st, mute
}

// settle gives the server back where the session needs it no longer, or sends
// the next query that has to run before it may.
func (s *session) settle(server *pool.Server) {
	d := s.decide(server)
	if len(d.Query) > 0 {
		server.Write(d.Query, nil)
	}
	switch d.Do {
	case relay.Keep:
	case relay.Break:
		server.Break()
	default:
		if d.greeted {
			server.FreeFrom(s.client)
		}
		if d.left {
			server.SetTimeout(0)
		}
		if d.Do == relay.Retry {
			s.pool.Discard(server)
		} else {
			s.pool.Release(server)
		}
	}
	if d.settled != nil {
		d.settled <- d.refused
	}
	if d.Wake && d.greeted {
		s.client.Post(s.onAsk)
	}
	if d.Resume && d.greeted {
		s.client.Resume()
	}
	for _, p := range d.Defaults {
		server.SetDefault(p)
	}
	if d.Pinned != 0 {
		reasons := relay.Reasons(d.Pinned)
		for _, reason := range reasons {
			s.proxy.pinCounts.Inc(reason)
		}
		s.proxy.log.Info("client pinned to server", append(s.fields(), zap.Strings("reasons", reasons))...)
	}
	if d.wake {
		s.poke()
	}
}

// decision is what settle does after it has let go of mu.
type decision struct {
	relay.Action
	greeted bool       // there is a client that the engine has, or had
	left    bool       // the client has gone
	settled chan error // the login that waits for this
	refused error      // what it gets
	wake    bool       // the session may have to end
}

// decide takes the server from the session if that needs it no longer.
func (s *session) decide(server *pool.Server) (d decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != server || server == nil {
		return d
	}
	d.greeted, d.left = s.phase >= phaseReady, s.relay.Left()
	d.Action = s.relay.Next()
	gone := d.Do == relay.Release || d.Do == relay.Retry
	if d.End != nil && s.end == nil && s.settled == nil {
		s.end = d.End
	}
	d.wake = (s.ending() != nil || s.end != nil) && d.greeted && (gone || s.mayEnd() || d.End != nil)
	if gone {
		if d.settled = s.settled; d.settled != nil && d.End != nil {
			d.refused = d.End
		}
		s.relay.Detach()
		s.server, s.settled = nil, nil
	}
	s.observe()
	return d
}

// ask sends what the relay has to ask, if that is still so. It runs at the
// client's home, which alone writes to the server.
func (s *session) ask() {
	s.mu.Lock()
	server := s.server
	var q []byte
	if server != nil && s.end == nil {
		q = s.relay.Ours()
	}
	s.mu.Unlock()
	if len(q) > 0 {
		s.toServer(server, q)
	} else if server != nil {
		s.goOn(server) // who waited for that goes on
	}
}

// ServerTimedOut implements pool.Link: a server that a client left behind did
// not come to rest in time. What it still runs, the next query of a pipeline
// say, is cancelled before the connection ends: PostgreSQL would notice that
// only when it has something to send.
func (s *session) ServerTimedOut(server *pool.Server) {
	s.mu.Lock()
	if !s.relay.Left() || s.server != server {
		s.mu.Unlock()
		return
	}
	request := server.PrepareCancel()
	s.mu.Unlock()
	s.proxy.cancels.Go(func() {
		if err := request.Send(context.Background()); err != nil {
			s.proxy.log.Warn("query could not be canceled", append(s.fields(), zap.Error(err))...)
		}
		s.breakServer(server)
	})
}

// ServerClosed implements pool.Link.
func (s *session) ServerClosed(server *pool.Server, err error) {
	s.mu.Lock()
	if s.server != server {
		s.mu.Unlock()
		return
	}
	if s.end == nil {
		s.end = errServerLost.WithCause(err)
		switch {
		case s.relay.FatalSeen():
			s.end = errServerSaid
		case s.relay.Leaving():
			s.end = errTerminated
		}
	}
	// What the client got of a message stays torn: BetweenMessages looks at
	// the relay, which is left as it is.
	s.server = nil
	settled, end := s.settled, s.end
	s.settled = nil
	s.mu.Unlock()
	s.pool.Discard(server)
	if settled != nil {
		settled <- end
	}
	s.poke()
}

// fail ends the session, and the server it holds, for what the server sent.
func (s *session) fail(server *pool.Server, err *wire.Error) {
	s.mu.Lock()
	if s.end == nil {
		s.end = err
	}
	s.relay.Doubt()
	s.mu.Unlock()
	server.Break()
	s.poke()
}

// breakServer ends a server if the session still holds it.
func (s *session) breakServer(server *pool.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == server {
		s.relay.Doubt()
		server.Break()
	}
}
