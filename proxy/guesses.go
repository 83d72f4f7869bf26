package proxy

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/auth/hba"
	"github.com/pgseal/pgseal/internal/wire"
)

// Why a proof of identity was refused: reasons of a failedProof, and keys of
// FailedLogins.
const (
	reasonPassword     = "wrong_password"
	reasonUnknownRole  = "unknown_role"
	reasonCertificate  = "certificate" // it names somebody else
	reasonPeer         = "peer"        // the system's user is somebody else
	reasonLDAP         = "ldap"        // an LDAP server refused it
	reasonSourceCapped = "source_capped"
	reasonRoleCapped   = "role_capped"
)

// failedProof is the cause of a refusal that could be the answer to a guess.
// The log is told of it, the client is not.
type failedProof struct {
	reason string
	err    error
}

func (f *failedProof) Error() string { return f.err.Error() }
func (f *failedProof) Unwrap() error { return f.err }

var (
	errPassword     = &failedProof{reasonPassword, auth.ErrWrongPassword}
	errUnknownRole  = &failedProof{reasonUnknownRole, errors.New("there is no such role, or it has no password")}
	errMD5Secret    = &failedProof{reasonPassword, errors.New("the role has no SCRAM secret: that in users_file is md5, which a rule with the method md5 asks for")}
	errSourceCapped = &failedProof{reasonSourceCapped, errors.New("too many logins of this source failed (max_failed_logins_per_source)")}
	errRoleCapped   = &failedProof{reasonRoleCapped, errors.New("too many logins as this role failed (max_failed_logins_per_role)")}
)

// FailedLogins counts, since the start, logins whose proof of identity was
// refused.
type FailedLogins struct {
	// Reasons counts proofs that were wrong: wrong_password, unknown_role,
	// certificate, peer and ldap.
	Reasons map[string]uint64
	// SourceCapped and RoleCapped count proofs, right or wrong, that were not
	// heeded, because too many of that source or for that role had been wrong.
	SourceCapped, RoleCapped uint64
}

// FailedLogins returns the counts as they are now. It may be called from any
// goroutine.
func (p *Server) FailedLogins() FailedLogins {
	p.guesses.mu.Lock()
	defer p.guesses.mu.Unlock()
	counts := p.guesses.counts
	counts.Reasons = maps.Clone(counts.Reasons)
	return counts
}

// verdict returns what the client of s is told of its proof, which failed or,
// with nil, was right: refusal or nothing. Beyond the limits for failures
// nobody learns whether a proof was right, except who came in as the same role
// to the same database from the same source of late.
func (p *Server) verdict(s *session, failed *failedProof, refusal *wire.Error) error {
	if why := p.guesses.judge(login{sourceOf(s.raw), s.user, s.database}, failed, p.settings.Load().Auth); why != nil {
		return refusal.WithCause(why)
	}
	return nil
}

// guesses counts failed logins by source and by role.
type guesses struct {
	mu      sync.Mutex
	counts  FailedLogins
	sources *sketch
	roles   *sketch
	good    recent
}

func newGuesses() *guesses {
	return &guesses{sources: newSketch(), roles: newSketch(), counts: FailedLogins{Reasons: map[string]uint64{
		reasonPassword: 0, reasonUnknownRole: 0, reasonCertificate: 0, reasonPeer: 0, reasonLDAP: 0,
	}}}
}

// judge returns why a proof is refused: failed, which it counts, or too many
// failures before. It decides and counts at once, so that a thousand proofs
// that come together are not a thousand guesses.
func (g *guesses) judge(who login, failed *failedProof, c AuthConfig) *failedProof {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, name := time.Now(), who.source.String()
	if !g.good.has(who, now) {
		switch {
		case g.sources.full(name, c.MaxFailedPerSource, now):
			g.counts.SourceCapped++
			return errSourceCapped
		case g.roles.full(who.role, c.MaxFailedPerRole, now):
			g.counts.RoleCapped++
			return errRoleCapped
		}
	}
	if failed == nil {
		return nil
	}
	g.sources.add(name, c.MaxFailedPerSource, now)
	g.roles.add(who.role, c.MaxFailedPerRole, now)
	g.counts.Reasons[failed.reason]++
	return failed
}

// remember notes a client that came in by a proof to a database that there is:
// names that somebody makes up would push out others.
func (p *Server) remember(s *session) {
	if s.rule.Method != hba.Trust {
		p.guesses.succeeded(login{sourceOf(s.raw), s.user, s.database})
	}
}

// succeeded notes that somebody came in by a proof.
func (g *guesses) succeeded(who login) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.good.add(who, time.Now())
}

// answerAt returns when a client is told that its proof was refused: delay
// after its last message came, so that the time tells nothing of what was done
// meanwhile. Where that took longer, it is the next multiple of delay.
func answerAt(heard, now time.Time, delay time.Duration) time.Time {
	if delay <= 0 {
		return now
	}
	periods := max(0, now.Sub(heard)) / delay
	return heard.Add((periods + 1) * delay)
}

// pause has a client whose proof was refused wait for its answer, unless the
// login is to end first.
func (s *session) pause(err error) {
	var failed *failedProof
	if !errors.As(err, &failed) {
		return
	}
	at := answerAt(s.heard, time.Now(), s.proxy.settings.Load().Auth.AuthDelay)
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
