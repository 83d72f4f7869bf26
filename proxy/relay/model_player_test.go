package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgseal/pgseal/internal/pgmodel"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// player is a client and its session in the pooler.
type player struct {
	id      int
	scripts []script // that are still to be played
	script  *script
	twin    *twin
	relay   *relay.Relay

	// The client.
	sent     int // messages that it has begun to send
	tail     []byte
	eof      bool // it has left
	listener listener
	hidden   bool // something of the relay's was executed within the client's batch
	resets   bool // several statements reset parameters where the client keeps its server
	mixed    bool // and what PostgreSQL 18 makes of a Query in the midst of a batch was brought to its end
	forgiven bool // what it hears is wrong for a reason that is known
	heard    int

	// The session; see session.go.
	in         []byte // that was not taken
	readable   bool   // and may be
	paused     bool
	waiting    bool // in line
	granted    *backend
	need       need
	server     *backend
	setup      []byte
	unsent     bool // the setup was never sent, since the client left before
	trying     bool // its parameters
	greeted    bool
	woken      bool
	wake       bool
	left       bool
	disorderly bool // what is under way has no end but that of its server
	muted      bool
	end        error
}

// Why a session ends.
var (
	errGone    = errors.New("the client has gone")
	errGoodbye = errors.New("the client said goodbye")
	errLost    = errors.New("the server was lost")
	errSaid    = errors.New("the server ended the session")
)

func (p *player) shared(w *world) bool { return w.plan.shared }

func (p *player) state() string {
	return fmt.Sprintf("sent %d of %d, heard %d of %d, unread %q, paused %v, in line %v, server %v, left %v, owed %d, expects %v", p.sent, len(p.script.steps),
		p.heard, len(p.twin.heard), p.in, p.paused, p.waiting, p.server != nil, p.left, p.relay.Owed(), words(p.twin.heard[p.heard:min(len(p.twin.heard), p.heard+3)]))
}

func (w *world) ofPlayer(p *player) {
	switch {
	case p.relay == nil:
		if len(p.scripts) > 0 {
			w.may((*world).logIn, p, nil)
		}
		return
	case p.left:
		if p.server == nil && p.granted == nil {
			w.may((*world).finish, p, nil)
		}
	case p.greeted && p.mayLeave(w):
		w.may((*world).hangUp, p, nil)
	case p.greeted && p.maySend():
		w.may((*world).send, p, nil)
	}
	if p.granted != nil {
		w.may((*world).takeGrant, p, nil)
	}
	if p.woken {
		w.may((*world).ask, p, nil)
	}
	if p.wake {
		w.may((*world).checkEnd, p, nil)
	}
	if p.readable && !p.paused && !p.left && p.greeted {
		w.may((*world).data, p, nil)
	}
	if p.eof && !p.left && (p.paused || !p.readable) && p.hangsUp() {
		w.may((*world).hungUp, p, nil)
	}
}

// logIn begins a session.
func (w *world) logIn(p *player, _ *backend) {
	s := p.scripts[0]
	*p = player{id: p.id, scripts: p.scripts[1:], script: &s, twin: alone(&s, w.version, w.policy)}
	w.cluster.CreateTable(s.own)
	w.lastID++
	cfg := relay.Config{
		ID: w.lastID, User: role, Shared: w.plan.shared, Single: w.single, Policy: w.policy, Reset: "DISCARD ALL", Always: w.always,
		MaxCopies: w.copies, Statements: w.statements,
	}
	p.relay, p.need = relay.New(cfg, s.startup), need{startup: needOf(s.startup)}
	w.log("client %d logs in with %v", p.id, s.startup)
	if !p.relay.Asks() {
		p.relay.Greet(w.defaults)
		p.greet(w)
		return
	}
	p.trying = true
	p.acquire(w)
}

// greet lets the client in.
func (p *player) greet(w *world) {
	p.greeted, p.trying = true, false
	told, want := p.relay.ClientReported(), p.twin.told
	for _, q := range want {
		if !slices.Contains(told, q) {
			w.fail("client %d is told %v at login, want %v", p.id, told, want)
		}
	}
	if len(told) != len(want) {
		w.fail("client %d is told %v at login, want %v", p.id, told, want)
	}
}

func (p *player) acquire(w *world) {
	p.need.exact, p.need.fresh = p.relay.Need()
	if len(w.queue) == 0 {
		if s := w.tryAcquire(&p.need); s != nil {
			p.attach(w, s)
			return
		}
	}
	p.waiting = true
	w.queue = append(w.queue, p)
}

func (p *player) attach(w *world, s *backend) {
	if p.trying {
		p.relay.Try()
	}
	s.state.SetReported(s.reported)
	setup, tell := p.relay.Attach(s.state)
	p.setup = bytes.Clone(setup)
	p.server, p.need.last, s.player = s, s, p
	w.log("client %d gets server %d: setup %s", p.id, s.id, pgmodel.Describe(setup))
	switch {
	case !p.trying:
		p.hear(w, tell)
	case len(setup) == 0:
		p.settle(w, s)
	default:
		p.toServer(w, nil)
	}
}

// maySend reports whether the client has something to send now.
func (p *player) maySend() bool {
	switch {
	case p.eof:
		return false
	case len(p.tail) > 0:
		return true
	case p.sent == len(p.script.steps), p.sent == p.script.leaves:
		return false
	}
	return p.sent == 0 || !p.script.steps[p.sent-1].waits || p.heard >= p.twin.upTo[p.sent]
}

func (w *world) send(p *player, _ *backend) {
	if len(p.tail) == 0 {
		for {
			p.tail = append(p.tail, p.script.steps[p.sent].bytes...)
			p.sent++
			w.messages++
			if p.script.steps[p.sent-1].waits || !p.maySendMore() || w.r.IntN(3) == 0 {
				break
			}
		}
	}
	n := w.cut(len(p.tail))
	w.log("client %d sends %s", p.id, pgmodel.Describe(p.tail[:n]))
	p.in = append(p.in, p.tail[:n]...)
	p.tail = bytes.Clone(p.tail[n:])
	p.readable = true
}

func (p *player) maySendMore() bool {
	return p.sent < len(p.script.steps) && p.sent != p.script.leaves
}

// mayLeave reports whether it is time for the client to leave.
func (p *player) mayLeave(w *world) bool {
	switch {
	case p.eof:
		return false
	case p.sent == p.script.leaves:
		return len(p.tail) == 0 || w.r.IntN(4) == 0
	}
	return p.sent == len(p.script.steps) && len(p.tail) == 0 && p.heard >= p.twin.upTo[p.sent]
}

func (w *world) hangUp(p *player, _ *backend) {
	p.eof = true
	w.log("client %d vanishes", p.id)
}

// hear gives the client what the server said.
func (p *player) hear(w *world, b []byte) {
	if p.muted || p.forgiven || len(b) == 0 || p.trying {
		return
	}
	for _, h := range p.listener.take(b) {
		w.log("client %d hears %s", p.id, h)
		if p.heard >= len(p.twin.heard) {
			w.fail("client %d hears %s, want nothing", p.id, h)
			return
		}
		if p.heard+1 < len(p.twin.heard) && p.twin.heard[p.heard].message[0] == wire.ParameterDescription && p.twin.heard[p.heard+1] == h {
			p.heard++ // what is wrong with a statement that is made anew is found before it is described
		}
		if want := p.twin.heard[p.heard]; want != h && !h.as(want) {
			p.unlike(w, h, want)
			return
		}
		p.heard++
		p.resets = p.resets && (h.message[0] != wire.ReadyForQuery || h.message[5] != wire.StatusIdle)
		p.hidden = p.hidden && (h.message[0] != wire.ReadyForQuery || p.relay.Owed() > 0)
	}
}

// notified compares the notifications that have come.
func (p *player) notified(w *world) {
	n := len(p.listener.notes)
	if n > len(p.twin.notes) || !slices.Equal(p.listener.notes, p.twin.notes[:n]) {
		w.fail("client %d is notified of %q, want %q", p.id, p.listener.notes, p.twin.notes)
	}
}

// unlike is told of what the client should not have heard.
func (p *player) unlike(w *world, h, want heard) {
	switch {
	case p.mixed, strings.Contains(want.message, "unexpected state STARTED"):
		p.forgive(w) // PostgreSQL 18 leaves that to be found after a Query in the midst of a batch
	case strings.Contains(h.message, "\x00C42P01\x00"), strings.Contains(h.message, "\x00C25P02\x00") && want.message[0] == wire.ParameterDescription:
		p.forgive(w) // a statement can't be made anew to be described
	case strings.Contains(h.message, "\x00C0A000\x00") && want.message[0] == wire.ErrorResponse:
		p.forgive(w) // of two errors the other comes first
	case p.hidden && knownPipeline, p.resets && knownResets:
		p.forgive(w)
	default:
		w.fail("client %d hears %s, want %s", p.id, h, want)
	}
}

// forgive has the client leave, since what it hears is wrong for a reason that is
// known.
func (p *player) forgive(w *world) {
	w.forgiven++
	p.forgiven = true
	p.script.leaves, p.eof = p.sent, true
}

// describesFailed reports whether the client waits for the error about a portal
// whose statement has failed.
func (p *player) describesFailed() bool {
	if p.sent == 0 || p.heard >= len(p.twin.heard) {
		return false
	}
	last := p.script.steps[p.sent-1].bytes
	return last[0] == wire.Describe && last[wire.HeaderSize] == 'P' && strings.Contains(p.twin.heard[p.heard].message, "\x00C25P02\x00")
}

// finish looks at what a session has left when it is over.
func (w *world) finish(p *player, _ *backend) {
	w.log("client %d is done: %v", p.id, p.end)
	p.relay.Close()
	if !p.forgiven && !p.mixed {
		p.judge(w)
	}
	p.relay = nil
}

// judge compares what was done with what the client has asked for.
func (p *player) judge(w *world) {
	t, s := p.twin, p.script
	table := tableOf(w.cluster, s.own)
	orderly := p.sent == len(s.steps) && len(p.tail) == 0 && s.leaves < 0
	p.notified(w)
	switch {
	case p.end == errGoodbye && orderly, p.end == errGone && orderly && p.heard >= t.upTo[p.sent]:
		if table != t.table {
			w.fail("client %d leaves %q in its table, want %q", p.id, table, t.table)
		}
		return
	case p.end == errGone, p.end == errGoodbye, t.closed >= 0:
	case w.single && isBlock(p.end):
		if p.hidden && knownPipeline {
			w.forgiven++
			return
		}
		if next := t.heard[p.heard].message; next[0] != wire.ReadyForQuery || next[5] == wire.StatusIdle {
			w.fail("client %d: %v before %s", p.id, p.end, t.heard[p.heard])
		}
	default:
		w.fail("client %d is ended: %v", p.id, p.end)
		return
	}
	for n := p.sent; n >= 0 && readies(t.heard[:t.upTo[n]]) >= readies(t.heard[:p.heard]); n-- {
		if table == t.after(n) {
			return
		}
	}
	w.fail("client %d leaves %q in its table, which it never did", p.id, table)
}

func isBlock(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) && e.Code == wire.CodeFeatureNotSupported
}

// readies counts the messages by which a client knows what was committed.
func readies(list []heard) (n int) {
	for _, h := range list {
		if h.message[0] == wire.ReadyForQuery {
			n++
		}
	}
	return n
}
