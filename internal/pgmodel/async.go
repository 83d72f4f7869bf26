package pgmodel

import (
	"slices"

	"github.com/pgseal/pgseal/internal/wire"
)

type notification struct {
	pid              int
	channel, payload string
}

// async is a session's part in LISTEN and NOTIFY: the channels that it listens
// to, and what it has not been told yet.
type async struct {
	listening map[string]bool
	pending   []notification
}

// listen is LISTEN, which takes effect at commit.
func (a *async) listen(x *xact, channel string) {
	x.atCommit(func() { a.listening[channel] = true })
}

// unlisten is UNLISTEN, which does so too. Without a name it means all channels.
func (a *async) unlisten(x *xact, channel string) {
	x.atCommit(func() {
		if channel == "" {
			clear(a.listening)
		} else {
			delete(a.listening, channel)
		}
	})
}

// signal takes what a transaction that has committed sends to its channels.
func (a *async) signal(list []notification) {
	for _, n := range list {
		if a.listening[n.channel] {
			a.pending = append(a.pending, n)
		}
	}
}

// tell is ProcessIncomingNotify. It reports whether there was something to tell.
func (a *async) tell(out *output) bool {
	if len(a.pending) == 0 {
		return false
	}
	for _, n := range a.pending {
		at := out.begin(wire.NotificationResponse)
		out.uint32(uint32(n.pid))
		out.text(n.channel)
		out.text(n.payload)
		out.end(at)
	}
	a.pending = a.pending[:0]
	return true
}

// notify is NOTIFY, which is sent at commit and once.
func (x *xact) notify(channel, payload string) {
	n := notification{x.proc.pid, channel, payload}
	if !slices.Contains(x.notifies, n) {
		x.notifies = append(x.notifies, n)
	}
}
