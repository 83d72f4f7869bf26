package relay

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/params"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// Config is what holds for a session as long as it lives.
type Config struct {
	ID         uint64 // of the session, which no other has
	User       string // the role that its servers log in as
	Shared     bool   // it changes servers between transactions; else it keeps one until its client leaves
	Single     bool   // a transaction block ends it
	Stream     bool   // a replication connection: its server is its own, and never another's
	Policy     string // Strict, Pin, Reject or Ignore
	Reset      string // the query between two sessions; empty: none
	Always     bool   // it is run between any two clients
	MaxCopies  int    // prepared statements that a server may have
	Statements *Statements

	absentName string // a statement that no server has
}

// Statements are the prepared statements that sessions share; package prepared
// has them.
type Statements = prepared.Statements

// NewStatements returns a memory for statements that keeps texts of that many
// bytes.
func NewStatements(limit int64) *Statements { return prepared.NewStatements(limit) }

// Relay is one session: its client's conversation with the servers that it is
// lent one after the other. Its caller guards it with a lock.
type Relay struct {
	cfg      Config
	ex       exchange
	in       incoming
	requests requests
	from     answers
	stmts    statements
	params   parameters
	state    sessionState
	life     life
}

// life is where the session is in its life.
type life struct {
	trial       bool        // it only tries out its parameters
	left        bool        // the client has gone; what comes from the server goes nowhere
	leaving     bool        // the client has sent Terminate, and gets its answers first
	asked       bool        // the driver knows that Ours has something to send
	refused     *wire.Error // why the server refused the session's parameters
	retried     bool        // it was tried on a fresh server already
	cleaned     bool        // the reset query was sent
	discardsAll bool        // which is DISCARD ALL
	rolledBack  bool        // ROLLBACK was sent
	end         *wire.Error // why the session has to end
	pinned      effects.Set
}

// Counts is what a client has had done since Take.
type Counts struct {
	Queries, Transactions             uint64
	ClientParses, ServerParses, Binds uint64
}

// New returns the relay of a session whose client asked for these parameters in
// its startup packet.
func New(cfg Config, startup []wire.Parameter) *Relay {
	cfg.absentName = prepared.NewName()
	r := &Relay{cfg: cfg}
	r.ex = exchange{cfg: &r.cfg}
	r.params = parameters{cfg: &r.cfg, ex: &r.ex}
	r.state = sessionState{cfg: &r.cfg, ex: &r.ex, params: &r.params}
	r.stmts = statements{cfg: &r.cfg, ex: &r.ex, state: &r.state, life: &r.life, names: names.New(cfg.Statements, cfg.User)}
	r.requests = requests{cfg: &r.cfg, ex: &r.ex, params: &r.params, state: &r.state, stmts: &r.stmts, life: &r.life}
	r.in = incoming{cfg: &r.cfg, ex: &r.ex, params: &r.params, state: &r.state, stmts: &r.stmts, life: &r.life, requests: &r.requests}
	r.from = answers{cfg: &r.cfg, ex: &r.ex, params: &r.params, state: &r.state, stmts: &r.stmts, life: &r.life}
	for _, p := range startup {
		r.params.startup = params.Merge(r.params.startup, p)
		r.state.custom.Add(p.Name)
		r.params.custom = r.params.custom || strings.Contains(p.Name, ".")
	}
	r.params.wish(r.params.startup)
	return r
}

// wake reports whether the driver has to be notified that Ours has something to
// send; it is notified once.
func (l *life) wake() bool {
	first := !l.asked
	l.asked = true
	return first
}

// Verdict is what a step asks of the driver beyond passing bytes on.
type Verdict int

const (
	Proceed    Verdict = iota // step again with what is left
	NeedMore                  // what is left waits for more bytes
	NeedServer                // attach a server, then step again
	NeedExact                 // the same, with one that Need describes: what is held is given back first
	NeedRest                  // what is left waits until Next says Resume
	Terminated                // the client sent Terminate
	Failed                    // the step's error ends the session
)

// Step is what became of a run of bytes: used of them are done with, and Pass is
// the part of those that goes to the other side. Both start where the bytes
// given did. Insert goes there behind Pass, and is good until the next step.
type Step struct {
	Used      int
	Pass      []byte
	Insert    []byte
	Verdict   Verdict
	Err       *wire.Error
	ErrorBody []byte // the body of an ErrorResponse that is in Pass or Insert: a server's own words
	Rejected  *wire.Error
}

func violation(format string, args ...any) *wire.Error {
	return wire.Fatal(wire.CodeProtocolViolation, fmt.Sprintf(format, args...))
}

// Attach notes that a server, idle and clean, is held from now on. setup goes to
// it in front of what the client sends, tell to the client.
func (r *Relay) Attach(s *Server) (setup, tell []byte) {
	r.ex.attach(s)
	r.from.attach()
	r.stmts.attach()
	r.state.probe = nil
	r.life.asked, r.life.cleaned, r.life.rolledBack = false, false, false
	if r.cfg.Stream {
		r.params.setReported(s.params.Reported)
		return nil, nil
	}
	r.ex.foreignUnnamed = s.unnamed != 0 && s.unnamed != r.stmts.unnamed.now.number
	r.state.foreignSequences = s.holder != r.cfg.ID
	setup, wait := r.params.appendSetup(nil, r.stmts.names.Len() > 0)
	s.holder = r.cfg.ID
	switch {
	case len(setup) > 0:
		r.ex.foreignUnnamed = r.ex.foreignUnnamed && s.unnamed != 0
		r.ex.blocked = wait
		r.params.withheld = true
	case !r.life.trial && !r.params.alignReported():
		tell = r.params.catchUp(nil)
	}
	return setup, tell
}

// Detach notes that the server was given back, or is lost.
func (r *Relay) Detach() {
	if r.ex.server == nil {
		return
	}
	r.stmts.detach()
	r.ex.detach()
}

// Held reports whether a server is held.
func (r *Relay) Held() bool { return r.ex.server != nil }

// Close frees what the session has of memory that is shared. The server
// that its client left may still come to rest.
func (r *Relay) Close() {
	r.life.left = true
	r.in.dropGather()
	r.stmts.names.Forget(r.ex.ledger.pushed)
}

// ClientReported returns the parameters that were reported to the client. The list
// is never changed.
func (r *Relay) ClientReported() []wire.Parameter { return r.params.reported }

// Greet takes what a live server reports for what is reported to the client at
// login.
func (r *Relay) Greet(reported []wire.Parameter) {
	r.params.greet(reported)
	r.state.checkSearchPath()
}

// Try has the session only try out its parameters on the next server.
func (r *Relay) Try() { r.life.trial = true }

// Asks reports whether the client asked for parameters that only a server can
// judge.
func (r *Relay) Asks() bool { return r.params.asks() }

// Need says whether the client can use only a server that was opened with its
// startup values, and only one that was never lent.
func (r *Relay) Need() (exact, fresh bool) { return r.params.needsExact(), r.life.retried }

// Trying reports whether the parameters are still to be tried out.
func (r *Relay) Trying() bool { return r.life.trial }

// Left reports whether the client has gone.
func (r *Relay) Left() bool { return r.life.left }

// Leaving reports whether the client has sent Terminate and gets its answers first.
func (r *Relay) Leaving() bool { return r.life.leaving }

// PinnedSince returns when the client began to keep its server.
func (r *Relay) PinnedSince() time.Time { return r.state.since }

// ServerPrepared returns how many prepared statements the server has that is
// held.
func (r *Relay) ServerPrepared() int {
	if r.ex.server == nil {
		return 0
	}
	return r.ex.server.Prepared()
}

// DropGathered drops a message that was gathered and not sent, all but its last
// byte, which was not used, and returns its type.
func (r *Relay) DropGathered() (typ byte, gathered bool) {
	if !r.in.whole {
		return 0, false
	}
	typ = r.in.gather[0]
	r.in.dropGather()
	return typ, true
}

// ServerReported returns what the server that is held reports, and true if it has
// changed since the last call.
func (r *Relay) ServerReported() (list []wire.Parameter, changed bool) {
	if !r.params.reports || r.ex.server == nil {
		return nil, false
	}
	r.params.reports = false
	return r.ex.server.params.Reported, true
}

// Status returns the transaction status of the server that is held.
func (r *Relay) Status() byte { return r.ex.status }

// Answered counts the ReadyForQuery messages that the client got.
func (r *Relay) Answered() uint { return r.ex.answered }

// Names returns how many prepared statements the client has.
func (r *Relay) Names() int { return r.stmts.names.Len() }

// TakeCounts returns what was counted since the last call.
func (r *Relay) TakeCounts() Counts {
	c := r.ex.counts
	r.ex.counts = Counts{}
	return c
}

// Finished returns how many queries and transactions have come to their end since
// TakeCounts.
func (r *Relay) Finished() (queries, transactions uint64) {
	return r.ex.counts.Queries, r.ex.counts.Transactions
}

// FromClient takes bytes that the client sent. Everything up to where the driver
// has to act goes on in one piece.
func (r *Relay) FromClient(b []byte) Step { return r.in.step(b) }

// FromServer takes bytes that the server sent.
func (r *Relay) FromServer(b []byte) Step { return r.from.step(b) }
