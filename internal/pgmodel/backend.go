package pgmodel

import (
	"encoding/binary"

	"github.com/pgseal/pgseal/internal/wire"
)

// A Backend is one session.
type Backend struct {
	cluster *Cluster
	pid     int
	user    string
	closed  bool

	in      []byte
	out     []byte
	flushed int // of out

	// The state of PostgresMain.
	extended   bool // doing_extended_query_message
	ignoring   bool // ignore_till_sync
	generation int  // of the configuration
	query      *simpleQuery
	copying    *copyIn
	waiting    bool // for a lock
	raced      bool // CREATE TABLE has waited for another one

	block       block
	xact        *xact
	xactStarted bool
	pipelining  bool // XACT_FLAGS_PIPELINING
	immediate   bool // XACT_FLAGS_NEEDIMMEDIATECOMMIT

	settings      map[string]*setting
	stacked       []*setting // that have a stack
	reported      []*setting // by ParameterStatus
	unnamed       *prepared
	statements    map[string]*prepared
	portals       map[string]*portal
	temp          map[string]*table
	tempNamespace bool
	planResets    int // invalidate every cached plan
	listening     map[string]bool
	notifications []notification
}

// Feed gives the backend bytes of its client, in any cuts, and lets it work as
// far as it can.
func (b *Backend) Feed(p []byte) {
	if b.closed {
		return
	}
	b.in = append(b.in, p...)
	b.proceed()
	b.cluster.wake()
}

// Take returns what the backend has flushed since the last call.
func (b *Backend) Take() []byte {
	if b.flushed == 0 {
		return nil
	}
	p := append([]byte(nil), b.out[:b.flushed]...)
	b.out = b.out[:copy(b.out, b.out[b.flushed:])]
	b.flushed = 0
	return p
}

// Kept returns what the backend has not flushed.
func (b *Backend) Kept() []byte { return append([]byte(nil), b.out[b.flushed:]...) }

// Closed reports whether the backend has ended, by Terminate or a FATAL error.
func (b *Backend) Closed() bool { return b.closed }

// Blocked reports whether the backend waits for a lock of another one.
func (b *Backend) Blocked() bool { return b.waiting }

// Disconnect is the end of the client's connection.
func (b *Backend) Disconnect() { b.exit() }

// Cancel is a cancel request. It does something only where the backend waits,
// for a lock or for the data of a COPY: elsewhere the model is done before a
// request could come.
func (b *Backend) Cancel() {
	if b.copying != nil {
		b.copying.cancelled = true
	}
	if !b.waiting {
		return
	}
	b.waiting = false
	if b.query == nil {
		b.in = b.in[b.message(b.in):] // the one that waited
	}
	b.fail(errorf("57014", "canceling statement due to user request"))
	b.proceed()
	b.cluster.wake()
}

func (b *Backend) exit() {
	if !b.closed {
		b.closed, b.waiting = true, false
		b.cluster.leave(b)
		b.cluster.wake()
	}
}

// fatal is an error that ends the session.
func (b *Backend) fatal(e *Error) {
	b.notice(wire.ErrorResponse, "FATAL", e)
	b.exit()
}

// message returns the length of the message that starts p as it is announced, or
// 0 where it is not whole yet.
func (b *Backend) message(p []byte) int {
	if len(p) < wire.HeaderSize {
		return 0
	}
	n := 1 + int(binary.BigEndian.Uint32(p[1:]))
	if len(p) < n && n-wire.HeaderSize <= wire.ClientLimit(p[0]) {
		return 0
	}
	return n
}

// badLength answers a length word that is out of bounds: by nothing, or within
// a COPY as if the client had left.
func (b *Backend) badLength() {
	if b.copying != nil {
		b.notice(wire.ErrorResponse, "ERROR", errorf("08006", "unexpected EOF on client connection with an open transaction"))
		b.fatal(errorf("08P01", "terminating connection because protocol synchronization was lost"))
		return
	}
	b.exit()
}

// Terminate is pg_terminate_backend.
func (b *Backend) Terminate() {
	if !b.closed {
		b.fatal(errorf("57P01", "terminating connection due to administrator command"))
	}
}

// proceed is the loop of PostgresMain.
func (b *Backend) proceed() {
	read := 0
	for !b.closed && !b.waiting {
		if b.query != nil && b.copying == nil {
			b.runQuery()
			continue
		}
		if len(b.in) == read {
			break
		}
		if b.copying != nil && !copyMessage(b.in[read]) {
			b.protocolLost(b.in[read])
			break
		}
		if b.copying == nil && wire.ClientLimit(b.in[read]) < 0 {
			b.fatal(errorf("08P01", "invalid frontend message type %d", b.in[read]))
			break
		}
		n := b.message(b.in[read:])
		if n == 0 {
			break
		}
		if n < wire.HeaderSize || n-wire.HeaderSize > wire.ClientLimit(b.in[read]) {
			b.badLength()
			break
		}
		body := b.in[read+wire.HeaderSize : read+n]
		typ := b.in[read]
		if b.copying != nil {
			b.copyMessage(typ, body)
		} else {
			b.dispatch(typ, body)
		}
		if !b.waiting || b.query != nil {
			read += n
		}
	}
	b.in = b.in[:copy(b.in, b.in[read:])]
	b.deliver(true)
}

// dispatch is SocketBackend and the switch of PostgresMain.
func (b *Backend) dispatch(typ byte, body []byte) {
	switch typ {
	case wire.Sync:
		b.ignoring, b.extended = false, false
	case wire.Terminate:
		b.ignoring, b.extended = false, false
	case wire.Parse, wire.Bind, wire.Describe, wire.Execute, wire.CloseMessage, wire.Flush:
		b.extended = true
	default:
		b.extended = false
	}
	if b.generation != b.cluster.generation {
		b.reload()
	}
	if b.ignoring {
		return
	}
	f := fields(body)
	var err *Error
	switch typ {
	case wire.Query:
		b.simpleQuery(f.text())
		return
	case wire.Parse:
		err = b.parseMessage(&f)
	case wire.Bind:
		err = b.bindMessage(&f)
	case wire.Describe:
		err = b.describeMessage(f.byte(), f.text())
	case wire.Execute:
		err = b.executeMessage(&f)
	case wire.CloseMessage:
		err = b.closeMessage(f.byte(), f.text())
	case wire.Flush:
		b.flush()
	case wire.Sync:
		if b.cluster.Version >= 18 {
			b.endImplicit()
		}
		b.finishXact()
		b.ready()
	case wire.FunctionCall:
		if err = b.functionCall(&f); err == nil {
			b.finishXact()
			b.ready()
		}
	case wire.Terminate:
		b.exit()
	}
	if err != nil {
		b.fail(err)
	}
}

// fail is what PostgresMain does after an error.
func (b *Backend) fail(e *Error) {
	b.notice(wire.ErrorResponse, "ERROR", e)
	b.query, b.copying = nil, nil
	b.abortCurrent()
	if b.extended {
		b.ignoring = true
	}
	if !b.ignoring {
		b.ready()
	}
}

// ready ends a command with ReadyForQuery.
func (b *Backend) ready() {
	b.deliver(false)
	b.reportSettings()
	b.out = append(b.out, wire.ReadyForQuery, 0, 0, 0, 5, b.status())
	b.flush()
}

func (b *Backend) flush() { b.flushed = len(b.out) }

// begin starts a message; end fills in its length.
func (b *Backend) begin(typ byte) int {
	b.out = append(b.out, typ, 0, 0, 0, 0)
	return len(b.out) - 4
}

func (b *Backend) end(at int) { binary.BigEndian.PutUint32(b.out[at:], uint32(len(b.out)-at)) }

func (b *Backend) empty(typ byte) { b.out = append(b.out, typ, 0, 0, 0, 4) }

func (b *Backend) complete(tag string) {
	at := b.begin(wire.CommandComplete)
	b.out = append(append(b.out, tag...), 0)
	b.end(at)
}

func (b *Backend) uint16(n int) { b.out = binary.BigEndian.AppendUint16(b.out, uint16(n)) }

func (b *Backend) uint32(n uint32) { b.out = binary.BigEndian.AppendUint32(b.out, n) }

func (b *Backend) rowDescription(columns []Column, formats []int16) {
	at := b.begin(wire.RowDescription)
	b.uint16(len(columns))
	for i, c := range columns {
		b.out = append(append(b.out, c.Name...), 0)
		b.out = append(b.out, 0, 0, 0, 0, 0, 0) // table and column, unless asked for
		b.uint32(c.Type)
		b.uint16(int(typeSize(c.Type)))
		b.uint32(0xffffffff)
		b.uint16(int(format(formats, i)))
	}
	b.end(at)
}

func (b *Backend) dataRow(row [][]byte, columns []Column, formats []int16) {
	at := b.begin(wire.DataRow)
	b.uint16(len(row))
	for i, v := range row {
		if v == nil {
			b.uint32(0xffffffff)
			continue
		}
		if format(formats, i) == 1 && i < len(columns) {
			v = binaryOf(columns[i].Type, v)
		}
		b.uint32(uint32(len(v)))
		b.out = append(b.out, v...)
	}
	b.end(at)
}

// format is that of column i: none given means text, one is for all.
func format(formats []int16, i int) int16 {
	switch {
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	}
	return 0
}

// fields reads the body of a message. Reads past its end return zeros.
type fields []byte

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(*f) {
		n = len(*f)
	}
	p := (*f)[:n]
	*f = (*f)[n:]
	return p
}

func (f *fields) byte() byte {
	if p := f.take(1); len(p) == 1 {
		return p[0]
	}
	return 0
}

func (f *fields) int16() int {
	if p := f.take(2); len(p) == 2 {
		return int(int16(binary.BigEndian.Uint16(p)))
	}
	return 0
}

// count is how many of something follow.
func (f *fields) count() int { return min(max(0, f.int16()), len(*f)) }

func (f *fields) int32() int {
	if p := f.take(4); len(p) == 4 {
		return int(int32(binary.BigEndian.Uint32(p)))
	}
	return 0
}

func (f *fields) text() string {
	for i, c := range *f {
		if c == 0 {
			p := f.take(i + 1)
			return string(p[:i])
		}
	}
	return string(f.take(len(*f)))
}
