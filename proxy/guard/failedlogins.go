package guard

import (
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// recentTime is how long a login that succeeded exempts from the limits.
const recentTime = time.Hour

// Why a proof of identity was refused: Reason of a FailedProof.
const (
	WrongPassword    = "wrong_password"
	UnknownRole      = "unknown_role"
	WrongCertificate = "certificate" // it names another role
	WrongPeer        = "peer"        // the operating system user is another one
	LDAPRefused      = "ldap"        // an LDAP server refused it
)

// FailedProof is why a proof of identity was refused. It is logged, and not sent to
// the client.
type FailedProof struct {
	Reason string
	Err    error
}

func (f *FailedProof) Error() string { return f.Err.Error() }
func (f *FailedProof) Unwrap() error { return f.Err }

// What FailedLoginLimiter.Decide returns beyond the limits.
var (
	ErrSourceCapped = &FailedProof{"source_capped", errors.New("too many failed logins from this source (max_failed_logins_per_source)")}
	ErrRoleCapped   = &FailedProof{"role_capped", errors.New("too many failed logins for this role (max_failed_logins_per_role)")}
)

// Login is a role and its source. The database is part of it, since roles of the same
// name in two databases may be different, with auth_query for instance.
type Login struct {
	Source         netip.Prefix
	Role, Database string
}

// FailedLoginCounts counts, since the start, logins whose proof of identity was
// refused.
type FailedLoginCounts struct {
	// Reasons counts proofs that were wrong: wrong_password, unknown_role,
	// certificate, peer and ldap.
	Reasons map[string]uint64
	// SourceCapped and RoleCapped count proofs that were refused unchecked, because
	// too many of that source or for that role had failed.
	SourceCapped, RoleCapped uint64
}

// FailedLoginLimiter limits failed logins by source and by role. Beyond the limits all
// proofs are refused, right or wrong, except those of a role that has recently logged
// in to the same database from the same source.
type FailedLoginLimiter struct {
	mu                 sync.Mutex
	perSource, perRole int // in a minute; zero: no limit
	counts             FailedLoginCounts
	sources, roles     *failures
	succeeded          *simplelru.LRU[Login, time.Time] // when they last did
}

// NewFailedLoginLimiter returns a FailedLoginLimiter without limits.
func NewFailedLoginLimiter() *FailedLoginLimiter {
	return &FailedLoginLimiter{
		sources: newFailures(), roles: newFailures(), succeeded: newLRU[Login, time.Time](),
		counts: FailedLoginCounts{Reasons: map[string]uint64{
			WrongPassword: 0, UnknownRole: 0, WrongCertificate: 0, WrongPeer: 0, LDAPRefused: 0,
		}},
	}
}

// SetLimits changes how many logins may fail in a minute, of one source and for
// one role; zero is no limit.
func (l *FailedLoginLimiter) SetLimits(perSource, perRole int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.perSource, l.perRole = perSource, perRole
}

// Counts returns the counts as they are now.
func (l *FailedLoginLimiter) Counts() FailedLoginCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := l.counts
	counts.Reasons = maps.Clone(counts.Reasons)
	return counts
}

// Decide returns why the proof of who is refused, or nil: ErrSourceCapped or
// ErrRoleCapped beyond a limit, else failed, which is nil for a right proof. It checks
// and counts atomically, so that concurrent proofs cannot exceed a limit.
func (l *FailedLoginLimiter) Decide(who Login, failed *FailedProof) *FailedProof {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, source := time.Now(), who.Source.String()
	if !l.cameInOfLate(who, now) {
		switch {
		case l.sources.full(source, l.perSource, now):
			l.counts.SourceCapped++
			return ErrSourceCapped
		case l.roles.full(who.Role, l.perRole, now):
			l.counts.RoleCapped++
			return ErrRoleCapped
		}
	}
	if failed == nil {
		return nil
	}
	l.sources.add(source, l.perSource, now)
	l.roles.add(who.Role, l.perRole, now)
	l.counts.Reasons[failed.Reason]++
	return failed
}

// Succeeded records a successful proof, for an existing database only: made-up names
// would evict others.
func (l *FailedLoginLimiter) Succeeded(who Login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.succeeded.Add(who, time.Now())
}

func (l *FailedLoginLimiter) cameInOfLate(who Login, now time.Time) bool {
	at, kept := l.succeeded.Peek(who)
	return kept && now.Sub(at) < recentTime
}

// AnswerTime returns when to tell a client that its proof was refused: delay after its
// last message was received, so that timing reveals nothing about the checks. If those
// took longer, it is the next multiple of delay.
func AnswerTime(heard, now time.Time, delay time.Duration) time.Time {
	if delay <= 0 {
		return now
	}
	periods := max(0, now.Sub(heard)) / delay
	return heard.Add((periods + 1) * delay)
}
