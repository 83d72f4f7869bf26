package relay

import (
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
)

// What becomes of a session that has left something on its server: session_state
// of the configuration.
const (
	Strict = "strict" // like Pin, and PostgreSQL is asked after every function that may have left something
	Pin    = "pin"    // it keeps the server
	Reject = "reject" // the statement is refused
	Ignore = "ignore" // nothing
)

// scan returns the effects of a text, as far as the session heeds them.
func (r *Relay) scan(text []byte) effects.Set { return r.strictly(effects.Of(text)) }

// strictly takes a function that is not known to be harmless for one that may do
// anything, where the session is followed so.
func (r *Relay) strictly(seen effects.Set) effects.Set {
	if r.cfg.Policy == Strict && seen&effects.Calls != 0 {
		seen |= effects.Opaque
	}
	return seen
}

// sessionState follows what a client may have left in its session. What its
// statements show is a suspicion; PostgreSQL is asked for the truth before the
// server is lent to anybody else.
type sessionState struct {
	suspect  effects.Set // seen in statements since PostgreSQL was asked
	pins     effects.Set // what keeps the client on its server
	since    time.Time   // when that began
	within   effects.Set // what statements of PREPARE may do when they are executed
	foreign  bool        // others used the server's sequences since the client did
	custom   effects.Custom
	opaque   int // what the ledger had had when a text that may do anything was sent last
	canceled int // surveys in vain
}

// heed notes what a statement that is sent may do.
func (r *Relay) heed(seen effects.Set) {
	if seen&effects.Noted == 0 {
		return
	}
	e := &r.state
	if r.x.server != nil && seen&(effects.Calls|effects.Unseen) != 0 {
		r.x.server.unverified = true
	}
	if !r.cfg.Shared {
		if seen&effects.Execute != 0 {
			seen |= effects.Settings // what was prepared may set them
		}
		e.pins |= seen & effects.Indelible
		e.suspect |= seen & (effects.Settings | effects.Unseen | effects.Calls | effects.Local)
		return
	}
	if seen&effects.Seed != 0 && seen&effects.SearchPath != 0 {
		// A name that is not seen is hardly ever that of the seed. Nobody else
		// is to meet one.
		seen &^= effects.Seed
		r.x.server.seeded, r.x.server.params.Unlisted = true, true
	}
	if seen&effects.Prepare != 0 {
		e.within |= seen
	}
	if seen&effects.Execute != 0 {
		seen |= e.within
	}
	if seen&effects.Unseen != 0 {
		seen |= effects.Analysis
		e.opaque = r.x.ledger.pushed
	}
	e.suspect |= seen &^ effects.Calls
	if r.cfg.Policy == Pin || r.cfg.Policy == Strict {
		e.pin(seen & effects.Lasting)
	}
}

func (e *sessionState) pin(why effects.Set) {
	if e.pins == 0 && why != 0 {
		e.since = time.Now()
	}
	e.pins |= why
}

// toAsk returns what PostgreSQL has to be asked for before it is known what the
// session has left.
func (r *Relay) toAsk() effects.Set {
	e := &r.state
	if !r.cfg.Shared {
		return 0
	}
	ask := e.suspect & (effects.Surveyed | effects.Carried)
	if e.suspect&effects.Unseen != 0 {
		ask |= effects.Surveyed | effects.Carried | effects.Opaque
	}
	if e.suspect&effects.Releases != 0 {
		ask |= e.pins & effects.Surveyed
	}
	if r.cfg.Policy == Ignore {
		ask &= effects.Carried
	}
	return ask
}

// refuses returns why a statement is not to be run at all, or nil.
func (r *Relay) refuses(seen effects.Set) *wire.Error {
	if !r.cfg.Shared || r.cfg.Policy != Reject || seen.Denied() == 0 {
		return nil
	}
	return &wire.Error{
		Severity: "ERROR", Code: wire.CodeFeatureNotSupported,
		Message: strings.Join(seen.Denied().Reasons(), ", ") + " not supported in transaction pooling (session_state = reject)",
		Hint:    "Use a database or role with pool_mode session, or set session_state to pin.",
	}
}

// deniedText is what PostgreSQL is sent in place of a statement that is denied:
// it has to refuse it, so that the transaction fails as after any error.
const deniedText = "pgseal does not run this statement"

// look looks at a text that may set parameters for the names of such that
// PostgreSQL has to be asked for one by one.
func (r *Relay) look(seen effects.Set, text []byte) {
	if !r.cfg.Shared || seen&(effects.Carried|effects.Unseen) == 0 {
		return
	}
	if seen&(effects.Unseen|effects.Dotted) != 0 {
		r.x.server.params.Unlisted = true
		r.state.custom.Note(text)
	}
}

// Reasons names the bits of what keeps a client on its server.
func Reasons(why effects.Set) []string { return why.Reasons() }
