package relay_test

import (
	"bytes"
	"slices"

	"github.com/pgseal/pgseal/internal/pgmodel"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// What session.go and its neighbours do, without locks.

// data is Data.
func (w *world) data(p *player, _ *backend) {
	p.readable = false
	var out []byte
	for {
		if p.end != nil {
			p.leave(w, p.end)
			return
		}
		st := p.relay.FromClient(p.in)
		rests, server := p.relay.AtRest(), p.server
		out = append(append(out, st.Pass...), st.Insert...)
		p.in = p.in[st.Used:]
		if st.Verdict == relay.Proceed && !rests {
			continue
		}
		if len(out) > 0 {
			p.toServer(w, out)
			out = nil
		}
		if rests {
			p.settle(w, server)
		}
		switch st.Verdict {
		case relay.Proceed:
		case relay.NeedMore:
			return
		case relay.NeedRest:
			p.toServer(w, nil)
			p.paused = true
			p.settle(w, p.server)
			return
		case relay.NeedServer, relay.NeedExact:
			if st.Verdict == relay.NeedExact {
				p.giveBack(w)
			}
			if p.acquire(w); p.server == nil {
				p.paused = true
				return
			}
		case relay.Terminated:
			p.leave(w, errGoodbye)
			return
		case relay.Failed:
			p.leave(w, st.Err)
			return
		}
	}
}

func (p *player) toServer(w *world, b []byte) {
	b = append(p.setup, b...)
	p.setup = nil
	if len(b) > 0 && p.server != nil {
		p.hidden = p.hidden || bytes.Contains(b, []byte("\x00SELECT pg_catalog."))
		p.resets = p.resets || bytes.Contains(b, []byte("AS base (name, value)")) && bytes.Contains(b, []byte(";"))
		w.log("  to server %d: %s", p.server.id, pgmodel.Describe(b))
		p.server.in = append(p.server.in, b...)
	}
}

func (p *player) giveBack(w *world) {
	if s := p.server; s != nil && p.relay.AtRest() {
		p.relay.Detach()
		p.server, p.setup = nil, nil
		w.release(s, p)
	}
}

// takeGrant goes on with a server that was waited for.
func (w *world) takeGrant(p *player, _ *backend) {
	s := p.granted
	p.granted, p.waiting = nil, false
	switch {
	case p.left || p.end != nil && !p.greeted:
		w.release(s, p)
	case p.trying:
		p.attach(w, s)
	default:
		p.attach(w, s)
		p.resume()
	}
}

func (p *player) resume() { p.paused, p.readable = false, true }

// fromServer is passToClient.
func (p *player) fromServer(w *world, s *backend, b []byte) (used int, failed *wire.Error) {
	for {
		st := p.relay.FromServer(b[used:])
		if list, changed := p.relay.ServerReported(); changed {
			s.reported = list
		}
		used += st.Used
		p.hear(w, st.Pass)
		p.hear(w, st.Insert)
		switch {
		case st.Verdict == relay.Failed:
			if w.single && isBlock(st.Err) {
				if p.end == nil {
					p.end = st.Err
				}
				p.relay.Desync()
				s.broken, p.wake = true, true
				return len(b), nil
			}
			return used, st.Err
		case st.Verdict == relay.NeedMore, used == len(b):
			return used, nil
		}
	}
}

// settle is settle with decide.
func (p *player) settle(w *world, s *backend) {
	if s == nil || p.server != s {
		return
	}
	a := p.relay.Next()
	gone := a.Do == relay.Release || a.Do == relay.Retry
	if a.End != nil && p.end == nil {
		p.end = a.End
	}
	if p.end != nil && !p.left {
		p.wake = true
	}
	if a.Pinned != 0 {
		w.log("client %d is pinned: %v", p.id, relay.Reasons(a.Pinned))
	}
	if gone {
		p.relay.Detach()
		p.server = nil
	}
	if len(a.Query) > 0 {
		w.log("  to server %d of its own: %s", s.id, pgmodel.Describe(a.Query))
		s.in = append(s.in, a.Query...)
	}
	switch a.Do {
	case relay.Break:
		w.log("server %d is to be ended", s.id)
		s.broken = true
	case relay.Retry:
		w.log("server %d has refused", s.id)
		w.end(s)
	case relay.Release:
		w.release(s, p)
	}
	if p.trying && gone {
		switch {
		case p.end != nil:
		case p.relay.Trying():
			p.acquire(w)
		default:
			p.greet(w)
		}
	}
	p.woken = p.woken || a.Wake
	if a.Resume {
		p.resume()
	}
}

// ask sends what the relay has to ask.
func (w *world) ask(p *player, _ *backend) {
	p.woken = false
	if p.server == nil || p.end != nil {
		return
	}
	if q := bytes.Clone(p.relay.Ours()); len(q) > 0 {
		w.log("client %d: its relay asks", p.id)
		p.mixed = p.mixed || bytes.Equal(q, wire.AppendQuery(nil, ""))
		p.toServer(w, q)
	} else {
		w.log("client %d: its relay has nothing to ask", p.id)
		p.settle(w, p.server)
	}
}

// checkEnd is check.
func (w *world) checkEnd(p *player, _ *backend) {
	p.wake = false
	if p.end != nil {
		p.leave(w, p.end)
	}
}

// hangsUp reports whether the end of the client's connection is noticed now.
func (p *player) hangsUp() bool {
	idle := !p.waiting && p.server == nil || p.relay.Leaving()
	return !p.paused || !idle
}

func (w *world) hungUp(p *player, _ *backend) { p.leave(w, errGone) }

// leave takes leave of the client.
func (p *player) leave(w *world, reason error) {
	if p.left {
		return
	}
	w.log("client %d leaves: %v", p.id, reason)
	if p.end == nil {
		p.end = reason
	}
	p.left, p.muted = true, true
	s := p.server
	if s == nil {
		if p.waiting {
			w.queue = slices.DeleteFunc(w.queue, func(o *player) bool { return o == p })
		}
		return
	}
	p.unsent = len(p.setup) > 0
	running := p.relay.Running()
	out, orderly := p.relay.Leave()
	if orderly && len(out) > 0 {
		w.log("  to server %d: %s", s.id, pgmodel.Describe(out))
		s.in = append(s.in, out...)
	}
	if running {
		s.canceler = p
		p.disorderly = !orderly
		return
	}
	p.disorderly = !orderly
	p.leftServer(w, s)
}

func (p *player) leftServer(w *world, s *backend) {
	if p.disorderly {
		p.breakServer(w)
	} else {
		p.settle(w, s)
	}
}

func (p *player) breakServer(w *world) {
	if p.server != nil {
		p.relay.Desync()
		p.server.broken = true
	}
}

// check looks at what has to hold at all times.
func (p *player) check(w *world) {
	if p.relay == nil {
		return
	}
	if n := p.relay.Owed(); n > relay.MostOwed+64 {
		w.fail("client %d: %d messages are not answered", p.id, n)
	}
	if wrong := p.relay.Wrong(); wrong != "" {
		w.fail("client %d: %s", p.id, wrong)
	}
}
