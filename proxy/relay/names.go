package relay

import (
	"bytes"
	"strings"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// names are the prepared statements of a session, of the protocol and of SQL's
// PREPARE alike, under the names that its client gives them. No such name
// reaches a server.
type names struct {
	byName     map[string]*name
	unnamed    plan                // the unnamed statement, as far as it is confirmed
	candidates []plan              // unnamed statements whose Parse is not answered
	spare      []byte              // a buffer for the next of those
	dropping   int                 // Query messages that end the unnamed statement, once the server takes them up
	carrying   uint64              // the unnamed statement that is on its way to the server
	carryBatch uint32              // and in which batch
	portals    map[string][]nameOp // portals whose execution does something to names
	held       int64               // what the texts count for
	sqls       int                 // names made by PREPARE
	bound      int                 // names whose statement can't be had on another server
	depth      int                 // of statements that execute each other
	prep       *preparation
	made       map[string]string // statements that name others, made for the text that is translated
	changed    []*prepared.Copy  // whose columns are not what the client prepared
	changes    uint64            // counts what may change what a name stands for
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

// plan is an unnamed statement.
type plan struct {
	number  uint64 // which no other session's has; 0: there is none
	parse   []byte // its Parse message, empty where it was too large to keep
	effects effects.Set
	rows    []byte // the body of the RowDescription that the client was sent; empty: none
	types   []byte // the body of the ParameterDescription that it was sent; empty: none
	none    bool   // it was told that there are no rows
	context string
	certain bool     // context is known
	sure    bool     // its Parse begins a batch, so that the server can't skip it
	batch   uint32   // that its Parse is in
	ops     []nameOp // what it does to names when it runs
	looked  uint64   // when those were looked up, by looked of the relay
	missed  bool     // what it executes was not there at its Parse, or its columns had changed
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

// settle forgets what a name was open for, and the name itself where it stands
// for nothing.
func (r *Relay) settle(nm *name) {
	r.names.changes++
	if nm.open--; nm.open > 0 {
		return
	}
	nm.may, nm.leaving = 0, false
	if nm.st == nil && !nm.sql {
		delete(r.names.byName, nm.own)
	}
}

// clear makes a name stand for nothing.
func (r *Relay) clear(nm *name) {
	r.names.changes++
	if nm.st != nil {
		if nm.kept {
			r.names.held -= prepared.Size(nm.st.Text())
			r.cfg.Statements.Leave(nm.st)
		}
		nm.st, nm.kept = nil, false
	}
	if nm.bound {
		nm.bound = false
		r.names.bound--
	}
	r.madeBySQL(nm, false)
	if nm.open == 0 {
		delete(r.names.byName, nm.own)
	}
}

// madeBySQL notes whether a name was made by PREPARE.
func (r *Relay) madeBySQL(nm *name, is bool) {
	r.names.changes++
	switch {
	case is && !nm.sql:
		r.names.sqls++
	case !is && nm.sql:
		r.names.sqls--
	}
	nm.sql = is
}

// forgetNames notes that the session has no prepared statements any more but
// those that were made behind the message before which the ledger had had so
// many.
func (r *Relay) forgetNames(before int) {
	for _, nm := range r.names.byName {
		if nm.made <= before {
			r.clear(nm)
		}
	}
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

// translate puts the names that statements have on the server in the place of a
// client's. ends says that the text may end a transaction, or its failure.
func (r *Relay) translate(text []byte, ends bool) (t translation) {
	t.ends = ends
	if r.names.made == nil {
		r.names.made = map[string]string{}
		defer func() { r.names.made = nil }()
	}
	local := map[string]string{} // what earlier statements of the text made of names
	done := 0
	for _, ref := range sqlscan.NameRefs(text, nil) {
		own, verb := ref.Name, effects.Set(ref.Verb)
		server, known := local[own]
		if !known {
			server, t.wait = r.serverName(&t, verb, own)
			if t.wait {
				return t
			}
			if server != "" && server == t.changed {
				local[own] = server
			}
		}
		switch verb {
		case effects.Prepare:
			if server == "" {
				server = prepared.NewName()
			}
			local[own] = server
		case effects.Deallocate:
			if server != "" {
				local[own] = ""
			}
		case effects.Execute:
			r.makes(local, own)
		}
		if server == "" {
			server = r.cfg.nobody
		}
		t.ops = append(t.ops, nameOp{ref.Statement, own, verb, server, server == t.changed})
		t.text = append(append(append(t.text, text[done:ref.Start]...), ' '), server...)
		t.shifts = append(t.shifts, shift{len(t.text), len(server) + 1 - (ref.End - ref.Start)})
		done = ref.End
	}
	t.text = append(t.text, text[done:]...)
	return t
}

// makes notes what the statement of a name makes of names when it is executed.
func (r *Relay) makes(local map[string]string, own string) {
	if nm := r.names.byName[own]; nm != nil {
		r.names.reach(nm.ops, func(op *nameOp) {
			switch op.verb {
			case effects.Prepare:
				local[op.own] = op.server
			case effects.Deallocate:
				local[op.own] = ""
			}
		})
	}
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

// serverName returns what a name of the client's is on the server, empty for
// nothing, for a statement of SQL that does this to it. It may take something in
// front, and even that this is answered first.
func (r *Relay) serverName(t *translation, verb effects.Set, own string) (server string, wait bool) {
	nm := r.names.byName[own]
	switch {
	case nm != nil && nm.making != "":
		return nm.making, false
	case !nm.stands():
		return "", false
	case nm.leaving:
		return "", true
	case nm.sql || nm.open > 0:
		if verb == effects.Execute {
			t.effects |= nm.effects()
		}
		return nm.server, false
	case verb == effects.Execute && t.ends && r.x.status == wire.StatusFailed && r.x.server.findFor(nm) == nil:
		return "", false // it can't be made before the transaction has ended, nor behind that
	case verb == effects.Execute:
		lead, server, n, wait := r.resolve([]byte(own), nm, bind)
		t.lead = append(t.lead, lead...)
		if n != nil && n.changed {
			server = prepared.NewName()
			t.changed = server
		}
		t.effects |= nm.effects()
		// It may fail, and what names the statement shall not be tried then.
		wait = wait || len(lead) > 0 && nm.st.Effects&effects.Names == 0 && r.x.status != wire.StatusFailed
		return server, wait
	}
	// DEALLOCATE and PREPARE get one that is there for them alone: the server's
	// copy may be others' too.
	server = prepared.NewName()
	t.lead = wire.AppendParse(r.x.appendDoomed(t.lead), server, "\x00\x00\x00")
	r.x.push(entry{kind: parse, flags: ours})
	if verb == effects.Prepare {
		r.x.server.copies.Doom(server)
	}
	return server, false
}

// complete takes the completion of a statement of a text that names others.
func (r *Relay) complete(n *note) {
	for ; n.next < len(n.ops) && n.ops[n.next].statement <= n.over; n.next++ {
		if n.ops[n.next].statement == n.over {
			r.names.reach(n.ops[n.next:n.next+1], r.did)
		}
	}
	n.over++
}

// did takes what a statement has done to a name.
func (r *Relay) did(op *nameOp) {
	switch op.verb {
	case effects.Prepare:
		nm := r.names.enter(op.own)
		r.madeBySQL(nm, true)
		nm.server, nm.made = op.server, r.x.ledger.pushed
	case effects.Deallocate:
		r.x.server.copies.LoseName(op.server) // it may have become the copy of others, too
		if nm := r.names.byName[op.own]; nm != nil {
			r.clear(nm)
		}
	}
}

// ownName returns what the client calls the statement that the server knows by a
// name. e is what it was sent for last.
func (r *Relay) ownName(server string, e *entry) (own string, ok bool) {
	if e != nil {
		switch {
		case e.note != nil && e.note.own != "":
			return e.note.own, true
		case e.name != nil:
			return e.name.own, true
		}
		if e.note != nil {
			if own, ok := r.names.namedBy(e.note.ops, server); ok {
				return own, true
			}
		}
	}
	for _, nm := range r.names.byName {
		if nm.server == server && (nm.sql || nm.open > 0) {
			return nm.own, true
		}
		if nm.st != nil && r.x.server != nil {
			if c := r.x.server.copies.Find(nm.st); c != nil && c.Name == server {
				return nm.own, true
			}
		}
	}
	return "", false
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

// reword returns an ErrorResponse in the client's own terms: with its names of
// statements, and positions in the text as it sent it. It returns m where there
// is nothing to change.
func (r *Relay) reword(m []byte, e *entry) []byte {
	var shifts []shift
	if e != nil && e.note != nil {
		shifts = e.note.shifts
	}
	if !bytes.Contains(m, []byte(prepared.Prefix)) && len(shifts) == 0 {
		return m
	}
	out := append([]byte(nil), m[:wire.HeaderSize]...)
	wire.ErrorFields(m[wire.HeaderSize:], func(field byte, value []byte) {
		text := r.ownWords(string(value), e)
		if field == 'P' {
			text = unshift(text, shifts)
		}
		out = append(append(append(out, field), text...), 0)
	})
	out = append(out, 0)
	wire.PutLength(out)
	return out
}

// ownWords returns a text with the client's names in the place of servers'.
func (r *Relay) ownWords(text string, e *entry) string {
	at := strings.Index(text, prepared.Prefix)
	if at < 0 {
		return text
	}
	end := at + len(prepared.Prefix)
	for end < len(text) && (text[end] >= 'a' && text[end] <= 'z' || text[end] >= '0' && text[end] <= '9') {
		end++
	}
	own, ok := r.ownName(text[at:end], e)
	if !ok {
		return text[:end] + r.ownWords(text[end:], e)
	}
	return text[:at] + own + r.ownWords(text[end:], e)
}
