package relay

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// kind is that of a message that the server answers.
type kind byte

const (
	query    kind = iota + 1 // Query: ends in ReadyForQuery
	call                     // FunctionCall: the same
	parse                    // Parse: ParseComplete
	bind                     // Bind: BindComplete
	describe                 // Describe: RowDescription or NoData
	execute                  // Execute: CommandComplete, EmptyQueryResponse or PortalSuspended
	closing                  // Close: CloseComplete
	syncing                  // Sync: ReadyForQuery
	copySync                 // a Sync within COPY FROM STDIN: no answer, unless the COPY has failed before it
)

// extended reports whether an error in a message of this kind has the server
// skip everything up to the next Sync.
func (k kind) extended() bool { return k >= parse && k <= closing }

// flags say whether an entry is ours, and what else has to be done about it.
type flags uint32

const (
	ours           flags = 1 << iota // the client hears nothing of the answer, but for errors
	setsUp                           // ours: sets the parameters of the session
	wishes                           // ours: and they are those of the client then
	probesState                      // ours: what the session has left
	bestEffort                       // ours: may fail without consequences
	cleans                           // ours: brings the server to rest after its client
	checksSentinel                   // ours: fails if the server has lost its statements
	marker                           // ours: tells where the answers to uncertain Syncs end
	restoreFollows                   // a restore follows: its ReadyForQuery is the answer
	restore                          // ours, but its ReadyForQuery is the client's
	rejected                         // PostgreSQL refuses what stands in its place
	unnamed                          // a Parse of the unnamed statement
	final                            // the last that is to be answered for a draft
	begun                            // the server has begun to answer it
	hasPrelude                       // a Query: entries of ours in front of it are its own, in a batch of the client's
	late                             // a Query or FunctionCall behind what was executed in its batch
	dropsPlan                        // the client had an unnamed statement when this Query was sent
)

// entry is a message that was sent and not answered yet.
type entry struct {
	kind  kind
	flags flags
	name  *names.Name // of the client's that it is about
	note  *note       // what more there is to it; nil for almost all
	plan  uint64      // the unnamed statement that a Describe is about; 0: none
}

func (e *entry) is(f flags) bool { return e.flags&f != 0 }

// inBatch reports whether an entry of ours stands in a batch of the client's.
func (e *entry) inBatch() bool {
	return e.kind.extended() && (e.kind == parse || !e.is(checksSentinel))
}

// note is what an answer means beyond that it came.
type note struct {
	draft       *draft         // the statement that a Parse makes
	copy        *prepared.Copy // the copy of a statement that ours makes
	own         string         // the client's name of a statement that it has not prepared
	changed     bool           // what the client gets: the error that the statement's columns have changed
	types       string         // and before that, of a Describe: of its parameters
	reject      *wire.Error    // the error that it gets instead
	ops         []names.Op     // what the statements of the text do to names
	over        int            // statements of the text that are over
	next        int            // of ops, which are in the order of the statements
	shifts      []shift        // where the text was rewritten
	waitingType byte           // the type of the client's message that waits for what this Sync ends; 0: none
	failed      bool           // that has failed
	values      *wire.Row      // where the columns of the one row go
}

// ledger is what the server owes, in the order in which it will answer. Most of
// the time it holds one entry or none. Push and pop allocate nothing.
type ledger struct {
	entries []entry
	head    int // entries before it are answered
	readies int // entries that end in a ReadyForQuery
	theirs  int // entries of the client
	pushed  int // entries that there were ever
}

// limit is how many messages may be unanswered. A client that pipelines more is
// not read until they are.
const limit = 4096

// keptEntries is how many entries an idle ledger keeps room for.
const keptEntries = 64

func (l *ledger) push(e entry) {
	if l.head == len(l.entries) {
		if cap(l.entries) > keptEntries {
			l.entries = nil
		}
		l.entries, l.head = l.entries[:0], 0
	} else if l.head > limit {
		n := copy(l.entries, l.entries[l.head:])
		clear(l.entries[n:])
		l.entries, l.head = l.entries[:n], 0
	}
	l.count(&e, 1)
	l.pushed++
	l.entries = append(l.entries, e)
}

func (l *ledger) count(e *entry, by int) {
	switch e.kind {
	case query, call, syncing:
		l.readies += by
	}
	if !e.is(ours) || e.is(restore) {
		l.theirs += by
	}
}

func (l *ledger) empty() bool { return l.head == len(l.entries) }
func (l *ledger) len() int    { return len(l.entries) - l.head }

// first returns the entry that the server answers now, or nil.
func (l *ledger) first() *entry {
	if l.empty() {
		return nil
	}
	return &l.entries[l.head]
}

// last returns the entry that was sent last, or nil.
func (l *ledger) last() *entry {
	if l.empty() {
		return nil
	}
	return &l.entries[len(l.entries)-1]
}

// unpush takes the last entry out.
func (l *ledger) unpush() {
	last := len(l.entries) - 1
	l.count(&l.entries[last], -1)
	l.entries = l.entries[:last]
}

// pop takes the first entry out.
func (l *ledger) pop() entry {
	e := l.entries[l.head]
	l.count(&e, -1)
	l.entries[l.head] = entry{}
	l.head++
	return e
}

// dropCopySyncs takes the Syncs within a COPY out.
func (l *ledger) dropCopySyncs() {
	kept := l.entries[:l.head]
	for _, e := range l.entries[l.head:] {
		if e.kind != copySync {
			kept = append(kept, e)
		} else {
			l.count(&e, -1)
		}
	}
	clear(l.entries[len(kept):])
	l.entries = kept
}

func (l *ledger) reset() {
	clear(l.entries)
	*l = ledger{entries: l.entries[:0], pushed: l.pushed}
	if cap(l.entries) > keptEntries {
		l.entries = nil
	}
}

// draft is what a client's Parse makes that is not answered yet.
type draft struct {
	prepared.Draft
	name   *names.Name
	parsed bool       // ParseComplete came
	values wire.Row   // of what analysis reads, if that had to be asked
	server string     // its name on the server
	ops    []names.Op // what it does to names when it runs
	made   int        // what the ledger had had when its Parse was sent
	sent   uint64     // when that was, by prepared.Now
}
