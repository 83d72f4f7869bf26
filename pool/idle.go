package pool

import (
	"slices"
	"time"
)

// idleServers are the servers that no client holds, the one that was used last at the
// end. mu of the pool guards them.
type idleServers []*Server

func (l *idleServers) add(s *Server, now time.Time) {
	s.idleSince = now
	*l = append(*l, s)
}

// remove takes the i-th.
func (l *idleServers) remove(i int) *Server {
	s := (*l)[i]
	*l = slices.Delete(*l, i, i+1)
	s.idleSince = time.Time{}
	return s
}

// choose returns the place of the server that was used last of those that do, or
// with server_round_robin of that which was used first; -1 for none. Without it,
// last, which is of the same pool, comes before all, unless it has to be asked
// first.
func (l idleServers) choose(last *Server, does func(*Server) bool, b *bounds, now time.Time) int {
	if b.spec.Defaults.ServerRoundRobin {
		return slices.IndexFunc(l, does)
	}
	if last != nil && !last.idleSince.IsZero() && does(last) && !b.stale(last, now) {
		return slices.Index(l, last)
	}
	for i, s := range slices.Backward(l) {
		if does(s) {
			return i
		}
	}
	return -1
}

// longest returns the place of the server that was idle for the longest time of
// those that may end; -1 for none.
func (l idleServers) longest(may func(*Server) bool) int {
	longest := -1
	for i, s := range l {
		if may(s) && (longest < 0 || s.idleSince.Before(l[longest].idleSince)) {
			longest = i
		}
	}
	return longest
}

func anyServer(*Server) bool { return true }
