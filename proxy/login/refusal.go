package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/guard"
)

// Reason is why a login was refused.
type Reason byte

// Reasons of refusals. Those of failed proofs come first.
const (
	WrongPassword    Reason = iota
	UnknownRole             // or one without a password
	WrongCertificate        // it names another role
	WrongPeer               // the operating system user is another one
	LDAPRefused             // an LDAP server refused the password
	SourceCapped            // too many proofs failed before
	RoleCapped
	LDAPError       // no LDAP server judged the password
	ChannelBinding  // to another connection, or downgraded
	Rule            // an access rule or the listener rejects the client
	Handshake       // of TLS: the client gets an alert
	Protocol        // the client violated it, or requested something unsupported
	NoDatabase      // it does not exist
	Limit           // of clients, or of the time to wait for a server
	Timeout         // client_login_timeout
	Shutdown        // the pooler is shutting down
	Lookup          // the role's secret or groups could not be looked up
	Disabled        // the database was disabled by an administrator
	NotAdmin        // of the console
	NoServer        // no server connection could be opened
	ServerRefused   // PostgreSQL refused the login, or a startup parameter
	NoServerLogin   // there are no credentials for the server
	Internal        // a bug of the pooler
	numberOfReasons = iota
)

// Outcomes of logins, by which they are counted.
const (
	OutcomeDone          = "ok"
	OutcomeHandshake     = "tls_handshake"
	OutcomePassword      = "wrong_password"
	OutcomeRefused       = "refused" // by an access rule, a missing certificate, or for want of TLS
	OutcomeDatabase      = "no_database"
	OutcomeTooMany       = "too_many_clients"
	OutcomeNoServer      = "no_server"
	OutcomeServerRefused = "server_refused"
	OutcomeProtocol      = "protocol"
	OutcomeTimeout       = "timeout"
	OutcomeShutdown      = "shutdown"
	OutcomeClientLeft    = "client_left"
	OutcomeOther         = "other"
)

// reasons has what the audit stream and the counters call each Reason.
var reasons = [numberOfReasons]struct{ name, outcome string }{
	WrongPassword:    {guard.WrongPassword, OutcomePassword},
	UnknownRole:      {guard.UnknownRole, OutcomePassword},
	WrongCertificate: {guard.WrongCertificate, OutcomeRefused},
	WrongPeer:        {guard.WrongPeer, OutcomeRefused},
	LDAPRefused:      {guard.LDAPRefused, OutcomeRefused},
	SourceCapped:     {name: guard.ErrSourceCapped.Reason},
	RoleCapped:       {name: guard.ErrRoleCapped.Reason},
	LDAPError:        {"ldap_error", OutcomeRefused},
	ChannelBinding:   {"channel_binding", OutcomeRefused},
	Rule:             {"rule", OutcomeRefused},
	Handshake:        {"tls", OutcomeHandshake},
	Protocol:         {"protocol", OutcomeProtocol},
	NoDatabase:       {"database", OutcomeDatabase},
	Limit:            {"limit", OutcomeTooMany},
	Timeout:          {"timeout", OutcomeTimeout},
	Shutdown:         {"shutdown", OutcomeShutdown},
	Lookup:           {"lookup", OutcomeNoServer},
	Disabled:         {"disabled", OutcomeRefused},
	NotAdmin:         {"console", OutcomeRefused},
	NoServer:         {"server", OutcomeNoServer},
	ServerRefused:    {"server", OutcomeServerRefused},
	NoServerLogin:    {"server", OutcomeRefused},
	Internal:         {"internal", OutcomeOther},
}

// String returns the reason as the audit stream has it.
func (r Reason) String() string { return reasons[r].name }

// Refusal is why a client is not let in. It never changes.
type Refusal struct {
	Reason Reason
	Told   *wire.Error // what the client is told; nil if it can't be told
	Cause  error       // what only the log is told, or nil
	kind   Reason      // of a refused proof: what one of its kind is that is wrong
}

// Refuse returns a Refusal with the cause that told has.
func Refuse(reason Reason, told *wire.Error) *Refusal {
	return &Refusal{Reason: reason, Told: told, Cause: told.Cause}
}

// Why returns a copy of r with a cause.
func (r *Refusal) Why(cause error) *Refusal {
	c := *r
	c.Cause = cause
	return &c
}

// refuseProof returns the Refusal of a proof of identity; kind is the Reason of
// one that is wrong.
func refuseProof(kind Reason, why *guard.FailedProof, told *wire.Error) *Refusal {
	r := &Refusal{Reason: kind, Told: told, Cause: why, kind: kind}
	for reason := WrongPassword; reason <= RoleCapped; reason++ {
		if reason.String() == why.Reason {
			r.Reason = reason
		}
	}
	return r
}

// OfProof reports whether a proof of identity was refused, so that the time of
// the answer must tell nothing.
func (r *Refusal) OfProof() bool { return r.Reason <= RoleCapped }

// Outcome returns what the login is counted as.
func (r *Refusal) Outcome() string {
	if r.OfProof() { // one that was not heeded may have been of any kind
		return reasons[r.kind].outcome
	}
	return reasons[r.Reason].outcome
}

func (r *Refusal) Error() string {
	if r.Told == nil {
		return r.Reason.String() + ": " + r.Cause.Error()
	}
	return r.Told.Error()
}

// Violation refuses a client that breaks the protocol.
func Violation(format string, args ...any) *Refusal {
	return Refuse(Protocol, wire.Fatal(wire.CodeProtocolViolation, fmt.Sprintf(format, args...)))
}

// What ends a login whatever it is at.
var (
	ErrTimeout  = Refuse(Timeout, wire.Fatal(wire.CodeInvalidAuth, "canceling authentication due to timeout (client_login_timeout)"))
	ErrShutdown = Refuse(Shutdown, wire.Fatal(wire.CodeAdminShutdown, "terminating connection due to administrator command"))
)

// What ends a connection without a refusal.
var (
	// ErrProbe says that a peer disconnected before its startup packet, as load
	// balancers and port scanners do. It is not logged.
	ErrProbe = errors.New("client closed the connection before its startup packet")
	// ErrLeft says that a client disconnected during its login.
	ErrLeft = errors.New("client closed the connection during login")
)

// lost returns what ends the login after a read or write error. BreakOff ends reads
// by a deadline, which is not client_login_timeout.
func (l *Login) lost(err error) error {
	if isTimeout(err) && l.stopped.Err() != nil {
		return context.Cause(l.stopped)
	}
	return lost(err)
}

// lost is the same for a login that was not broken off.
func lost(err error) error {
	switch {
	case isTimeout(err):
		return ErrTimeout
	case hasLeft(err):
		return ErrLeft
	}
	return Refuse(Internal, wire.AsError(err))
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// hasEnded reports whether a connection has come to its end between messages, and
// hasLeft also within one.
func hasEnded(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func hasLeft(err error) bool { return hasEnded(err) || errors.Is(err, io.ErrUnexpectedEOF) }

// AwaitAnswer waits until the client may be told of a Refusal: if a proof was refused,
// or could not be checked by an LDAP server, the timing of the answer reveals nothing.
func (l *Login) AwaitAnswer(r *Refusal) {
	if !r.OfProof() && r.Reason != LDAPError {
		return
	}
	timer := time.NewTimer(time.Until(guard.AnswerTime(l.heard, time.Now(), l.logins.settings.Load().Auth.AuthDelay)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.stopped.Done():
	}
}
