package pgmodel

import (
	"slices"

	"github.com/pgseal/pgseal/internal/wire"
)

type notification struct {
	pid              int
	channel, payload string
}

// listen is LISTEN and UNLISTEN, which take effect at commit.
func (b *Backend) listen(s *stmt) {
	b.xact.commit = append(b.xact.commit, func() {
		switch {
		case s.kind == kindListen:
			b.listening[s.name] = true
		case s.name == "":
			clear(b.listening)
		default:
			delete(b.listening, s.name)
		}
	})
}

// queue is NOTIFY, which is sent at commit and once.
func (b *Backend) queue(channel, payload string) {
	n := notification{b.pid, channel, payload}
	if !slices.Contains(b.xact.notifies, n) {
		b.xact.notifies = append(b.xact.notifies, n)
	}
}

// notify sends notifications of a transaction that has committed. Its own
// session is told before its next ReadyForQuery.
func (c *Cluster) notify(from *Backend, list []notification) {
	for _, o := range c.backends {
		for _, n := range list {
			if o.listening[n.channel] {
				o.notifications = append(o.notifications, n)
			}
		}
		if o != from && len(list) > 0 {
			o.deliver(true)
		}
	}
}

// deliver is ProcessNotifyInterrupt: an idle session is told.
func (b *Backend) deliver(flush bool) {
	if len(b.notifications) == 0 || b.closed || b.waiting || b.block != blockDefault || b.xactStarted {
		return
	}
	for _, n := range b.notifications {
		at := b.begin(wire.NotificationResponse)
		b.uint32(uint32(n.pid))
		b.out = append(append(b.out, n.channel...), 0)
		b.out = append(append(b.out, n.payload...), 0)
		b.end(at)
	}
	b.notifications = b.notifications[:0]
	if flush {
		b.flush()
	}
}
