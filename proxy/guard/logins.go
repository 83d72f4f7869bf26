package guard

import (
	"net/netip"
	"sync"
)

// LoginLimiter limits the connections of each source that are not logged in yet, so
// that one of them cannot use up max_client_conn. Unix sockets
// are counted and not limited: their clients are on this machine.
type LoginLimiter struct {
	mu       sync.Mutex
	limit    int // zero: none
	bySource map[netip.Prefix]*sourceLogins
	counts   LoginCounts
}

// sourceLogins is what one source has.
type sourceLogins struct {
	running int
	refused bool // one was, since the source had no login
}

// LoginCounts counts connections that are not logged in.
type LoginCounts struct {
	// Running are at this moment between connecting and being logged in.
	Running int
	// TurnedAway were refused since the start because their address had as many
	// as the limit.
	TurnedAway uint64
}

// NewLoginLimiter returns a LoginLimiter without a limit.
func NewLoginLimiter() *LoginLimiter {
	return &LoginLimiter{bySource: map[netip.Prefix]*sourceLogins{}}
}

// SetLimit changes how many logins of one address may be in progress; zero is no limit.
// Those in progress stay.
func (l *LoginLimiter) SetLimit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = n
}

// Counts returns the counts as they are now.
func (l *LoginLimiter) Counts() LoginCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Begin counts a connection, to be followed by End, and returns true; or rejects it and
// returns false. first is set for the first rejection of a source since it had no login
// in progress: the one to log.
func (l *LoginLimiter) Begin(source netip.Prefix) (begun, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.bySource[source]
	if s == nil {
		s = &sourceLogins{}
		l.bySource[source] = s
	}
	if l.limit > 0 && source.IsValid() && s.running >= l.limit {
		l.counts.TurnedAway++
		first, s.refused = !s.refused, true
		return false, first
	}
	s.running++
	l.counts.Running++
	return true, false
}

// End ends what Begin began.
func (l *LoginLimiter) End(source netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Running--
	s := l.bySource[source]
	if s.running--; s.running == 0 {
		delete(l.bySource, source)
	}
}
