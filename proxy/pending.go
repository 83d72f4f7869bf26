package proxy

// Kinds of entries in pending.
const (
	pendingQuery byte = 'Q' // a Query or FunctionCall: answered by one ReadyForQuery
	pendingSync  byte = 'S' // a Sync: the same, unless a COPY swallows it
	pendingEnd   byte = 'c' // a CopyDone or CopyFail sent ahead of the server's CopyInResponse
	pendingOurs  byte = 'o' // a Query of our own, whose failure ends the session
	pendingAside byte = 'a' // a Query of our own that may fail
	pendingDeny  byte = 'd' // a Query that PostgreSQL is to refuse in place of the client's
	pendingFlush byte = 'y' // a Sync of our own, behind messages that the client flushed
	pendingFix   byte = 'f' // a Query of our own behind the client's, whose ReadyForQuery is the client's
)

// maxPendingRuns bounds the memory that a client's pipeline may cost. Equal
// entries in a row count once.
const maxPendingRuns = 10_000

// pending remembers, in order, what a server was sent that decides how many
// ReadyForQuery messages it still owes, and to whom. Most of the time it holds
// one entry or none.
type pending struct {
	runs []run
	head int // runs before it are used up
}

type run struct {
	kind  byte
	count int
}

// push adds an entry and reports whether there was room for it.
func (p *pending) push(kind byte) bool {
	if p.head == len(p.runs) {
		p.runs, p.head = p.runs[:0], 0
	}
	if last := len(p.runs) - 1; last >= p.head && p.runs[last].kind == kind {
		p.runs[last].count++
		return true
	}
	if len(p.runs)-p.head >= maxPendingRuns {
		return false
	}
	if p.head > maxPendingRuns {
		p.runs = p.runs[:copy(p.runs, p.runs[p.head:])]
		p.head = 0
	}
	p.runs = append(p.runs, run{kind, 1})
	return true
}

// first returns the kind of the first entry, or 0.
func (p *pending) first() byte {
	if p.head == len(p.runs) {
		return 0
	}
	return p.runs[p.head].kind
}

// owes reports whether a ReadyForQuery is still to come for what was sent.
func (p *pending) owes() bool {
	for _, r := range p.runs[p.head:] {
		if r.kind != pendingEnd {
			return true
		}
	}
	return false
}

// has reports whether there is an entry of this kind.
func (p *pending) has(kind byte) bool {
	for _, r := range p.runs[p.head:] {
		if r.kind == kind {
			return true
		}
	}
	return false
}

// ours reports whether what the server sends now answers a query of our own.
func (p *pending) ours() bool {
	switch p.first() {
	case pendingOurs, pendingAside, pendingFlush, pendingFix:
		return true
	}
	return false
}

// fixed reports whether a fix follows what the server answers now, so that the
// next ReadyForQuery is not the last.
func (p *pending) fixed() bool {
	return p.head+1 < len(p.runs) && p.runs[p.head].count == 1 && p.runs[p.head+1].kind == pendingFix
}

// owesClient reports whether such an answer is one for the client.
func (p *pending) owesClient() bool {
	for _, r := range p.runs[p.head:] {
		switch r.kind {
		case pendingEnd, pendingOurs, pendingAside, pendingFlush:
		default:
			return true
		}
	}
	return false
}

// onlyOurs reports whether the server owes answers to nobody but us.
func (p *pending) onlyOurs() bool {
	for _, r := range p.runs[p.head:] {
		switch r.kind {
		case pendingOurs, pendingAside, pendingFlush:
		default:
			return false
		}
	}
	return true
}

func (p *pending) pop() {
	r := &p.runs[p.head]
	if r.count--; r.count == 0 {
		p.head++
	}
}

// dropAll drops the entries of this kind that come first.
func (p *pending) dropAll(kind byte) {
	for p.first() == kind {
		p.head++
	}
}

// ready notes that a ReadyForQuery has come and returns what it answers, or 0
// where none was owed. Ends of a COPY that never began are no longer of
// interest.
func (p *pending) ready() byte {
	p.dropAll(pendingEnd)
	kind := p.first()
	if kind == 0 {
		return 0
	}
	p.pop()
	p.dropAll(pendingEnd)
	return kind
}

// copyIn notes that the server has begun to read COPY data. It takes what
// follows from the client for data until the client ends the COPY, and skips
// any Sync before that end, so no ReadyForQuery will come for those
// (PostgreSQL documentation, "COPY Operations"). It returns how many those
// are, whether the end was sent already, and whether the client sent what
// PostgreSQL would choke on in the midst of a COPY.
func (p *pending) copyIn() (swallowed int, ended, odd bool) {
	var query run
	if p.first() == pendingQuery { // COPY by simple query: that query still gets its answer
		query = p.runs[p.head]
		if query.count > 1 {
			return 0, false, true
		}
		p.head++
	}
	for p.first() == pendingSync {
		swallowed += p.runs[p.head].count
		p.head++
	}
	switch p.first() {
	case pendingQuery:
		odd = true
	case pendingEnd:
		p.pop()
		ended = true
	}
	if query.count == 1 {
		p.unshift(query)
	}
	return swallowed, ended, odd
}

// unshift puts back an entry that was taken from the front.
func (p *pending) unshift(r run) {
	p.head--
	p.runs[p.head] = r
}

func (p *pending) reset() { p.runs, p.head = p.runs[:0], 0 }
