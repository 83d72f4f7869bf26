package proxy

import (
	"crypto/x509"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// errCertificate ends a session whose client would no longer be accepted.
var errCertificate = wire.Fatal(wire.CodeInvalidAuth, "client certificate is no longer valid").
	WithHint("It has expired or was revoked, or its CA is no longer trusted. Connect again with a valid certificate.")

// clientCert is the certificate that a session's client showed. The session's
// mu guards what is not set once.
type clientCert struct {
	listener *Listener           // set once
	name     string              // the server name that the client asked for
	shown    []*x509.Certificate // empty: none, or not yet
	expiry   expiry              // has it judged again when one of those shown expires
}

// certify notes what the client showed, and has it judged again when any of that
// expires, or at once if what it was verified by has changed meanwhile.
func (s *session) certify(o login.Opening) {
	if o.TLS == nil {
		return
	}
	state := o.TLS.ConnectionState()
	shown := state.PeerCertificates
	if len(shown) == 0 {
		return
	}
	l := s.cert.listener
	s.mu.Lock()
	s.cert.name, s.cert.shown = state.ServerName, shown
	s.mu.Unlock()
	s.awaitExpiry(shown)
	if store := l.policy.Load().Certs; store == nil || store.Load().ForServerName(state.ServerName) != o.Shown {
		l.judge([]*session{s})
	}
}

// awaitExpiry has the session judged when the next of the certificates that its
// client showed expires. It need not end by an intermediate: the listener may
// know a newer one.
func (s *session) awaitExpiry(shown []*x509.Certificate) {
	s.cert.expiry.await(func(now time.Time) (first time.Time) {
		for _, c := range shown {
			if c.NotAfter.After(now) && (first.IsZero() || c.NotAfter.Before(first)) {
				first = c.NotAfter
			}
		}
		return first
	}, func() {
		s.cert.listener.judge([]*session{s})
		s.awaitExpiry(shown)
	})
}

// recheck judges the certificates of all clients that came in by the listener,
// by what it trusts now.
func (l *Listener) recheck() {
	l.judge(slices.DeleteFunc(l.server.sessions.list(), func(s *session) bool { return s.cert.listener != l }))
	l.awaitExpiry()
}

// awaitExpiry has recheck run again when an authority or CRL of the listener
// expires, as a certificate may do without any change of a file.
func (l *Listener) awaitExpiry() {
	l.expiry.await(func(now time.Time) time.Time {
		if store := l.policy.Load().Certs; store != nil {
			return store.Load().TrustEnds(now)
		}
		return time.Time{}
	}, l.recheck)
}

// justAfter returns how long it is until more has passed since end. A time that
// lies centuries ahead, as of authorities that never expire (RFC 5280, section
// 4.1.2.5: the year 9999), must not overflow to one that is past.
func justAfter(end time.Time, more time.Duration) time.Duration {
	return min(time.Until(end), math.MaxInt64-more) + more
}

// expiry waits for the end of what is trusted, or shown. The zero value is
// ready, and any goroutine may use it.
type expiry struct {
	mu    sync.Mutex
	timer *time.Timer // nil: nothing will end
	over  bool        // await has no further effect
}

// await has judge run, on a goroutine of its own, when the moment is past that
// end returns, instead of what it waited for before. Zero stands for none.
func (e *expiry) await(end func(now time.Time) time.Time, judge func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop()
	if e.over {
		return
	}
	if at := end(time.Now()); !at.IsZero() {
		// That moment is the last in which it is still valid.
		e.timer = time.AfterFunc(justAfter(at, time.Millisecond), judge)
	}
}

// stop ends the waiting. mu is held.
func (e *expiry) stop() {
	if e.timer != nil {
		e.timer.Stop()
	}
}

// close ends the waiting for good.
func (e *expiry) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop()
	e.over = true
}

// judge ends the sessions whose certificate is no longer valid, unless they
// are to be kept.
func (l *Listener) judge(sessions []*session) {
	policy := l.policy.Load()
	if !policy.endsInvalidClients() {
		return
	}
	now := time.Now()
	type question struct {
		trust *tlsconf.Listener
		shown string
	}
	verdicts := map[question]error{} // many clients show the same certificates
	for _, s := range sessions {
		s.mu.Lock()
		name, shown := s.cert.name, s.cert.shown
		s.mu.Unlock()
		if len(shown) == 0 {
			continue
		}
		var all []byte
		for _, c := range shown {
			all = append(all, c.Raw...)
		}
		asked := question{policy.trust(name), string(all)}
		verdict, known := verdicts[asked]
		if !known {
			verdict = asked.trust.JudgeClient(shown, now)
			verdicts[asked] = verdict
		}
		if verdict != nil {
			s.distrust(verdict)
		}
	}
}

// trust returns what the certificate of a client that asked for this server name
// is judged by: nil without TLS, so no certificate is valid.
func (p *policy) trust(name string) *tlsconf.Listener {
	if p.Certs == nil {
		return nil
	}
	return p.Certs.Load().ForServerName(name)
}

// endsInvalidClients reports whether sessions are to end whose client would no
// longer be accepted.
func (p *policy) endsInvalidClients() bool {
	if p.Certs == nil {
		return p.ends
	}
	return p.Certs.Load().EndsInvalidClients()
}

// Configure gives connections from now on this TLS mode and certificate, and
// judges the clients that are there by it. store is nil if the mode is
// disable.
func (l *Listener) Configure(mode string, store *reload.Store[*tlsconf.Listener]) {
	old := l.policy.Load()
	l.policy.Store(&policy{Policy: login.Policy{Mode: mode, Certs: store}, ends: old != nil && old.endsInvalidClients()})
	if store != nil && (old == nil || old.Certs != store) {
		store.OnChange(func(*tlsconf.Listener) { l.recheck() })
	}
	l.recheck()
}
