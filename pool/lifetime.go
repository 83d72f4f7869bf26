package pool

import (
	"math/rand/v2"
	"time"
)

// reasonToClose returns why a server that is held by no client has to end now, or
// nothing.
// If that is to make way for a new one it is counted, so the caller must end it.
func (p *policy) reasonToClose(s *Server, now time.Time) (why string) {
	why = p.reasonNotToLend(s, now)
	if why != "" || s.origin.epoch.trust == p.db.trust.Load() && !s.outdated || !p.rotate(s, now) {
		return why
	}
	if s.outdated {
		return ClosedSettings
	}
	return ClosedTrust
}

// reasonNotToLend returns why a server may not be lent again, or nothing.
func (p *policy) reasonNotToLend(s *Server, now time.Time) (why string) {
	switch {
	case s.dedicated:
		return ClosedDedicated
	case !s.usable():
		return s.closeReason()
	case p.closed != nil:
		return ClosedPool
	case p.db.paused.on():
		return ClosedPaused
	case s.origin.epoch.settings != p.db.settings.Load():
		return ClosedSettings
	case s.origin.expired(now):
		return ClosedLifetime
	}
	return ""
}

// sweep ends the idle servers that are dead, too old, idle for too long or of
// old settings.
func (p *policy) sweep() {
	spec := p.db.spec.Load()
	idleFor, least := spec.Defaults.ServerIdleTimeout, spec.least(p.user)
	now := time.Now()
	all := p.idle
	p.idle = p.idle[:0]
	for _, s := range all {
		why := p.reasonToClose(s, now)
		switch {
		case why != "":
		case idleFor > 0 && now.Sub(s.idleSince) >= idleFor && (s.special() || p.places.plainLeft() > least):
			why = ClosedIdle
		case p.places.surplus(p.bounds()) || p.places.wantedElsewhere() && !p.queue.wants(s):
			why = ClosedLimit
		}
		if why != "" {
			s.idleSince = time.Time{}
			p.end(s, why)
			continue
		}
		p.idle = append(p.idle, s)
	}
	clear(all[len(p.idle):])
	p.tryAgain()
}

// sweep ends the idle servers that have to end.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.unlock()
	p.policy.sweep()
}

// expiry spreads the ends of servers that began together over the last tenth
// of their lifetime, so that they do not all reconnect at once.
func expiry(created time.Time, lifetime time.Duration) time.Time {
	if lifetime == 0 {
		return time.Time{}
	}
	return created.Add(lifetime - time.Duration(rand.Float64()*float64(lifetime)/10))
}

func (s *Spec) lifetime() time.Duration {
	return own(s.DatabaseLimits.ServerLifetime, s.Defaults.ServerLifetime)
}

// stale reports whether a server was idle for so long that it is asked by
// server_check_query before it is lent again. That finds connections that died
// without a word, which the engine can't notice.
func (b *bounds) stale(s *Server, now time.Time) bool {
	return b.checks && now.Sub(s.idleSince) >= b.checkAfter
}
