package pool

import (
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/wire"
)

// A Need says which servers a client can use. nil stands for its zero value:
// any server that was opened with nothing of a client's. The pool reads it while
// its client waits, so it is not changed then.
type Need struct {
	// Startup is what the client's startup packet set, sorted by name in lower
	// case, each name once. application_name, which every session is given, is
	// never in it. The list is shared and never changed.
	Startup []wire.Parameter
	// Exact: the server was opened with just these. Without it, a server that
	// was opened with some of them, or with none, does as well.
	Exact bool
	// Fresh: the server was never lent before.
	Fresh bool
	// Last is the server that the client held last, if any. It is taken where it
	// is idle and fits, unless server_round_robin is set: what the client left
	// there need not be brought about again.
	Last *Server
}

// fits reports whether a server that no client holds does. mu of its pool
// is held.
func (n *Need) fits(s *Server) bool {
	switch {
	case n == nil:
		return len(s.Startup) == 0
	case n.Fresh && s.used:
		return false
	case n.Exact:
		return slices.EqualFunc(n.Startup, s.Startup, sameParameter)
	}
	rest := n.Startup
	for _, p := range s.Startup { // both are sorted
		i := slices.IndexFunc(rest, func(q wire.Parameter) bool { return sameParameter(p, q) })
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

func sameParameter(a, b wire.Parameter) bool {
	return a.Value == b.Value && strings.EqualFold(a.Name, b.Name)
}

// strict reports whether a plain server may not do.
func (n *Need) strict() bool { return n != nil && (n.Exact || n.Fresh) }

// last returns the server that the client held last, or nil.
func (n *Need) last() *Server {
	if n == nil {
		return nil
	}
	return n.Last
}

// opens returns what a server is opened with that is opened for the need.
func (n *Need) opens() []wire.Parameter {
	if !n.strict() {
		return nil
	}
	return n.Startup
}

// special reports whether a server that may be lent was opened with what a
// client's startup packet set. It can't be lent to most others, so there is a
// bound on how many a pool has.
func (s *Server) special() bool { return len(s.Startup) > 0 }
