package proxy

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
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
	for {
		server := s.pool.TryAcquire(nil)
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
	if s.gone {
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
		s.skips = true
		s.noteError(errCanceled, nil)
		s.tell(errCanceled.Append(nil))
		s.client.Resume()
	case g.err != nil:
		s.leave(g.err)
	case s.attach(g.server) || s.link():
		s.client.Resume()
	}
}

// skipCanceled drops what the client sent that no server was found for before
// it was cancelled. The next exchange finds the session as it was. mu is held.
func (s *session) skipCanceled(b []byte) step {
	st := s.skip.skip(b)
	if st.verdict == proceed {
		s.skips, st.verdict = false, skipped
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

// attach makes server the session's, and prepares the message that gives it
// the session's parameters if it lacks any. It reports false where the server
// died on the way; it is discarded then.
func (s *session) attach(server *pool.Server) bool {
	s.setup = s.take(server)
	if server.SetLink(s) {
		return true
	}
	s.mu.Lock()
	s.server = nil
	s.relay.unlink()
	s.mu.Unlock()
	s.pool.Discard(server)
	return false
}

// take notes that server is the session's, and returns the queries that set
// what differs.
func (s *session) take(server *pool.Server) (setup []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := stateOf(server)
	was := roleIn(state.settings)
	var set []wire.Parameter
	var reset []string
	unknown := state.unlisted && state.lastHolder != s.id // nobody knows what others have set
	told, same := server.Reports(s.told)
	if s.told = told; unknown || !same || !slices.Equal(state.settings, s.extra) {
		set, reset = s.lacks(server, state, unknown)
	}
	ours := 0
	if unknown {
		setup = wire.AppendQuery(nil, "RESET ALL")
		ours++
	}
	if len(set)+len(reset) > 0 {
		setup = wire.AppendQuery(setup, setQuery(set, reset))
		state.settings = append(state.settings[:0], s.extra...)
		ours++
	}
	s.server, s.reset, s.rolledBack, s.requested = server, false, false, s.pool.Clock()
	s.relay.link(state, s.id, ours)
	s.countLink()
	// A role may be refused, and what the client sends must not run as another.
	// One that stays the same does so also where the query fails.
	s.relay.setting = was != roleIn(s.extra)
	s.relay.barrier = s.relay.setting
	s.relay.single = s.mode == pool.StatementMode
	return setup
}

// lacks returns what has to be set and reset on a server so that its session
// becomes the client's. unknown says that RESET ALL goes before. mu is held.
func (s *session) lacks(server *pool.Server, state *serverState, unknown bool) (set []wire.Parameter, reset []string) {
	if unknown {
		set, reset = difference(nil, state.afresh(), s.told, s.extra)
	} else {
		server.ViewParameters(func(now []wire.Parameter) {
			set, reset = difference(now, state.settings, s.told, s.extra)
		})
	}
	if i := index(set, "DateStyle"); i >= 0 && s.client == nil {
		// "German" alone completes itself from the value in force, which must
		// not be that of another client.
		reset = append(reset, set[i].Name)
	}
	return set, reset
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
		used += st.used
		if len(st.pass) > 0 && !mute {
			server.PassTo(s.client, st.pass)
		}
		if len(st.insert) > 0 && !mute {
			server.PassTo(s.client, st.insert)
		}
		switch {
		case st.verdict == failed:
			return used, st.err
		case st.verdict == needMore, used == len(b):
			return used, nil
		}
	}
}

// stepServer has the relay look at what the server sent, unless that was given
// away meanwhile: what it says then is not ours.
func (s *session) stepServer(server *pool.Server, b []byte) (st step, mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != server {
		return step{verdict: needMore}, true
	}
	st = s.relay.fromServer(b, s.onParam)
	s.observe()
	sent := len(st.pass) + len(st.insert)
	if mute = s.muted || s.client == nil || s.end != nil; mute {
		sent = 0
	}
	s.countServer(sent)
	return st, mute
}

// parameter notes a ParameterStatus. mu is held.
func (s *session) parameter(body []byte) {
	p, err := wire.ParseParameterStatus(body)
	if err != nil {
		return
	}
	s.server.SetParameter(p)
	if s.relay.left {
		return
	}
	if i := index(s.told, p.Name); i >= 0 {
		if s.told[i] != p {
			s.told = slices.Clone(s.told) // servers may share the list
			s.told[i] = p
		}
		if p.Name == "search_path" {
			s.seeSearchPath()
		}
	} else if len(s.told) < pool.MaxParameters {
		s.told = append(slices.Clip(s.told), p)
	}
}

// settle gives the server back where the session needs it no longer, or sends
// the next query that has to run before it may.
func (s *session) settle(server *pool.Server) {
	d := s.decide(server)
	if d.query != "" {
		server.Write(wire.AppendQuery(nil, d.query), nil)
	}
	if d.release {
		if s.client != nil {
			server.FreeFrom(s.client)
		}
		if d.left {
			server.SetTimeout(0)
		}
		s.pool.Release(server)
		if d.settled != nil {
			d.settled <- nil
		}
	}
	if d.ask {
		s.client.Post(s.onAsk)
	}
	if d.resume {
		s.client.Resume()
	}
	if d.pinned != 0 {
		s.proxy.pinCounts.add(d.pinned)
		s.proxy.log.Info("client keeps its server", append(s.fields(), zap.Strings("reasons", pinReasons(d.pinned)))...)
	}
	if d.wake {
		s.poke()
	}
}

// decision is what settle does after it has let go of mu.
type decision struct {
	query   string          // is to be sent
	release bool            // the server goes back to the pool
	left    bool            // the client has gone
	settled chan error      // the login that waits for this
	wake    bool            // the session may have to end
	ask     bool            // PostgreSQL has to be asked what the session left
	resume  bool            // the client waited for the server to come to rest
	pinned  sqlscan.Effects // why it keeps its server from now on
}

// decide takes the server from the session if that needs it no longer.
func (s *session) decide(server *pool.Server) (d decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != server || server == nil {
		return d
	}
	if v := s.relay.survey; v != nil && v.over {
		s.learnSurvey()
	}
	d.query, d.release, d.ask = s.next()
	if why := s.relay.holdsFor() &^ s.pinsTold; why != 0 && !s.relay.left {
		d.pinned = why
	}
	s.pinsTold = s.relay.holdsFor()
	if d.query != "" {
		s.relay.pending.push(pendingOurs)
	}
	if s.relay.held && (d.release || s.relay.quiet()) {
		s.relay.held, d.resume = false, s.client != nil
	}
	d.left, d.settled = s.relay.left, s.settled
	d.wake = s.ending() != nil && s.client != nil && (d.release || s.mayEnd())
	if d.release {
		if s.settled != nil {
			server.ViewParameters(s.learn)
		}
		server.NotePrepared(len(s.relay.server.copies))
		s.relay.unlink()
		s.server, s.settled = nil, nil
	}
	s.observe()
	return d
}

// next says what is to become of a server that is held. mu is held.
func (s *session) next() (query string, release, ask bool) {
	switch {
	case s.relay.flushed() && s.mode != pool.SessionMode:
		ask = !s.asking && s.client != nil
		s.asking = s.asking || ask
		return "", false, ask
	case !s.relay.quiet():
		return "", false, false
	case s.replication:
		return "", s.relay.left, false
	case !s.relay.left:
		return s.nextOfClient()
	}
	query = s.relay.clean(s.resetQuery())
	switch {
	case query == "":
		return "", true, false
	case s.relay.status != wire.StatusIdle && s.rolledBack:
		s.server.Break() // it would not let go of its transaction
		return "", false, false
	case s.relay.status != wire.StatusIdle:
		s.rolledBack = true
	default:
		s.reset = true
		s.relay.server.wiped()
	}
	return query, false, false
}

// nextOfClient says what is to become of a server that owes nothing, while the
// client is there. mu is held.
func (s *session) nextOfClient() (query string, release, ask bool) {
	switch {
	case !s.relay.atRest():
		return "", false, false
	case s.client == nil: // its parameters were tried out
		return "", true, false
	case s.mode == pool.SessionMode:
		return "", false, false
	case s.relay.asks():
		ask = !s.asking
		s.asking = true
		return "", false, ask
	}
	// What was set for the client has to be there when it comes to send.
	return "", s.relay.holdsFor() == 0 && !s.relay.setting, false
}

// resetQuery returns what has to be sent to a server that its client left,
// outside of a transaction, or nothing. mu is held.
func (s *session) resetQuery() string {
	if s.reset {
		return ""
	}
	if s.mode == pool.SessionMode {
		return s.db.ResetQuery()
	}
	something, indelibly := s.relay.leavesBehind()
	switch {
	case indelibly:
		s.server.Break()
	case something:
		return discardAll
	}
	return ""
}

// ServerTimedOut implements pool.Link: a server that a client left behind did
// not come to rest in time. What it still runs, the next query of a pipeline
// say, is cancelled before the connection ends: PostgreSQL would notice that
// only when it has something to send.
func (s *session) ServerTimedOut(server *pool.Server) {
	s.mu.Lock()
	if !s.relay.left || s.server != server {
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
		if s.relay.fatalSeen() {
			s.end = errServerSaid
		}
	}
	// What the client got of a message stays torn: betweenMessages looks at
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
	s.relay.doubt = true
	s.mu.Unlock()
	server.Break()
	s.poke()
}

// breakServer ends a server if the session still holds it.
func (s *session) breakServer(server *pool.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == server {
		s.relay.doubt = true
		server.Break()
	}
}
