package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// cancel cancels the query that the session runs now, and nothing else: while
// the request is under way its server goes to nobody else. It blocks until
// PostgreSQL has got the request.
func (s *session) cancel() {
	if s.cancelConsole() {
		return
	}
	request, outcome := s.prepareCancel()
	if outcome != CancelSent {
		s.proxy.cancelCounts.Inc(outcome)
		return
	}
	err := request.Send(context.Background())
	s.mu.Lock()
	close(s.cancelling)
	s.cancelling = nil
	s.mu.Unlock()
	if err != nil {
		s.proxy.cancelCounts.Inc(CancelFailed)
		s.proxy.log.Warn("query could not be canceled", append(s.fields(), zap.Error(err))...)
	} else {
		s.proxy.cancelCounts.Inc(CancelSent)
		s.proxy.log.Info("query canceled", s.fields()...)
	}
}

// prepareCancel returns a request to cancel what runs, which CancelSent says, or
// what became of the cancelling instead. One is under way at a time; it may come
// too early for a query that began meanwhile, so one more waits for its turn,
// and the others are one with that.
func (s *session) prepareCancel() (request pool.Cancel, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelling != nil {
		if s.cancelQueue {
			return request, CancelIdle
		}
		s.cancelQueue = true
		for s.cancelling != nil {
			through := s.cancelling
			s.mu.Unlock()
			<-through
			s.mu.Lock()
		}
		s.cancelQueue = false
	}
	if s.waiting {
		s.mu.Unlock()
		s.stopWaiting(errCanceled)
		s.mu.Lock()
		return request, CancelWait
	}
	if s.server == nil || !s.relay.Running() {
		return request, CancelIdle
	}
	s.cancelling = make(chan struct{})
	return s.server.PrepareCancel(), CancelSent
}

// leave takes leave of the client, and sees to the server that it held: what
// runs is cancelled, what is open is rolled back, and where that can't be done
// in time the connection ends. It tells the client why, if there is a point
// between messages to do so. It runs at the client's home; further calls do
// nothing.
func (s *session) leave(reason error) {
	if s.left {
		return
	}
	s.left = true
	s.client.Hurry(closeWait) // whoever writes to a client that does not read ends soon
	p := s.part(reason)
	s.client.Finish(lingerFor(reason))
	if p.waiting {
		s.stopWaiting(reason)
	}
	if p.server != nil {
		p.server.FreeFrom(s.client)
		s.leaveServer(p)
	}
}

// parting is what is left to do when a client has gone.
type parting struct {
	waiting bool         // for a server
	server  *pool.Server // that it held, or nil
	out     []byte       // brings an unfinished exchange to its end
	orderly bool         // there is such an end
	request *pool.Cancel // of what runs, or nil
}

// part mutes the session and tells the client why.
func (s *session) part(reason error) parting {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	p, tell := s.mute(reason)
	if tell != nil {
		s.noteError(tell, nil)
		s.client.Write(tell.Append(nil), nil)
	}
	return p
}

func (s *session) mute(reason error) (p parting, tell *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = reason
	}
	tell = s.lastWords(reason)
	s.muted = true
	p.server, p.waiting = s.server, s.waiting
	if p.server != nil {
		running := s.relay.Running()
		p.out, p.orderly = s.relay.Leave()
		if running {
			c := p.server.PrepareCancel()
			p.request = &c
		}
		p.server.SetTimeout(leaveTimeout) // before settle, which holds mu, can take that back
	}
	return p, tell
}

// leaveServer brings the server that a client left behind to rest.
func (s *session) leaveServer(p parting) {
	if p.orderly && len(p.out) > 0 {
		p.server.Write(p.out, nil)
	}
	if p.request == nil {
		s.leftServer(p.server, p.orderly)
		return
	}
	s.proxy.cancels.Go(func() {
		if err := p.request.Send(context.Background()); err != nil {
			s.proxy.log.Warn("query could not be canceled", append(s.fields(), zap.Error(err))...)
		}
		s.leftServer(p.server, p.orderly)
	})
}

// leftServer goes on with a server once nothing is under way to cancel it.
func (s *session) leftServer(server *pool.Server, orderly bool) {
	if orderly {
		s.settle(server)
	} else {
		s.breakServer(server)
	}
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

// lastWords returns what the client is told at the end, or nil where it would
// not hear it or would take it for part of something else. mu is held.
func (s *session) lastWords(reason error) *wire.Error {
	var e *wire.Error
	if s.muted || s.relay != nil && !s.relay.BetweenMessages() || !errors.As(reason, &e) {
		return nil
	}
	return e
}

// refuse ends a connection that did not become a session.
func (s *session) refuse(err error) {
	log, logins := s.proxy.log, &s.proxy.loginCounts
	r, refused := err.(*login.Refusal)
	switch {
	case err == errServed:
		return
	case errors.Is(err, login.ErrProbe):
		log.Debug("client left before its startup packet", s.fields()...)
		return
	case refused && r.Told == nil:
		logins.Inc(r.Outcome())
		s.proxy.Audit().refusal(s, r)
		log.Warn("TLS handshake failed", append(append(s.fields(), zap.Error(r.Cause)), tlsconf.HandshakeFields(r.Cause)...)...)
		return
	case s.isDraining():
		r = login.ErrShutdown
	case !refused:
		logins.Inc(login.OutcomeClientLeft)
		log.Info("client left during login", s.fields()...)
		return
	}
	last := *r.Told // it may be shared with other sessions
	last.Severity = "FATAL"
	logins.Inc(r.Outcome())
	s.noteError(r.Told, nil)
	s.login.AwaitAnswer(r)
	s.farewell(func() { s.login.Send(last.Append(nil)) })
	// Only now, so that the time that a client sees does not tell what is logged.
	s.tellRefusal(r)
	s.linger()
}

// tellRefusal logs why a login was refused.
func (s *session) tellRefusal(r *login.Refusal) {
	s.proxy.Audit().refusal(s, r)
	fields := append(s.fields(), zap.String("sqlstate", r.Told.Code), zap.String("reason", r.Told.Message))
	if r.Cause != nil {
		fields = append(fields, zap.NamedError("cause", r.Cause))
	}
	s.proxy.log.Warn("login refused", fields...)
}

// farewell has the last words sent on a connection, and says that they are the
// last.
func (s *session) farewell(send func()) {
	s.raw.SetDeadline(time.Now().Add(closeWait))
	send()
	if s.tls != nil {
		s.tls.CloseWrite()
	}
	s.raw.CloseWrite()
}

func (s *session) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// linger closes a connection whose login was refused so that the client can
// still read why: closing a socket with unread bytes in it would destroy that.
func (s *session) linger() {
	io.CopyN(io.Discard, s.raw, 1<<20)
	s.raw.Close()
}
