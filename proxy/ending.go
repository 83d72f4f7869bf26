package proxy

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/wire"
)

// ending is what has a session end, as others ask for it. Any goroutine may use
// it.
type ending struct {
	draining   atomic.Bool // the pooler stops
	distrusted atomic.Bool // the client's certificate is no longer valid
	killed     atomic.Pointer[wire.Error]
}

// whenIdle returns why the session is to end when it is idle, or nil.
func (e *ending) whenIdle() *wire.Error {
	switch {
	case e.draining.Load():
		return errShutdown
	case e.distrusted.Load():
		return errCertificate
	}
	return nil
}

// soon returns why the session is to end, at once or when it is idle, or nil.
func (e *ending) soon() *wire.Error {
	if killed := e.killed.Load(); killed != nil {
		return killed
	}
	return e.whenIdle()
}

// leave takes leave of the client. It runs at the client's home; further calls
// do nothing.
func (s *session) leave(reason error) {
	if s.left {
		return
	}
	s.left = true
	s.link.leave(reason)
}

// wake has check run, which a login does at its end.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseReady {
		s.link.check()
	}
}

// notify makes a session that is to end notice it: a login is aborted, the console
// stopped. mu is held.
func (s *session) notify() {
	switch s.phase {
	case phaseLogin:
		s.login.BreakOff()
	case phaseConsole:
		s.console.stop()
		s.conn.raw.SetReadDeadline(time.Unix(1, 0))
	case phaseReady:
		s.link.check()
	}
}

// drain asks the session to end when it holds no transaction.
func (s *session) drain() {
	s.ends.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify()
}

// kill ends the session whatever it does; what runs for it is cancelled. It
// reports false for one that ends anyway, or whose login is not over.
func (s *session) kill() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseLogin || s.talk.ended() || !s.ends.killed.CompareAndSwap(nil, errKilled) {
		return false
	}
	s.notify()
	return true
}

// distrust has the session end as soon as it is idle, because of what is wrong
// with its client's certificate.
func (s *session) distrust(reason error) {
	known := s.ends.distrusted.Swap(true)
	s.mu.Lock()
	if s.phase != phaseLogin { // which looks at its end
		s.notify()
	}
	fields := s.conn.fields()
	s.mu.Unlock()
	if !known {
		s.proxy.log.Warn("client certificate is no longer valid",
			append(fields, zap.String("peer_subject", s.cert.shown[0].Subject.String()), zap.Error(reason))...)
	}
}

// abort ends the session at once, and the server it holds.
func (s *session) abort() {
	s.ends.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.talk.abort()
	switch s.phase {
	case phaseLogin, phaseConsole:
		s.notify()
		s.conn.raw.Close()
	default:
		s.link.conn.Close()
	}
}

// Closed implements engine.Handler: the end of the session.
func (s *session) Closed(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
		err = errClientGone
	}
	s.leave(err)
	s.mu.Lock()
	s.phase = phaseClosed
	s.mu.Unlock()
	unused, waited, all, reason := s.talk.close()
	if unused != nil {
		s.talk.pool.Release(unused)
	}
	if waited {
		s.link.logWait(&s.talk.wait.waiter, waitLeft, reason)
	}
	s.proxy.exit(s)
	s.proxy.log.Info("client disconnected", append(append(s.conn.fields(), all.fields()...),
		zap.Duration("duration", time.Since(s.conn.since)), zap.NamedError("reason", reason))...)
	s.proxy.live.Done()
}
