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

// abandon takes leave of the client, and sees to the server that it held:
// what runs is cancelled, what is open is rolled back, and where that can't be
// done in time the connection ends. It tells the client why, if there is a
// point between messages to do so.
func (s *session) abandon(reason error) {
	s.raw.SetWriteDeadline(time.Now().Add(closeWait)) // whoever writes to a client that does not read ends now
	s.wmu.Lock()
	s.mu.Lock()
	server, tell := s.server, s.lastWords(reason)
	if s.end == nil {
		s.end = reason
	}
	var out []byte
	var request *pool.Cancel
	orderly := true
	if server != nil {
		out, orderly = s.relay.leave(nil)
		if s.relay.running() {
			c := server.PrepareCancel()
			request = &c
		}
		s.leaveTimer = time.AfterFunc(leaveTimeout, func() { s.breakServer(server) })
	}
	s.mu.Unlock()
	if tell != nil {
		s.conn.Write(tell.Append(nil))
	}
	s.wmu.Unlock()
	if server == nil {
		return
	}
	if orderly && len(out) > 0 {
		server.Write(out)
	}
	if request != nil {
		if err := request.Send(context.Background()); err != nil {
			s.proxy.log.Warn("query could not be canceled", append(s.fields(), zap.Error(err))...)
		}
	}
	if !orderly {
		s.breakServer(server)
	}
	s.settle(server)
}

// lastWords returns what the client is told at the end, or nil where it would
// not hear it or would take it for part of something else. mu is held.
func (s *session) lastWords(reason error) *wire.Error {
	var e *wire.Error
	if s.broken || !s.relay.betweenMessages() || !errors.As(reason, &e) {
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
	last := *e // e may be shared with other sessions
	last.Severity = "FATAL"
	s.conn.Write(last.Append(nil))
	s.linger(e)
}

func (s *session) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// linger closes the connection so that the client can still read what it was
// told: closing a socket with unread bytes in it would destroy that. reason
// is why it closes; a client that left on its own account needs no patience.
func (s *session) linger(reason error) {
	var told *wire.Error
	s.raw.SetDeadline(time.Now().Add(closeWait))
	if s.tls != nil {
		s.tls.CloseWrite()
	}
	if !errors.As(reason, &told) && !errors.Is(reason, errServerSaid) {
		s.raw.Close()
		return
	}
	if c, ok := s.raw.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	io.CopyN(io.Discard, s.raw, 1<<20)
	s.raw.Close()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
