package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

var errLoginTimeout = wire.Fatal(wire.CodeInvalidAuth, "login took longer than client_login_timeout")

// cancel cancels the query that the session runs now, and nothing else: while
// the request is under way its server goes to nobody else. It blocks until
// PostgreSQL has got the request.
func (s *session) cancel() {
	s.mu.Lock()
	if s.waiting {
		s.mu.Unlock()
		s.stopWaiting(errCanceled)
		return
	}
	if s.server == nil || !s.relay.running() || s.cancelling {
		s.mu.Unlock()
		return
	}
	s.cancelling = true
	request := s.server.PrepareCancel()
	s.mu.Unlock()
	err := request.Send(context.Background())
	s.mu.Lock()
	s.cancelling = false
	s.mu.Unlock()
	if err != nil {
		s.proxy.log.Warn("query could not be canceled", append(s.fields(), zap.Error(err))...)
	} else {
		s.proxy.log.Info("query canceled", s.fields()...)
	}
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
	s.wmu.Lock()
	s.mu.Lock()
	if s.end == nil {
		s.end = reason
	}
	server, waiting, tell := s.server, s.waiting, s.lastWords(reason)
	s.muted = true
	var out []byte
	var request *pool.Cancel
	orderly := true
	if server != nil {
		out, orderly = s.relay.leave(nil)
		if s.relay.running() {
			c := server.PrepareCancel()
			request = &c
		}
		server.SetTimeout(leaveTimeout) // before settle, which holds mu, can take that back
	}
	s.mu.Unlock()
	if tell != nil {
		s.client.Write(tell.Append(nil), nil)
	}
	s.wmu.Unlock()
	s.client.Finish(patience(reason))
	if waiting {
		s.stopWaiting(reason)
	}
	if server != nil {
		server.FreeFrom(s.client)
		s.leaveServer(server, out, orderly, request)
	}
}

// leaveServer brings the server that a client left behind to rest.
func (s *session) leaveServer(server *pool.Server, out []byte, orderly bool, request *pool.Cancel) {
	if orderly && len(out) > 0 {
		server.Write(out, nil)
	}
	if request == nil {
		s.leftServer(server, orderly)
		return
	}
	s.proxy.cancels.Go(func() {
		if err := request.Send(context.Background()); err != nil {
			s.proxy.log.Warn("query could not be canceled", append(s.fields(), zap.Error(err))...)
		}
		s.leftServer(server, orderly)
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

// patience returns how long a client gets to read what it was told. One that
// left on its own account needs none.
func patience(reason error) time.Duration {
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
	if s.muted || !s.relay.betweenMessages() || !errors.As(reason, &e) {
		return nil
	}
	return e
}

// refuse ends a connection that did not become a session.
func (s *session) refuse(err error) {
	log := s.proxy.log
	var handshake *handshakeError
	switch {
	case errors.Is(err, errServed):
		return
	case errors.Is(err, errProbe):
		log.Debug("client left before its startup packet", s.fields()...)
		return
	case errors.As(err, &handshake):
		log.Warn("TLS handshake failed", append(s.fields(), zap.Error(handshake.err))...)
		return
	case s.isDraining():
		err = errShutdown
	case isTimeout(err):
		err = errLoginTimeout
	}
	var e *wire.Error
	if !errors.As(err, &e) {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
			log.Info("client left during login", s.fields()...)
			return
		}
		e = wire.AsError(err)
	}
	fields := append(s.fields(), zap.String("sqlstate", e.Code), zap.String("reason", e.Message))
	if e.Cause != nil {
		fields = append(fields, zap.NamedError("cause", e.Cause))
	}
	log.Warn("login refused", fields...)
	s.raw.SetDeadline(time.Now().Add(closeWait))
	e.Severity = "FATAL"
	s.conn.Write(e.Append(nil))
	s.linger()
}

func (s *session) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// linger closes a connection whose login was refused so that the client can
// still read why: closing a socket with unread bytes in it would destroy that.
func (s *session) linger() {
	s.raw.SetDeadline(time.Now().Add(closeWait))
	if s.tls != nil {
		s.tls.CloseWrite()
	}
	s.raw.CloseWrite()
	io.CopyN(io.Discard, s.raw, 1<<20)
	s.raw.Close()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
