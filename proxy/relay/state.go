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

// Reasons names the bits of what keeps a client on its server.
func Reasons(why effects.Set) []string { return why.Reasons() }

// sessionState follows what a client may have left in its session. What its
// statements show is a suspicion; PostgreSQL is asked for the truth before the
// server is lent to anybody else.
type sessionState struct {
	cfg              *Config
	ex               *exchange
	params           *parameters
	probe            *stateProbe // under way, or not learnt from yet
	suspect          effects.Set // seen in statements since PostgreSQL was asked
	pins             effects.Set // what keeps the client on its server
	since            time.Time   // when that began
	preparedEffects  effects.Set // what statements of PREPARE may do when they are executed
	foreignSequences bool        // others used the server's sequences since the client did
	custom           effects.Custom
	opaque           int // what the ledger had had when a text that may do anything was sent last
	canceled         int // state probes that were canceled
}

// now returns the values that analysis reads in the session, and false if they
// are not known: something may have changed them since PostgreSQL was asked. A
// default that no server reports has no value in it.
func (s *sessionState) now() (context string, certain bool) {
	if s.suspect&effects.Analysis != 0 || s.probe != nil {
		return "", false
	}
	return s.params.analysed(), true
}

// unsure reports whether the values that analysis reads are not known, but will
// be before long. stuck says that PostgreSQL can't be asked.
func (s *sessionState) unsure(stuck bool) bool {
	if !s.cfg.Shared || s.ex.desynced || s.ex.ledger.empty() && (s.ex.status != wire.StatusIdle || s.toAsk() == 0 || stuck) {
		return false
	}
	_, certain := s.now()
	return !certain
}

// scan returns the effects of a text, as far as the session heeds them.
func (s *sessionState) scan(text []byte) effects.Set { return s.strictly(effects.Of(text)) }

// strictly takes a function that is not known to be harmless for one that may do
// anything, if the session is followed so, and an EXECUTE in session mode,
// where nobody knows what was prepared.
func (s *sessionState) strictly(seen effects.Set) effects.Set {
	if s.cfg.Policy == Strict && seen&effects.Calls != 0 || !s.cfg.Shared && seen&effects.Execute != 0 {
		seen |= effects.Opaque
	}
	return seen
}

// report takes a ParameterStatus. It returns whether the client gets it at
// once; see report of parameters.
func (s *sessionState) report(body []byte, hidden bool) (tell bool) {
	tell, news := s.params.report(body, hidden)
	if !tell || !news {
		return tell
	}
	if !s.cfg.Shared && !s.cfg.Stream && s.suspect == 0 {
		s.params.defaults = true // nothing in the session can have set it
	}
	if s.cfg.Shared && !s.ex.ledger.empty() {
		s.suspect |= effects.Settings | effects.Analysis // something set it, whether its text showed or not
	}
	return true
}

// noteEffects notes what a statement that is sent may do.
func (s *sessionState) noteEffects(seen effects.Set) {
	if seen&effects.Noted == 0 {
		return
	}
	if s.ex.server != nil && seen&(effects.Calls|effects.Unseen) != 0 {
		s.ex.server.unverified = true
	}
	if !s.cfg.Shared {
		s.pins |= seen & effects.NotResettable
		s.suspect |= seen & (effects.Settings | effects.Unseen | effects.Calls | effects.Local)
		return
	}
	if seen&effects.Seed != 0 && seen&effects.SearchPath != 0 {
		// A name that is not seen is hardly ever that of the seed. Nobody else
		// is to meet one.
		seen &^= effects.Seed
		s.ex.server.seeded, s.ex.server.params.Unlisted = true, true
	}
	if seen&effects.Prepare != 0 {
		s.preparedEffects |= seen
	}
	if seen&effects.Execute != 0 {
		seen |= s.preparedEffects
	}
	if seen&effects.Unseen != 0 {
		seen |= effects.Analysis
		s.opaque = s.ex.ledger.pushed
	}
	s.suspect |= seen &^ effects.Calls
	if s.cfg.Policy == Pin || s.cfg.Policy == Strict {
		s.pin(seen & effects.Lasting)
	}
}

// pin keeps the client on its server.
func (s *sessionState) pin(why effects.Set) {
	if s.pins == 0 && why != 0 {
		s.since = time.Now()
	}
	s.pins |= why
}

// toAsk returns what PostgreSQL has to be asked for before it is known what the
// session has left.
func (s *sessionState) toAsk() effects.Set {
	if !s.cfg.Shared {
		return 0
	}
	ask := s.suspect & (effects.Probed | effects.Carried)
	if s.suspect&effects.Unseen != 0 {
		ask |= effects.Probed | effects.Carried | effects.Opaque
	}
	if s.suspect&effects.Releases != 0 {
		ask |= s.pins & effects.Probed
	}
	if s.cfg.Policy == Ignore {
		ask &= effects.Carried
	}
	return ask
}

// rejects returns why a statement is not to be run at all, or nil.
func (s *sessionState) rejects(seen effects.Set) *wire.Error {
	if !s.cfg.Shared || s.cfg.Policy != Reject || seen.Rejected() == 0 {
		return nil
	}
	return &wire.Error{
		Severity: "ERROR", Code: wire.CodeFeatureNotSupported,
		Message: strings.Join(seen.Rejected().Reasons(), ", ") + " not supported in transaction pooling (session_state = reject)",
		Hint:    "Use a database or role with pool_mode session, or set session_state to pin.",
	}
}

// rejectedText is what PostgreSQL is sent in place of a statement that is rejected:
// it has to refuse it, so that the transaction fails as after any error.
const rejectedText = "pgseal does not run this statement"

// noteCustomNames looks in a text that may set parameters for the names of custom
// ones, which PostgreSQL has to be asked for one by one.
func (s *sessionState) noteCustomNames(seen effects.Set, text []byte) {
	if !s.cfg.Shared || seen&(effects.Carried|effects.Unseen) == 0 {
		return
	}
	if seen&(effects.Unseen|effects.Dotted) != 0 {
		s.ex.server.params.Unlisted = true
		s.custom.Note(text)
	}
}

// leavesBehind returns the query that removes what the client left in the
// session, empty for nothing, and whether something is there that none removes.
// prepares says that it has statements of PREPARE.
func (s *sessionState) leavesBehind(prepares bool) (reset string, indelibly bool) {
	if !s.cfg.Shared {
		return s.cfg.Reset, s.pins&effects.NotResettable != 0
	}
	traces := s.pins | s.toAsk()
	if prepares {
		traces |= effects.Prepare
	}
	if s.cfg.Policy == Ignore {
		traces &= effects.Carried | effects.UnknownState
	}
	switch {
	case traces != 0:
		reset = discardAll
	case s.cfg.Always:
		reset = s.cfg.Reset
	}
	return reset, traces&effects.NotResettable != 0
}
