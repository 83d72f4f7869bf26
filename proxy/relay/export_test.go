package relay

import (
	"fmt"

	"github.com/pgseal/pgseal/proxy/relay/names"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// What tests outside of the package see of it.

// Owed returns how many messages are not answered.
func (r *Relay) Owed() int { return r.ex.ledger.len() }

// LedgerRoom returns for how many messages the ledger has room.
func (r *Relay) LedgerRoom() int { return cap(r.ex.ledger.entries) }

// Limits of what is kept of messages.
const (
	SmallMessage = smallMessage
	WholeMessage = wholeMessage
	Gathered     = gathered
	MostOwed     = limit
)

// Wrong says what contradicts itself in the relay's state, or nothing.
func (r *Relay) Wrong() string {
	l := &r.ex.ledger
	count := ledger{}
	open := map[*names.Name]int{}
	held := r.in.counts
	unnamedParses, dropping := 0, 0
	for i := range l.len() {
		e := &l.entries[l.head+i]
		count.count(e, 1)
		d := (*draft)(nil)
		if e.note != nil {
			d = e.note.draft
		}
		if e.kind == parse && d != nil && !e.is(final) || e.kind == closing && e.name != nil {
			open[e.name]++
		}
		if e.is(final) {
			open[d.name]++
			if d.Kept {
				held += prepared.Size(d.Text)
			}
		}
		if e.kind == parse && e.is(unnamed) {
			unnamedParses++
		}
		if e.kind == query && e.is(dropsPlan) && !e.is(begun) || e.kind == closing && e.is(unnamed) {
			dropping++
		}
	}
	bound := 0
	for own, nm := range r.stmts.names.All() {
		switch {
		case nm.Own != own:
			return fmt.Sprintf("name %q is known as %q", nm.Own, own)
		case nm.Open != open[nm]:
			return fmt.Sprintf("name %q is open %d times, want %d", own, nm.Open, open[nm])
		case nm.Open == 0 && nm.Statement == nil && !nm.SQL:
			return fmt.Sprintf("name %q stands for nothing", own)
		}
		delete(open, nm)
		if nm.Bound {
			bound++
		}
		if nm.Kept {
			held += prepared.Size(nm.Statement.Text())
		}
	}
	switch {
	case len(open) > 0:
		return fmt.Sprintf("%d names are owed an answer and unknown", len(open))
	case count.readies != l.readies || count.theirs != l.theirs:
		return fmt.Sprintf("%d readies and %d theirs, want %d and %d", l.readies, l.theirs, count.readies, count.theirs)
	case r.stmts.names.Bound() != bound:
		return fmt.Sprintf("%d names are bound, want %d", r.stmts.names.Bound(), bound)
	case r.stmts.names.Held() != held:
		return fmt.Sprintf("%d bytes of text are counted, want %d", r.stmts.names.Held(), held)
	case len(r.stmts.unnamed.candidates) != unnamedParses:
		return fmt.Sprintf("%d candidates for the unnamed statement, want %d", len(r.stmts.unnamed.candidates), unnamedParses)
	case r.stmts.unnamed.dropping != dropping:
		return fmt.Sprintf("%d queries end the unnamed statement, want %d", r.stmts.unnamed.dropping, dropping)
	}
	return ""
}
