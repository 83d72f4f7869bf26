package login

import (
	"errors"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/guard"
)

var (
	errPassword    = &guard.FailedProof{Reason: guard.WrongPassword, Err: auth.ErrWrongPassword}
	errUnknownRole = &guard.FailedProof{Reason: guard.UnknownRole, Err: errors.New("role does not exist or has no password assigned")}
	errMD5Secret   = &guard.FailedProof{Reason: guard.WrongPassword, Err: errors.New("role does not have a valid SCRAM secret: the one in users_file is md5, which needs a rule with method md5")}
)

// decideProof counts the client's proof, which failed or, with nil, was right, and
// returns a Refusal that tells the client so, or nil if it is let in. kind is
// the reason of proofs of the kind that are wrong.
func (l *Login) decideProof(kind Reason, failed *guard.FailedProof, told *wire.Error) error {
	if why := l.logins.failed.Decide(l.who(), failed); why != nil {
		return refuseProof(kind, why, told)
	}
	return nil
}

// Succeeded notes that the client came in by a proof to a database that there is.
func (l *Login) Succeeded() {
	if l.rule.Method != hba.Trust || l.rule.ClientCert == hba.VerifyFull {
		l.logins.failed.Succeeded(l.who())
	}
}

func (l *Login) who() guard.Login {
	return guard.Login{Source: guard.SourceOf(l.raw.RemoteAddr()), Role: l.user, Database: l.database}
}

// wrongSecret is wrongPassword for a proof by SCRAM.
func wrongSecret(right, known, md5 bool) *guard.FailedProof {
	if known && md5 {
		return errMD5Secret
	}
	return wrongPassword(right, known)
}

// wrongPassword says what was wrong with a password's proof: nil if nothing.
func wrongPassword(right, known bool) *guard.FailedProof {
	switch {
	case !known:
		return errUnknownRole
	case !right:
		return errPassword
	}
	return nil
}
