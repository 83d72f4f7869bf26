package names

import (
	"iter"
	"maps"

	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// Names are the prepared statements of a session, of the protocol and of SQL's
// PREPARE alike, under the names that its client gives them. No such name
// reaches a server.
type Names struct {
	memory  *prepared.Statements // of their texts
	role    string               // that their budget belongs to
	byName  map[string]*Name
	held    int64  // what the texts count for
	sqls    int    // names made by PREPARE
	bound   int    // names whose statement can't be had on another server
	changes uint64 // counts what may change what a name stands for
}

// Name is one of a client's names.
type Name struct {
	Own       string              // at most MaxName bytes
	Statement *prepared.Statement // what it stands for, once confirmed
	Server    string              // the statement on the server that is held, while open is not zero, or if sql is set
	Open      int                 // entries of the ledger that may change what it stands for
	May       effects.Set         // of all that it may stand for while open is not zero
	Leaving   bool                // a Close of it is not answered
	SQL       bool                // made by PREPARE: it lives on the server that is held
	Making    string              // its name on the server while it is being made there, since it names others
	Made      int                 // what the ledger had had when it was prepared
	Sent      uint64              // when its Parse was sent, by prepared.Now
	Since     uint64              // and when it was answered
	Kept      bool                // it counts among the users of the statement's text
	Bound     bool                // it can't be had on another server
	Ops       []Op                // what it does to names when it runs
}

// MaxName is how many bytes of a statement's name PostgreSQL looks at:
// NAMEDATALEN less one.
const MaxName = 63

// Shorten returns what counts of a name.
func Shorten(name []byte) []byte { return name[:min(len(name), MaxName)] }

// New returns those of a session that has none yet. Its texts count against the
// budget of a role in memory.
func New(memory *prepared.Statements, role string) Names { return Names{memory: memory, role: role} }

// Len returns how many there are.
func (n *Names) Len() int { return len(n.byName) }

// All returns all of them, in no order.
func (n *Names) All() iter.Seq2[string, *Name] { return maps.All(n.byName) }

// BySQL returns how many were made by PREPARE.
func (n *Names) BySQL() int { return n.sqls }

// Bound returns how many stand for a statement that can't be had on another
// server.
func (n *Names) Bound() int { return n.bound }

// Held returns for how much the texts count.
func (n *Names) Held() int64 { return n.held }

// Changes counts what may change what a name stands for.
func (n *Names) Changes() uint64 { return n.changes }

// LookUp returns a client's name, or nil.
func (n *Names) LookUp(own []byte) *Name { return n.byName[string(Shorten(own))] }

// Get returns the name that is spelled so, or nil.
func (n *Names) Get(own string) *Name { return n.byName[own] }

// Stands reports whether a name stands for something, or may.
func (n *Name) Stands() bool { return n != nil && (n.Statement != nil || n.SQL || n.Open > 0) }

// Effects are those of whatever the name may stand for.
func (n *Name) Effects() effects.Set {
	if n == nil {
		return 0
	}
	seen := n.May
	if n.Statement != nil {
		seen |= n.Statement.Effects
	}
	return seen
}

// Enter returns a client's name, known from now on.
func (n *Names) Enter(own string) *Name {
	own = string(Shorten([]byte(own)))
	if known := n.byName[own]; known != nil {
		return known
	}
	if n.byName == nil {
		n.byName = map[string]*Name{}
	}
	known := &Name{Own: own}
	n.byName[own] = known
	return known
}

// Op is what a statement of a text does to a name once it is complete.
type Op struct {
	Statement int // its place in the text
	Own       string
	Verb      effects.Set // Prepare, Deallocate or Execute
	Server    string      // what the name is on the server
	Changed   bool        // that is one that no server has, since the statement's columns have changed
}

// MaxDepth is how many statements may execute each other.
const MaxDepth = 100

// Reach calls visit for each op and, behind one that executes a statement, for
// those of that. It follows MaxDepth of them at most: where each executes two
// others, there is no end to them.
func (n *Names) Reach(ops []Op, visit func(op *Op)) {
	left := MaxDepth
	n.reachOn(ops, &left, visit)
}

func (n *Names) reachOn(ops []Op, left *int, visit func(op *Op)) {
	for i := range ops {
		op := &ops[i]
		visit(op)
		if op.Verb != effects.Execute || *left == 0 {
			continue
		}
		if nm := n.byName[op.Own]; nm != nil {
			*left--
			n.reachOn(nm.Ops, left, visit)
		}
	}
}

// NamedBy returns the client's name that stands for one of a server's in
// statements, or in those that they execute.
func (n *Names) NamedBy(ops []Op, server string) (own string, ok bool) {
	n.Reach(ops, func(op *Op) {
		if !ok && op.Server == server {
			own, ok = op.Own, true
		}
	})
	return own, ok
}

// Await notes that so many more entries of the ledger may change what a name
// stands for.
func (n *Names) Await(nm *Name, entries int) {
	n.changes++
	nm.Open += entries
}

// Bind notes that what a name stands for can't be had on another server.
func (n *Names) Bind(nm *Name) {
	nm.Bound = true
	n.bound++
}

// Settle notes that one of those was answered, and forgets the name if it
// stands for nothing.
func (n *Names) Settle(nm *Name) {
	n.changes++
	if nm.Open--; nm.Open > 0 {
		return
	}
	nm.May, nm.Leaving = 0, false
	n.Drop(nm)
}

// Drop forgets a name that stands for nothing.
func (n *Names) Drop(nm *Name) {
	if !nm.Stands() {
		delete(n.byName, nm.Own)
	}
}

// Clear makes a name stand for nothing.
func (n *Names) Clear(nm *Name) {
	n.changes++
	if nm.Statement != nil {
		if nm.Kept {
			n.held -= prepared.Size(nm.Statement.Text())
			n.memory.Leave(nm.Statement)
		}
		nm.Statement, nm.Kept = nil, false
	}
	if nm.Bound {
		nm.Bound = false
		n.bound--
	}
	n.MadeBySQL(nm, false)
	if nm.Open == 0 {
		delete(n.byName, nm.Own)
	}
}

// MadeBySQL notes whether a name was made by PREPARE.
func (n *Names) MadeBySQL(nm *Name, is bool) {
	n.changes++
	switch {
	case is && !nm.SQL:
		n.sqls++
	case !is && nm.SQL:
		n.sqls--
	}
	nm.SQL = is
}

// Forget notes that the session no longer has any prepared statements but
// those that were made behind the message before which the ledger had had so
// many.
func (n *Names) Forget(before int) {
	for _, nm := range n.byName {
		if nm.Made <= before {
			n.Clear(nm)
		}
	}
}

// Reserve counts that many bytes of text, if there is room for them.
func (n *Names) Reserve(bytes int64) bool {
	if !n.memory.Reserve(n.role, n.held, bytes) {
		return false
	}
	n.held += bytes
	return true
}

// Free undoes Reserve.
func (n *Names) Free(bytes int64) {
	n.held -= bytes
	n.memory.Free(n.role, bytes)
}

// LeaveServer forgets the names that were made by PREPARE: their statements were
// on the server that was held and nowhere else.
func (n *Names) LeaveServer() {
	if n.sqls == 0 {
		return
	}
	for _, nm := range n.byName {
		if nm.SQL {
			n.Clear(nm)
		}
	}
}
