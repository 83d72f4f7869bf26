package proxy

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
)

// extended follows the extended-query protocol of one client, so that its
// prepared statements are there on whichever server it is lent (PostgreSQL
// documentation, "Extended Query").
//
// A named statement is known to servers by a name of ours, which stands for its
// text. Where a server lacks it, a Parse goes in front of the first message
// that needs it, and its answer is kept from the client. A client's own Parse
// is always answered by PostgreSQL, so what that says of it is true. The
// unnamed statement travels by its whole Parse message.
//
// Every message but Sync and Flush is completed by one message of the server,
// unless an error has PostgreSQL skip the rest up to the next Sync. That is how
// answers are told apart: by batch, which a Sync ends, and place within it.
type extended struct {
	statements *statements
	limit      int           // copies that a server may have
	manner     func() manner // in which PostgreSQL reads a text of the session now; nil: always the same

	names   map[string]named
	unnamed unnamed

	sentBatch, doneBatch uint32 // from 1
	sent, done           int    // messages of those batches that were sent, and completed
	events               []event
	head                 int // events before it are over
	used                 []*statement

	out    []byte // of the last edit
	parses uint64 // Parse messages that went to servers
}

// named is what a session calls by one of its names.
type named struct {
	statement *statement
	prepared  moment
}

// unnamed is the session's unnamed statement.
type unnamed struct {
	number  uint64 // which no other session's has; 0: there is none
	parse   []byte // its Parse message, empty where it was too large to keep
	effects sqlscan.Effects
}

// What an event does when its message is completed. All are undone when the
// message is skipped.
const (
	eventHide    = iota // nothing, but the client hears nothing of it
	eventPrepare        // a copy of ours is there
	eventParse          // the client's statement is there
	eventParsed         // the same, and CloseComplete has to read as ParseComplete
	eventClose          // the client's statement is gone
	eventUnnamed        // the unnamed statement is there, at the client's wish
	eventCarry          // the same at ours
	eventDeny           // PostgreSQL should have refused this
)

// event is what the completion of a message means beyond passing it on.
type event struct {
	batch     uint32
	place     int
	kind      byte
	name      string
	statement *statement
	before    named // what name stood for
}

// nextUnnamed numbers the unnamed statements of all sessions.
var nextUnnamed atomic.Uint64

// maxEvents bounds the memory that a client's pipeline of Parse and Close may
// cost.
const maxEvents = 10_000

var errPipeline = wire.Fatal(wire.CodeProgramLimit, "too many requests in one pipeline")

// edit is what goes to the server in place of the first cut bytes of a
// message, where cut is not zero. out is good until the next edit.
type edit struct {
	out []byte
	cut int
}

// link starts afresh with another server.
func (x *extended) link() {
	x.sentBatch, x.doneBatch, x.sent, x.done = 1, 1, 0, 0
	clear(x.events)
	x.events, x.head = x.events[:0], 0
	clear(x.used)
	x.used = x.used[:0]
	if cap(x.out) > keepUnnamed {
		x.out = nil
	}
}

// note adds an event for the message that is sent next.
func (x *extended) note(e event) {
	if x.head == len(x.events) {
		x.events, x.head = x.events[:0], 0
	}
	if x.head > maxEvents { // a pipeline that never comes to its end
		n := copy(x.events, x.events[x.head:])
		clear(x.events[n:])
		x.events, x.head = x.events[:n], 0
	}
	e.batch, e.place = x.sentBatch, x.sent
	x.events = append(x.events, e)
}

// full reports whether a client's pipeline has come to its limit.
func (x *extended) full() bool { return len(x.events)-x.head >= maxEvents }

// idle reports whether nothing of note is under way.
func (x *extended) idle() bool { return x.head == len(x.events) }

// answered reports whether the server has completed every message that it was
// sent.
func (x *extended) answered() bool { return x.doneBatch == x.sentBatch && x.done == x.sent }

// next returns the event of the message that is completed next, or nil.
func (x *extended) next() *event {
	if x.head < len(x.events) {
		if e := &x.events[x.head]; e.batch == x.doneBatch && e.place == x.done {
			return e
		}
	}
	return nil
}

// parse edits a client's Parse message, which is whole; effects are those of
// its text. sure says that no earlier batch is under way and no transaction has
// failed, so that PostgreSQL would have no objection of its own.
func (x *extended) parse(s *serverState, m []byte, effects sqlscan.Effects, sure bool) (edit, *wire.Error) {
	name, rest, ok := bytes.Cut(m[wire.HeaderSize:], []byte{0})
	if !ok { // PostgreSQL has an error for that
		x.sent++
		return edit{}, nil
	}
	if x.full() {
		return edit{}, errPipeline
	}
	if len(name) == 0 {
		x.unnamed.number = nextUnnamed.Add(1)
		x.unnamed.parse = append(x.unnamed.parse[:0], m...)
		x.unnamed.effects = effects
		s.unnamed = x.unnamed.number
		x.note(event{kind: eventUnnamed})
		x.sent++
		x.parses++
		return edit{}, nil
	}
	x.out = x.out[:0]
	if known, ok := x.names[string(name)]; ok {
		// PostgreSQL says what it thinks of using a name twice.
		st, err := x.ensure(s, name, known)
		if err != nil {
			return edit{}, err
		}
		x.sent++
		x.parses++
		x.out = appendParse(x.out, st.name, rest)
		return edit{x.out, len(m)}, nil
	}
	if len(name) > maxNameSize || len(x.names) >= maxNamed {
		return edit{}, errNames
	}
	st, err := x.statements.intern(x.reads(), rest, effects)
	if err != nil {
		return edit{}, err
	}
	x.define(s, string(name), st, sure)
	return edit{x.out, len(m)}, nil
}

// Bounds of what a session's names of statements may cost.
const (
	maxNamed    = 10_000
	maxNameSize = 1 << 10
)

var errNames = wire.Fatal(wire.CodeProgramLimit, "too many prepared statements in one session, or the name of one is too long")

// reads returns the manner in which PostgreSQL would read a text now.
func (x *extended) reads() manner {
	if x.manner == nil {
		return 0
	}
	return x.manner()
}

// define makes name stand for st, and st known to the server.
func (x *extended) define(s *serverState, name string, st *statement, sure bool) {
	now := x.statements.now()
	e := event{kind: eventParse, name: name, statement: st, before: x.names[name]}
	if x.names == nil {
		x.names = map[string]named{}
	}
	x.names[name] = named{st, now}
	if c := s.find(st); sure && c != nil && c.confirmed && !st.spoiled(c.made) && (s.inUse(c) || c.made >= now) {
		// It is there: PostgreSQL need not make it again. Closing what does not
		// exist is nothing to it, and is answered or skipped as a Parse is.
		e.kind = eventParsed
		x.note(e)
		x.sent++
		x.out = appendClose(x.out, nameOnServers)
		s.use(c)
		return
	}
	x.close(st.name)
	x.note(e)
	x.sent++
	x.parses++
	x.out = appendParse(x.out, st.name, st.body)
	s.add(st, now, x.sentBatch)
	x.evict(s)
}

// close closes a statement on the server, for us.
func (x *extended) close(name string) {
	x.note(event{kind: eventHide})
	x.sent++
	x.out = appendClose(x.out, name)
}

// ensure makes sure that the server has what a session's name stands for, and
// returns that. Where it has to be prepared anew, PostgreSQL reads it by the
// parameters that the session has now.
func (x *extended) ensure(s *serverState, name []byte, n named) (*statement, *wire.Error) {
	st := n.statement
	c := s.find(st)
	// A copy that an earlier batch makes may fail to come into being.
	there := c != nil && (c.confirmed || c.batch == x.sentBatch)
	if there && !st.spoiled(c.made) && (s.inUse(c) || c.made >= n.prepared) {
		s.use(c)
		return st, nil
	}
	if m := x.reads(); m != st.manner {
		var err *wire.Error
		if st, err = x.statements.intern(m, []byte(st.body), st.effects); err != nil {
			return nil, err
		}
		x.names[string(name)] = named{st, n.prepared}
	}
	x.close(st.name) // it may be there after all
	x.note(event{kind: eventPrepare, statement: st})
	x.sent++
	x.parses++
	x.out = appendParse(x.out, st.name, st.body)
	s.add(st, x.statements.now(), x.sentBatch)
	x.evict(s)
	return st, nil
}

func (x *extended) evict(s *serverState) {
	for st := s.evict(x.limit); st != nil; st = s.evict(x.limit) {
		x.close(st.name)
	}
}

// reference edits a message that names a statement at the end of its first
// head bytes: Bind, or Describe of a statement.
func (x *extended) reference(s *serverState, m []byte, head int, name []byte) (edit, *wire.Error) {
	if x.full() {
		return edit{}, errPipeline
	}
	x.out = x.out[:0]
	if len(name) == 0 {
		return x.referUnnamed(s, m, head), nil
	}
	known, ok := x.names[string(name)]
	if !ok { // a statement of PREPARE's, or PostgreSQL says that there is none
		x.sent++
		return edit{}, nil
	}
	st, err := x.ensure(s, name, known)
	if err != nil {
		return edit{}, err
	}
	x.remember(st)
	x.sent++
	at := len(x.out)
	x.out = append(x.out, m[:head-len(name)-1]...)
	x.out = append(x.out, st.name...)
	x.out = append(x.out, 0)
	binary.BigEndian.PutUint32(x.out[at+1:], binary.BigEndian.Uint32(m[1:])+uint32(len(st.name)-len(name)))
	return edit{x.out, head}, nil
}

// effectsOf returns the effects of a statement of the client's.
func (x *extended) effectsOf(name []byte) sqlscan.Effects {
	if len(name) == 0 {
		return x.unnamed.effects
	}
	if known, ok := x.names[string(name)]; ok {
		return known.statement.effects
	}
	return 0
}

// parseTooLarge notes an unnamed statement that can't be kept. While it lives
// the client has to stay where it is.
func (x *extended) parseTooLarge(s *serverState) {
	x.unnamed = unnamed{number: nextUnnamed.Add(1)}
	s.unnamed = x.unnamed.number
	x.note(event{kind: eventUnnamed})
	x.sent++
	x.parses++
}

// stuck reports whether there is such a statement.
func (x *extended) stuck() bool { return x.unnamed.number != 0 && len(x.unnamed.parse) == 0 }

// referUnnamed sees to it that the server's unnamed statement is the client's.
func (x *extended) referUnnamed(s *serverState, m []byte, head int) edit {
	u := &x.unnamed
	switch {
	case u.number != 0 && s.unnamed == u.number:
		x.sent++
		return edit{}
	case u.number != 0 && len(u.parse) > 0:
		x.note(event{kind: eventCarry})
		x.parses++
		x.out = append(x.out, u.parse...)
		s.unnamed = u.number
	default:
		// The client has none, and shall not come by that of another.
		x.note(event{kind: eventHide})
		x.out = appendClose(x.out, "")
		s.unnamed = 0
	}
	x.sent += 2
	x.out = append(x.out, m[:head]...)
	return edit{x.out, head}
}

// maxUsed bounds how many statements of a batch are remembered.
const maxUsed = 16

func (x *extended) remember(st *statement) {
	if n := len(x.used); n < maxUsed && (n == 0 || x.used[n-1] != st) {
		x.used = append(x.used, st)
	}
}

// closeName notes a client's Close of a statement. The server keeps its copy:
// the message names one that no server has, and PostgreSQL is content.
func (x *extended) closeName(s *serverState, name []byte) *wire.Error {
	if x.full() {
		return errPipeline
	}
	if len(name) == 0 {
		x.unnamed.number, s.unnamed = 0, 0
	} else if known, ok := x.names[string(name)]; ok {
		delete(x.names, string(name))
		x.note(event{kind: eventClose, name: string(name), before: known})
	}
	x.sent++
	return nil
}

// queried notes a simple Query, which ends the unnamed statement.
func (x *extended) queried(s *serverState) {
	x.unnamed.number, s.unnamed = 0, 0
	if cap(x.unnamed.parse) > keepUnnamed {
		x.unnamed.parse = nil
	}
}

// keepUnnamed is how large a buffer a session may keep for its next unnamed
// statement.
const keepUnnamed = 1 << 10

// synced notes a client's Sync.
func (x *extended) synced() { x.sentBatch, x.sent = x.sentBatch+1, 0 }

// completed notes that the server has completed a message.
func (x *extended) completed(s *serverState) {
	e := x.next()
	x.done++
	if e == nil {
		return
	}
	if e.kind == eventPrepare || e.kind == eventParse {
		s.confirm(e.statement)
	}
	*e = event{}
	x.head++
}

// ready notes that a batch has come to its end. What is left of it was skipped.
func (x *extended) ready(s *serverState) {
	end := x.head
	for end < len(x.events) && x.events[end].batch == x.doneBatch {
		end++
	}
	for i := end - 1; i >= x.head; i-- {
		x.undo(s, &x.events[i])
		x.events[i] = event{}
	}
	x.head = end
	x.doneBatch, x.done = x.doneBatch+1, 0
	if x.head == len(x.events) {
		x.events, x.head = x.events[:0], 0
		clear(x.used)
		x.used = x.used[:0]
	}
}

func (x *extended) undo(s *serverState, e *event) {
	switch e.kind {
	case eventPrepare:
		s.doubt(e.statement)
	case eventParse:
		s.doubt(e.statement)
		x.restore(e)
	case eventParsed, eventClose:
		x.restore(e)
	case eventUnnamed:
		x.unnamed.number, s.unnamed = 0, 0
	case eventCarry:
		s.unnamed = 0
	}
}

// restore gives a name back what it stood for.
func (x *extended) restore(e *event) {
	if e.before.statement == nil {
		delete(x.names, e.name)
		return
	}
	x.names[e.name] = e.before
}

// swallowed notes that a COPY took n Syncs for nothing. The COPY's own
// completion does not count in the batch that they have joined.
func (x *extended) swallowed(n int) {
	if n > 0 {
		x.doneBatch += uint32(n)
		x.done = -1
	}
}

// spoil has all statements of the batch prepared anew before they are used
// again: PostgreSQL refuses to run one, since what it returns has changed.
func (x *extended) spoil() {
	for _, st := range x.used {
		st.spoil(x.statements.now())
	}
}

// forgetNames notes that the session has no prepared statements any more but
// those that it prepared behind what ended them.
func (x *extended) forgetNames() {
	clear(x.names)
	for i := x.head; i < len(x.events); i++ {
		if e := &x.events[i]; e.kind == eventParse || e.kind == eventParsed {
			e.before = named{}
			x.names[e.name] = named{e.statement, x.statements.now()}
		}
	}
}

// nameOf returns what the client calls the statement that servers know as
// name.
func (x *extended) nameOf(name string) (string, bool) {
	for own, n := range x.names {
		if n.statement.name == name {
			return own, true
		}
	}
	return "", false
}

func appendParse[T string | []byte](dst []byte, name string, rest T) []byte {
	dst = append(dst, wire.Parse)
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+len(name)+1+len(rest)))
	dst = append(append(dst, name...), 0)
	return append(dst, rest...)
}

func appendClose(dst []byte, name string) []byte {
	dst = append(dst, wire.CloseMessage)
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+1+len(name)+1))
	dst = append(append(dst, 'S'), name...)
	return append(dst, 0)
}
