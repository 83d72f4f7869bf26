package proxy

import (
	"errors"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/guard"
	"github.com/pgseal/pgseal/proxy/login"
)

var (
	errPassword    = &guard.FailedProof{Reason: guard.WrongPassword, Err: auth.ErrWrongPassword}
	errUnknownRole = &guard.FailedProof{Reason: guard.UnknownRole, Err: errors.New("there is no such role, or it has no password")}
	errMD5Secret   = &guard.FailedProof{Reason: guard.WrongPassword, Err: errors.New("the role has no SCRAM secret: that in users_file is md5, which a rule with the method md5 asks for")}
)

// FailedLogins returns the counts of failed logins as they are now. It may be
// called from any goroutine.
func (p *Server) FailedLogins() guard.FailedLoginCounts { return p.failedLogins.Counts() }

// decideProof counts the proof of s, which failed or, with nil, was right, and
// returns a Refusal that tells the client so, or nil where it is let in. kind is
// the reason of proofs of the kind that are wrong.
func (p *Server) decideProof(s *session, kind login.Reason, failed *guard.FailedProof, told *wire.Error) error {
	if why := p.failedLogins.Decide(s.whoLogsIn(), failed); why != nil {
		return login.RefuseProof(kind, why, told)
	}
	return nil
}

// loginSucceeded notes a client that came in by a proof to a database that there
// is.
func (p *Server) loginSucceeded(s *session) {
	if s.rule.Method != hba.Trust {
		p.failedLogins.Succeeded(s.whoLogsIn())
	}
}

func (s *session) whoLogsIn() guard.Login {
	return guard.Login{Source: guard.SourceOf(s.raw.RemoteAddr()), Role: s.user, Database: s.database}
}

// delayAnswer has a client whose proof was refused wait for its answer, unless the
// login is to end first.
func (s *session) delayAnswer(r *login.Refusal) {
	if !r.OfProof() {
		return
	}
	at := guard.AnswerTime(s.heard, time.Now(), s.proxy.settings.Load().Auth.AuthDelay)
	if at.After(s.deadline) {
		at = s.deadline
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.stop:
	}
}
