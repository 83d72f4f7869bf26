package relay

import (
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// names are the prepared statements of a session, of the protocol and of SQL's
// PREPARE alike, under the names that its client gives them. No such name
// reaches a server.
type names struct {
	cfg     *Config
	byName  map[string]*name
	held    int64  // what the texts count for
	sqls    int    // names made by PREPARE
	bound   int    // names whose statement can't be had on another server
	changes uint64 // counts what may change what a name stands for
}

// name is one of a client's names.
type name struct {
	own     string              // at most maxName bytes
	st      *prepared.Statement // what it stands for, once confirmed
	server  string              // the statement on the server that is held, while open is not zero, or where sql is set
	open    int                 // entries of the ledger that may change what it stands for
	may     effects.Set         // of all that it may stand for while open is not zero
	leaving bool                // a Close of it is not answered
	sql     bool                // made by PREPARE: it lives on the server that is held
	making  string              // its name on the server while it is being made there, since it names others
	made    int                 // what the ledger had had when it was prepared
	sent    uint64              // when its Parse was sent, by prepared.Now
	since   uint64              // and when it was answered
	kept    bool                // it counts among the users of the statement's text
	bound   bool                // it can't be had on another server
	ops     []nameOp            // what it does to names when it runs
}

// maxName is how many bytes of a statement's name PostgreSQL looks at:
// NAMEDATALEN less one.
const maxName = 63

// shorten returns what counts of a name.
func shorten(name []byte) []byte { return name[:min(len(name), maxName)] }

// lookUp returns a client's name, or nil.
func (n *names) lookUp(own []byte) *name { return n.byName[string(shorten(own))] }

// stands reports whether a name stands for something, or may.
func (n *name) stands() bool { return n != nil && (n.st != nil || n.sql || n.open > 0) }

// effects are those of whatever the name may stand for.
func (n *name) effects() effects.Set {
	if n == nil {
		return 0
	}
	seen := n.may
	if n.st != nil {
		seen |= n.st.Effects
	}
	return seen
}

// enter returns a client's name, known from now on.
func (n *names) enter(own string) *name {
	own = string(shorten([]byte(own)))
	if known := n.byName[own]; known != nil {
		return known
	}
	if n.byName == nil {
		n.byName = map[string]*name{}
	}
	known := &name{own: own}
	n.byName[own] = known
	return known
}

// maxNamed bounds how many names a session may have.
const maxNamed = 100_000

// nameOp is what a statement of a text does to a name once it is complete.
type nameOp struct {
	statement int // its place in the text
	own       string
	verb      effects.Set // Prepare, Deallocate or Execute
	server    string      // what the name is on the server
	changed   bool        // that is one that no server has, since the statement's columns have changed
}

// shift is a place in a text that was rewritten.
type shift struct{ at, by int }

// translation is a text with the names of servers in it.
type translation struct {
	effects effects.Set // of the statements of the protocol that it executes
	text    []byte
	lead    []byte // goes in front of it
	wait    bool   // lead has to be answered before
	changed string // what stands for a statement whose columns have changed
	ends    bool   // it may end a transaction, or its failure
	ops     []nameOp
	shifts  []shift
}

// reach calls visit for each op and, behind one that executes a statement, for
// those of that. It follows maxDepth of them at most: where each executes two
// others, there is no end to them.
func (n *names) reach(ops []nameOp, visit func(op *nameOp)) {
	left := maxDepth
	n.reachOn(ops, &left, visit)
}

func (n *names) reachOn(ops []nameOp, left *int, visit func(op *nameOp)) {
	for i := range ops {
		op := &ops[i]
		visit(op)
		if op.verb != effects.Execute || *left == 0 {
			continue
		}
		if nm := n.byName[op.own]; nm != nil {
			*left--
			n.reachOn(nm.ops, left, visit)
		}
	}
}

// namedBy returns the client's name that stands for one of a server's in
// statements, or in those that they execute.
func (n *names) namedBy(ops []nameOp, server string) (own string, ok bool) {
	n.reach(ops, func(op *nameOp) {
		if !ok && op.server == server {
			own, ok = op.own, true
		}
	})
	return own, ok
}

// settle forgets what a name was open for, and the name itself where it stands
// for nothing.
func (n *names) settle(nm *name) {
	n.changes++
	if nm.open--; nm.open > 0 {
		return
	}
	nm.may, nm.leaving = 0, false
	if nm.st == nil && !nm.sql {
		delete(n.byName, nm.own)
	}
}

// clear makes a name stand for nothing.
func (n *names) clear(nm *name) {
	n.changes++
	if nm.st != nil {
		if nm.kept {
			n.held -= prepared.Size(nm.st.Text())
			n.cfg.Statements.Leave(nm.st)
		}
		nm.st, nm.kept = nil, false
	}
	if nm.bound {
		nm.bound = false
		n.bound--
	}
	n.madeBySQL(nm, false)
	if nm.open == 0 {
		delete(n.byName, nm.own)
	}
}

// madeBySQL notes whether a name was made by PREPARE.
func (n *names) madeBySQL(nm *name, is bool) {
	n.changes++
	switch {
	case is && !nm.sql:
		n.sqls++
	case !is && nm.sql:
		n.sqls--
	}
	nm.sql = is
}

// forget notes that the session has no prepared statements any more but
// those that were made behind the message before which the ledger had had so
// many.
func (n *names) forget(before int) {
	for _, nm := range n.byName {
		if nm.made <= before {
			n.clear(nm)
		}
	}
}

// reserve counts that many bytes of text, where there is room for them.
func (n *names) reserve(bytes int64) bool {
	if !n.cfg.Statements.Reserve(n.cfg.User, n.held, bytes) {
		return false
	}
	n.held += bytes
	return true
}

// free undoes reserve.
func (n *names) free(bytes int64) {
	n.held -= bytes
	n.cfg.Statements.Free(n.cfg.User, bytes)
}

// leaveServer forgets the names that were made by PREPARE: their statements were
// on the server that was held and nowhere else.
func (n *names) leaveServer() {
	if n.sqls == 0 {
		return
	}
	for _, nm := range n.byName {
		if nm.sql {
			n.clear(nm)
		}
	}
}
