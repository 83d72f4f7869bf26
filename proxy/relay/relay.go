package relay

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
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

	nobody string // a statement that no server has
}

// Statements are the prepared statements that sessions share; package prepared
// has them.
type Statements = prepared.Statements

// NewStatements returns a memory for statements that keeps texts of that many
// bytes.
func NewStatements(limit int64) *Statements { return prepared.NewStatements(limit) }

// Relay is one session: its client's conversation with the servers that it is
// lent one after the other. It is driven by who guards it with a lock.
type Relay struct {
	cfg      Config
	server   *Server // that is held; nil: none
	ledger   ledger
	in       incoming
	from     answering
	ex       exchange
	copy     copyIn
	names    names
	params   parameters
	state    sessionState
	survey   *survey // under way, or not learnt from yet
	life     life
	counts   Counts
	reports  bool // what the server reports has changed
	defaults bool // and so have its defaults
	out      []byte
	scanner  sqlscan.Scanner
}

// incoming is where the relay is in what the client sends.
type incoming struct {
	left   int    // bytes still to come of the current message
	do     inDo   // with them
	typ    byte   // of that message, where its text is scanned
	gather []byte // a message that does not come in one piece
	whole  bool   // gather is whole, and not taken yet
	counts int64  // what gather counts for in the budget of texts
	large  *draft // of a Parse whose text passes in pieces
	led    bool   // the Query that waits is in a batch, and something of ours was sent for it
	drop   bool   // the Query that waits was answered by the failure of what it needed
	waited int    // how often the current message has waited
	waits  bool   // the client has more to send, and waits for the server to answer
}

type inDo byte

const (
	passOn   inDo = iota
	dropIt        // they go nowhere
	gatherIt      // they are kept until the message is whole
	scanIt        // they pass, and are looked at on the way
)

// answering is where the relay is in what the server sends.
type answering struct {
	left   int    // bytes still to come of the current message
	hide   bool   // the client does not get it
	gather []byte // a message that is hidden and does not come in one piece
	last   byte   // the type of the message that was last passed to the client
}

// exchange is the state of the protocol on the server that is held.
type exchange struct {
	status   byte        // of the last ReadyForQuery
	number   uint32      // of the batch that is sent: a Sync ends one
	batch    bool        // extended-query messages were sent since the last Sync
	mixed    bool        // a Query was sent behind what was executed without a Sync: see Ours
	runs     bool        // some of those bind or execute
	helps    bool        // and some of ours between them do
	back     string      // what brings startup values back before the Sync
	skipping bool        // the server skips everything up to the next Sync, which was not sent
	stranger bool        // the server may have another client's unnamed statement
	flushed  int         // how many entries the ledger had had when a Flush of ours was sent
	unready  bool        // a Query failed by what is ours in front of it: a Sync of ours gets its ReadyForQuery
	held     bool        // nothing more may be sent before the server owes nothing
	doubt    bool        // it can't be known what the server owes: never lend it again
	portal   effects.Set // of the statement of the unnamed portal
	plan     uint64      // which is the unnamed one of that number; 0: another
	portals  effects.Set // of those of all others
	answered uint        // ReadyForQuery messages that the client got
	touched  bool        // something of the client's was sent
}

// life is where the session is in its life.
type life struct {
	trial   bool        // it only tries out its parameters
	left    bool        // the client has gone; what comes from the server goes nowhere
	leaving bool        // the client has said goodbye, and gets its answers first
	asked   bool        // the driver knows that Ours has something to send
	refused *wire.Error // why the server refused the session's parameters
	again   bool        // it was tried on a fresh server already
	cleaned bool        // the reset query was sent
	wipes   bool        // which is DISCARD ALL
	rolled  bool        // ROLLBACK was sent
	end     *wire.Error // why the session has to end
	pinned  effects.Set
}

// Counts is what a client has had done since Take.
type Counts struct {
	Queries, Transactions             uint64
	ClientParses, ServerParses, Binds uint64
}

// New returns the relay of a session whose client asked for these parameters in
// its startup packet.
func New(cfg Config, startup []wire.Parameter) *Relay {
	cfg.nobody = prepared.NewName()
	r := &Relay{cfg: cfg}
	for _, p := range startup {
		r.params.startup = params.Merge(r.params.startup, p)
		r.state.custom.Add(p.Name)
		r.params.custom = r.params.custom || strings.Contains(p.Name, ".")
	}
	r.params.wish(r.params.startup)
	return r
}

// Verdict is what a step asks of the driver beyond passing bytes on.
type Verdict int

const (
	Proceed    Verdict = iota // step again with what is left
	NeedMore                  // what is left waits for more bytes
	NeedServer                // attach a server, then step again
	NeedExact                 // the same, with one that Need describes: what is held is given back first
	NeedRest                  // what is left waits until Next says Resume
	Terminated                // the client said goodbye
	Failed                    // the step's error ends the session
)

// Step is what became of a run of bytes: used of them are done with, and Pass is
// the part of those that goes to the other side. Both start where the bytes
// given did. Insert goes there behind Pass, and is good until the next step.
type Step struct {
	Used    int
	Pass    []byte
	Insert  []byte
	Verdict Verdict
	Err     *wire.Error
	Told    []byte // the body of an ErrorResponse that is in Pass or Insert: a server's own words
	Denied  *wire.Error
}

func violation(format string, args ...any) *wire.Error {
	return wire.Fatal(wire.CodeProtocolViolation, fmt.Sprintf(format, args...))
}

// gates are the effects behind which nothing is sent before PostgreSQL has
// answered: what comes next means something else by what the answer is.
const gates = effects.CopyIn | effects.Forgets | effects.Names

// push notes a message that is sent.
func (r *Relay) push(e entry) {
	if e.kind.extended() {
		r.ex.batch = true
		if e.kind == bind || e.kind == execute {
			r.ex.runs = r.ex.runs || !e.is(ours)
			r.ex.helps = r.ex.helps || e.is(ours)
		}
	} else if e.kind != copySync {
		r.ex.batch, r.ex.runs, r.ex.helps, r.ex.back = false, false, false, ""
		r.ex.number++
	}
	r.ledger.push(e)
}

// hold has the client's next message wait until the server owes nothing.
func (r *Relay) hold() { r.ex.held = true }

// open reports whether what was held may go on.
func (r *Relay) open() bool {
	return !r.copy.torn && r.from.left == 0 && (r.ledger.empty() || r.copy.state == copying)
}

// Attach notes that a server, idle and clean, is held from now on. setup goes to
// it in front of what the client sends, tell to the client.
func (r *Relay) Attach(s *Server) (setup, tell []byte) {
	r.server = s
	r.ledger.reset()
	answered, number := r.ex.answered, r.ex.number+1
	r.ex = exchange{status: wire.StatusIdle, answered: answered, number: number}
	r.from, r.copy = answering{}, copyIn{}
	r.names.prep, r.names.changed, r.names.carrying = nil, nil, 0
	if len(r.names.portals) > 0 {
		r.names.portals = nil
	}
	r.survey = nil
	r.life.asked, r.life.cleaned, r.life.rolled = false, false, false
	if cap(r.out) > keepOut {
		r.out = nil
	}
	if r.cfg.Stream {
		r.params.tell(s.params.Reported)
		return nil, nil
	}
	r.ex.stranger = s.unnamed != 0 && s.unnamed != r.names.unnamed.number
	r.state.foreign = s.holder != r.cfg.ID
	setup, wait := r.appendSetup(nil)
	s.holder = r.cfg.ID
	switch {
	case len(setup) > 0:
		r.ex.stranger = r.ex.stranger && s.unnamed != 0
		r.ex.held = wait
		r.params.held = true
	case !r.life.trial && !r.knowsAll():
		tell = r.catchUp(nil)
	}
	return setup, tell
}

// keepOut is how large a buffer a session keeps for what it rewrites.
const keepOut = 4 << 10

// Detach notes that the server was given back, or is lost.
func (r *Relay) Detach() {
	if r.server == nil {
		return
	}
	for !r.ledger.empty() {
		e := r.ledger.pop()
		r.skip(&e)
	}
	if r.cfg.Shared && r.names.sqls > 0 {
		for _, nm := range r.names.byName {
			if nm.sql { // it was there and nowhere else
				r.clear(nm)
			}
		}
	}
	r.ex.held, r.ex.skipping, r.ex.batch, r.copy.state = false, false, false, noCopy
	r.server = nil
}

// Held reports whether a server is held.
func (r *Relay) Held() bool { return r.server != nil }

// Close lets go of what the session has of memory that is shared. The server
// that its client left may still come to rest.
func (r *Relay) Close() {
	r.life.left = true
	r.dropGather()
	r.forgetNames(r.ledger.pushed)
}

// Told returns the parameters of the session that the client was told of. The
// list is never changed.
func (r *Relay) Told() []wire.Parameter { return r.params.told }

// Greet takes what a server that lives reports for what the client is told when
// it is let in.
func (r *Relay) Greet(reported []wire.Parameter) {
	for _, p := range r.params.startup {
		if i := params.FindFold(reported, p.Name); i >= 0 && reported[i].Value != p.Value {
			reported = params.Replace(reported, wire.Parameter{Name: reported[i].Name, Value: p.Value})
		}
	}
	r.params.tell(reported)
	r.seeSearchPath()
}

// Try has the session only try out its parameters on the next server.
func (r *Relay) Try() { r.life.trial = true }

// Asks reports whether the client asked for parameters that only a server can
// judge.
func (r *Relay) Asks() bool {
	for _, p := range r.params.startup {
		if !strings.EqualFold(p.Name, params.ApplicationName) {
			return true
		}
	}
	return false
}

// Need says whether the client can use only a server that was opened with its
// startup values, and only one that nobody was lent.
func (r *Relay) Need() (exact, fresh bool) { return r.needsExact(), r.life.again }

// Tries reports whether the parameters are still to be tried out.
func (r *Relay) Tries() bool { return r.life.trial }

// Left reports whether the client has gone.
func (r *Relay) Left() bool { return r.life.left }

// Leaving reports whether the client has said goodbye and gets its answers first.
func (r *Relay) Leaving() bool { return r.life.leaving }

// PinnedSince returns when the client began to keep its server.
func (r *Relay) PinnedSince() time.Time { return r.state.since }

// ServerPrepared returns how many prepared statements the server has that is
// held.
func (r *Relay) ServerPrepared() int {
	if r.server == nil {
		return 0
	}
	return r.server.Prepared()
}

// DropGathered drops a message that was gathered and not sent, all but its last
// byte, which was not used, and returns its type.
func (r *Relay) DropGathered() (typ byte, gathered bool) {
	if !r.in.whole {
		return 0, false
	}
	typ = r.in.gather[0]
	r.dropGather()
	return typ, true
}

func (r *Relay) needsExact() bool {
	return (r.params.exact || !r.cfg.Shared) && r.Asks()
}

// Reported returns what the server that is held reports, and true where it has
// changed since the last call.
func (r *Relay) Reported() (list []wire.Parameter, changed bool) {
	if !r.reports || r.server == nil {
		return nil, false
	}
	r.reports = false
	return r.server.params.Reported, true
}

// Status returns the transaction status of the server that is held.
func (r *Relay) Status() byte { return r.ex.status }

// Answered counts the ReadyForQuery messages that the client got.
func (r *Relay) Answered() uint { return r.ex.answered }

// Names returns how many prepared statements the client has.
func (r *Relay) Names() int { return len(r.names.byName) }

// TakeCounts returns what was counted since the last call.
func (r *Relay) TakeCounts() Counts {
	c := r.counts
	r.counts = Counts{}
	return c
}

// Finished returns how many queries and transactions have come to their end since
// TakeCounts.
func (r *Relay) Finished() (queries, transactions uint64) {
	return r.counts.Queries, r.counts.Transactions
}
