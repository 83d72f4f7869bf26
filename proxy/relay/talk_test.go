package relay_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// talk is a conversation through a relay, driven as a session drives it: a
// server is attached when one is needed, and given back when Next says so. What
// random name a statement gets makes no difference: here the first that appears
// is nth(1), the second nth(2), and so on.
type talk struct {
	*relay.Relay
	t          testing.TB
	cut        func(n int) int // size of the next piece of n bytes
	statements *relay.Statements
	config     relay.Config
	names      *naming
	reported   []wire.Parameter
	startup    []wire.Parameter

	state      *relay.Server // that is attached next, or is held
	exact      bool          // it was opened with the startup values
	attached   bool
	links      int
	broken     bool   // the server was to be ended
	retried    bool   // because it refused the parameters
	setup      string // goes in front of what is sent next
	late       bool   // Ours is not called before ask is
	lenient    bool   // a server may say anything
	chooses    func() // sets state
	asked      bool
	pinned     []string
	sent       strings.Builder // what reached the server
	heard      strings.Builder // and the client
	clientRest string          // what waits for more bytes, or for the server
	serverRest string
	paused     bool // the client is not read
	err        *wire.Error
	gone       bool
	idles      int // how often it was in vain that the client went on
}

// naming gives the random names of statements others.
type naming struct {
	nth  map[string]string
	real map[string]string
}

func newNaming() *naming { return &naming{map[string]string{}, map[string]string{}} }

func nth(n int) string { return fmt.Sprintf("pgseal_%020d", n) }

var (
	randomName = regexp.MustCompile(`pgseal_[a-z2-7]{20}`)
	plainName  = regexp.MustCompile(`pgseal_[0-9]{20}`)
)

func (n *naming) plain(s string) string {
	return randomName.ReplaceAllStringFunc(s, func(name string) string {
		if n.nth[name] == "" {
			n.nth[name] = nth(len(n.nth) + 1)
			n.real[n.nth[name]] = name
		}
		return n.nth[name]
	})
}

func (n *naming) random(s string) string {
	return plainName.ReplaceAllStringFunc(s, func(name string) string {
		if real := n.real[name]; real != "" {
			return real
		}
		return name
	})
}

func newTalk(t testing.TB, cut func(n int) int) *talk {
	c := &talk{t: t, cut: cut, statements: relay.NewStatements(1 << 20), names: newNaming(), reported: params("TimeZone=GMT DateStyle=ISO,MDY")}
	c.config = relay.Config{
		ID: 1, User: "alice", Shared: true, Policy: relay.Pin, Reset: "DISCARD ALL", MaxCopies: 200, Statements: c.statements,
	}
	c.otherServer()
	c.start()
	return c
}

// start begins the session anew, with parameters of a startup packet.
func (c *talk) start(startup ...string) {
	c.startup = params(strings.Join(startup, " "))
	c.Relay = relay.New(c.config, c.startup)
	c.Greet(c.reported)
}

// configured begins it anew with another configuration.
func (c *talk) configured(change func(*relay.Config), startup ...string) {
	change(&c.config)
	c.start(startup...)
}

// another returns another client of the same server.
func (c *talk) another(startup ...string) *talk {
	c.t.Helper()
	if c.attached {
		c.t.Fatal("the server is held")
	}
	b := &talk{t: c.t, cut: c.cut, statements: c.statements, config: c.config, names: c.names, reported: c.reported, state: c.state}
	b.config.ID = c.config.ID + 1
	b.start(startup...)
	return b
}

// otherServer has the next server be one that knows nothing.
func (c *talk) otherServer() {
	c.state, c.exact = relay.NewServer(nil), false
	c.state.SetReported(c.reported)
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
func (c *talk) client(msgs ...string) {
	for stream := strings.Join(msgs, ""); len(stream) > 0 && c.err == nil && !c.gone; {
		n := min(c.cut(len(stream)), len(stream))
		c.clientRest, stream = c.clientRest+stream[:n], stream[n:]
		c.pump()
	}
}

// pump has the relay look at what the client sent, as long as it is read.
func (c *talk) pump() {
	for verdict := relay.NeedRest; verdict == relay.NeedRest && !c.paused && c.err == nil && !c.gone && c.clientRest != ""; {
		rest := c.clientRest
		var used int
		used, verdict = c.clientChunk([]byte(rest))
		c.clientRest = rest[used:]
	}
}

// server has the server send messages.
func (c *talk) server(msgs ...string) {
	c.names.plain(c.sent.String())
	for stream := c.names.random(strings.Join(msgs, "")); len(stream) > 0 && c.err == nil; {
		if !c.attached && c.lenient {
			return
		} else if !c.attached {
			c.t.Fatalf("%q comes from a server that is not held", stream)
		}
		n := min(c.cut(len(stream)), len(stream))
		b := []byte(c.serverRest + stream[:n])
		stream = stream[n:]
		c.serverRest = string(b[c.serverChunk(b):])
		c.pump()
	}
}

func (c *talk) send(b ...[]byte) {
	c.sent.WriteString(c.setup)
	c.setup = ""
	for _, b := range b {
		c.sent.Write(b)
	}
}

func (c *talk) clientChunk(b []byte) (used int, verdict relay.Verdict) {
	for {
		st := c.FromClient(b[used:])
		rests := c.attached && c.AtRest()
		c.check(st, b[used:])
		used += st.Used
		if len(st.Pass)+len(st.Insert) > 0 {
			c.send(st.Pass, st.Insert)
		}
		if rests {
			c.settle()
		}
		switch st.Verdict {
		case relay.NeedMore:
			return used, st.Verdict
		case relay.NeedRest:
			if c.idles++; used > 0 {
				c.idles = 0
			} else if c.idles > 100 {
				c.t.Fatalf("%q waits, is told to go on, and waits, without end", b)
			}
			c.send()
			c.paused = true
			c.settle()
			return used, st.Verdict
		case relay.NeedServer, relay.NeedExact:
			c.attach()
		case relay.Terminated:
			c.gone = true
			return used, st.Verdict
		case relay.Failed:
			c.err = st.Err
			return used, st.Verdict
		}
	}
}

// attach gives the relay a server: an exact one was opened with the client's
// startup values.
func (c *talk) attach() {
	c.t.Helper()
	if c.attached {
		if !c.AtRest() {
			c.t.Fatal("another server is needed while this one is at work")
		}
		c.Detach()
		c.attached, c.setup = false, ""
	}
	if exact, _ := c.Need(); exact && !c.exact {
		c.state, c.exact = relay.NewServer(c.startup), true
		c.state.SetReported(c.reported)
	}
	if c.chooses != nil {
		c.chooses()
	}
	c.links++
	setup, tell := c.Attach(c.state)
	c.attached, c.setup = true, string(setup)
	c.heard.Write(tell)
}

func (c *talk) serverChunk(b []byte) (used int) {
	for {
		st := c.FromServer(b[used:])
		c.check(st, b[used:])
		used += st.Used
		c.heard.Write(st.Pass)
		c.heard.Write(st.Insert)
		if st.Verdict == relay.Failed {
			c.err = st.Err
			return used
		}
		if st.Verdict == relay.NeedMore || used == len(b) {
			c.settle()
			return used
		}
	}
}

// settle does what Next says.
func (c *talk) settle() {
	if !c.attached {
		return
	}
	a := c.Next()
	c.sent.Write(a.Query)
	if a.End != nil && c.err == nil {
		c.err = a.End
	}
	switch a.Do {
	case relay.Keep:
	case relay.Break:
		c.broken = true
	default:
		c.retried = c.retried || a.Do == relay.Retry
		c.Detach()
		c.attached, c.setup, c.serverRest = false, "", ""
		if a.Do == relay.Retry {
			c.otherServer()
		}
	}
	c.pinned = append(c.pinned, relay.Reasons(a.Pinned)...)
	c.asked = c.asked || a.Wake
	if a.Resume {
		c.paused = false
	}
	if c.asked && !c.late {
		c.ask()
	}
}

// ask sends what the relay has to ask.
func (c *talk) ask() {
	c.asked = false
	if q := c.Ours(); len(q) > 0 {
		c.send(q)
	}
}

// check asserts what holds for every step.
func (c *talk) check(st relay.Step, b []byte) {
	c.t.Helper()
	wrong := c.Wrong()
	switch {
	case wrong != "":
		c.t.Fatal(wrong)
	case st.Used < 0 || st.Used > len(b):
		c.t.Fatalf("%d of %d bytes were used", st.Used, len(b))
	case len(st.Pass) > st.Used:
		c.t.Fatalf("%d bytes pass and %d were used", len(st.Pass), st.Used)
	case len(st.Pass) > 0 && &st.Pass[0] != &b[0]:
		c.t.Fatal("the bytes that pass are not the first ones")
	case st.Verdict == relay.Proceed && st.Used == 0 && len(st.Insert) == 0:
		c.t.Fatal("a step that used nothing wants to go on with the same")
	case (st.Verdict == relay.Failed) != (st.Err != nil):
		c.t.Fatalf("verdict %d with error %v", st.Verdict, st.Err)
	case c.attached && c.AtRest() && c.Owed() != 0:
		c.t.Fatal("at rest with an answer owed")
	}
}
