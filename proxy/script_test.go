package proxy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// msg builds a message byte by byte, so that the tests do not lean on the
// package that the code under test is built on.
func msg(typ byte, body ...string) string {
	all := strings.Join(body, "")
	return string(binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(all)))) + all
}

// Messages as a client sends them.
func query(sql string) string    { return msg('Q', sql, "\x00") }
func copyData(row string) string { return msg('d', row) }

var (
	parse    = msg('P', "\x00SELECT $1\x00\x00\x00")
	bind     = msg('B', "\x00\x00\x00\x00\x00\x00\x00\x00")
	describe = msg('D', "S\x00")
	execute  = msg('E', "\x00\x00\x00\x00\x00")
	syncMsg  = msg('S')
	flush    = msg('H')
	copyDone = msg('c')
	copyFail = msg('f', "no\x00")
	goodbye  = msg('X')
)

// Messages as a server sends them.
func ready(status string) string          { return msg('Z', status) }
func complete(tag string) string          { return msg('C', tag, "\x00") }
func row(value string) string             { return msg('D', "\x00\x01", size(value), value) }
func parameter(name, value string) string { return msg('S', name, "\x00", value, "\x00") }
func serverError(code string) string {
	return msg('E', "SERROR\x00VERROR\x00C", code, "\x00Mit went wrong\x00\x00")
}
func size(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) }

var (
	rowDescription = msg('T', "\x00\x01c\x00", strings.Repeat("\x00", 18))
	parsed         = msg('1')
	bound          = msg('2')
	copyIn         = msg('G', "\x00\x00\x00")
	copyOut        = msg('H', "\x00\x00\x00")
	notice         = msg('N', "SNOTICE\x00C00000\x00Mby the way\x00\x00")
	notification   = msg('A', "\x00\x00\x00\x07channel\x00payload\x00")
	answer         = rowDescription + row("1") + complete("SELECT 1") + ready("I")
)

// talk is a conversation through a relay, driven as a session drives it in
// transaction mode: a server is linked when one is needed and given back when
// it is at rest.
type talk struct {
	relay
	t   testing.TB
	cut func(n int) int // size of the next piece of n bytes

	state *serverState
	ours  int  // our own queries that go in front at the next link
	keeps bool // the server is kept, as in session mode

	sent, heard   strings.Builder // what reached the server and the client
	links         int
	clientRest    string // what waits for more bytes
	serverRest    string
	params        []string
	err           *wire.Error
	gone          bool
	parameterBody func([]byte)
}

func newTalk(t testing.TB, cut func(n int) int) *talk {
	c := &talk{t: t, cut: cut, state: &serverState{}}
	c.relay.extended.statements, c.relay.extended.limit = newStatements(1<<20), 200
	c.relay.extended.statements.now = func() moment { return 1 } // no second passes
	c.parameterBody = func(b []byte) { c.params = append(c.params, string(b)) }
	return c
}

func whole(n int) int { return n }

// everyWay runs a scenario again and again, with its bytes arriving in other
// pieces each time. What it asserts has to hold in all of them.
func everyWay(t *testing.T, scenario func(c *talk)) {
	t.Helper()
	cuts := map[string]func(int) int{"whole": whole}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 11} {
		cuts[fmt.Sprintf("in pieces of %d", n)] = func(int) int { return n }
	}
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 0))
		cuts[fmt.Sprintf("at random %d", seed)] = func(n int) int { return 1 + r.IntN(n) }
	}
	for name, cut := range cuts {
		if !t.Run(name, func(t *testing.T) { scenario(newTalk(t, cut)) }) {
			return
		}
	}
}

// client has the client send messages.
func (c *talk) client(msgs ...string) { c.feed(&c.clientRest, strings.Join(msgs, ""), c.clientChunk) }

// server has the server send messages.
func (c *talk) server(msgs ...string) { c.feed(&c.serverRest, strings.Join(msgs, ""), c.serverChunk) }

func (c *talk) feed(rest *string, stream string, chunk func([]byte) int) {
	for len(stream) > 0 && c.err == nil && !c.gone {
		n := min(c.cut(len(stream)), len(stream))
		b := []byte(*rest + stream[:n])
		stream = stream[n:]
		*rest = string(b[chunk(b):])
	}
}

func (c *talk) clientChunk(b []byte) (used int) {
	for {
		st := c.fromClient(b[used:])
		c.check(st, b[used:])
		used += st.used
		c.sent.Write(st.pass)
		c.sent.Write(st.insert)
		c.settle()
		switch st.verdict {
		case needMore:
			return used
		case needServer:
			c.links++
			c.link(c.state, 1, c.ours)
			c.ours = 0
		case terminate:
			c.gone = true
			return used
		case failed:
			c.err = st.err
			return used
		}
	}
}

func (c *talk) serverChunk(b []byte) (used int) {
	for {
		st := c.fromServer(b[used:], c.parameterBody)
		c.check(st, b[used:])
		used += st.used
		c.heard.Write(st.pass)
		c.heard.Write(st.insert)
		if st.verdict == failed {
			c.err = st.err
			return used
		}
		if st.verdict == needMore || used == len(b) {
			c.settle()
			return used
		}
	}
}

// settle gives the server back if it may go.
func (c *talk) settle() {
	if c.atRest() && !c.keeps && !c.left {
		c.unlink()
	}
}

// check asserts what holds for every step.
func (c *talk) check(st step, b []byte) {
	c.t.Helper()
	switch {
	case st.used < 0 || st.used > len(b):
		c.t.Fatalf("%d of %d bytes were used", st.used, len(b))
	case len(st.pass) > st.used:
		c.t.Fatalf("%d bytes pass and %d were used", len(st.pass), st.used)
	case len(st.pass) > 0 && &st.pass[0] != &b[0]:
		c.t.Fatal("the bytes that pass are not the first ones")
	case st.verdict == proceed && st.used == 0:
		c.t.Fatal("a step that used nothing wants to go on with the same")
	case (st.verdict == failed) != (st.err != nil):
		c.t.Fatalf("verdict %d with error %v", st.verdict, st.err)
	case c.atRest() && c.pending.first() != 0:
		c.t.Fatal("at rest with an answer owed")
	}
}

// holds asserts that a server is held.
func (c *talk) holds() {
	c.t.Helper()
	if !c.linked {
		c.t.Fatal("the server was given back")
	}
}

// free asserts that no server is held, and that n were lent so far.
func (c *talk) free(n int) {
	c.t.Helper()
	if c.linked {
		c.t.Fatal("the server is still held")
	}
	if c.links != n {
		c.t.Fatalf("%d servers were asked for, want %d", c.links, n)
	}
}

// sentIs asserts what has reached the server since the last time.
func (c *talk) sentIs(msgs ...string) {
	c.t.Helper()
	c.is("the server got", &c.sent, msgs)
}

// heardIs asserts what has reached the client since the last time.
func (c *talk) heardIs(msgs ...string) {
	c.t.Helper()
	c.is("the client got", &c.heard, msgs)
}

func (c *talk) is(what string, got *strings.Builder, msgs []string) {
	c.t.Helper()
	if want := strings.Join(msgs, ""); got.String() != want {
		c.t.Fatalf("%s %q, want %q", what, got.String(), want)
	}
	got.Reset()
}

// failedWith asserts that the session is over, for a reason with this SQLSTATE.
func (c *talk) failedWith(code string) {
	c.t.Helper()
	if c.err == nil || c.err.Code != code {
		c.t.Fatalf("got error %v, want SQLSTATE %s", c.err, code)
	}
}

// lives asserts that nothing has gone wrong.
func (c *talk) lives() {
	c.t.Helper()
	if c.err != nil || c.gone {
		c.t.Fatalf("the session is over: %v", c.err)
	}
}
