package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/ownsql"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// What the tests on the model see of the package.

// Read are the parameters whose values ownsql.ReadContext asks for, in its order.
var Read = prepared.Read[:]

// ReadQuery is ownsql.ReadContext.
var ReadQuery = ownsql.ReadContext

// Denied is what PostgreSQL is sent in place of a statement that is denied.
const Denied = rejectedText

// Leaves reports whether a text shows that it leaves something in its session
// that keeps a client on its server, as session_state = reject sees it.
func Leaves(text string) bool {
	s := &sessionState{cfg: &Config{Shared: true, Policy: Reject}}
	return s.rejects(effects.Of([]byte(text))) != nil
}

// Stays reports whether a text may leave something in its session that keeps a
// client on its server.
func Stays(text string) bool { return effects.Of([]byte(text))&effects.Pinning != 0 }

// IsSet returns what the relay takes to be set in the server's session, and
// whether it knows that there may be more.
func (s *Server) IsSet() (list []wire.Parameter, more bool) { return s.params.Set, s.params.Unlisted }

// Skipping reports whether the server waits for a Sync.
func (r *Relay) Skipping() bool { return r.ex.skipping }
