package engine

import (
	"io"
	"testing"
)

func TestWhileSuspendedNothingIsDeliveredAndAfterwardsAll(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		in, later := newInbox(), newInbox()
		h, second := newHandler(), newHandler()
		h.data, second.data = in.add, later.add
		hungUp := false
		h.hungUp = func() { hungUp = true }
		peer := adopt(t, e, secure, h)
		sent := pattern(200_000)
		write(t, peer, sent[:1000])
		in.want(t, sent[:1000])
		e.Suspend()
		e.Suspend() // twice is once
		other := adopt(t, e, secure, second)
		within(t, "the rest is taken by the kernel", func() { write(t, peer, sent[1000:5000]) })
		write(t, other, sent[:10])
		for range 20 {
			at(t, h.conn, func() {})
			at(t, second.conn, func() {})
		}
		peer.Close()
		at(t, h.conn, func() {
			if n := in.size(); n > 1000 || hungUp {
				t.Errorf("while suspended there came %d bytes, hung up: %v", n-1000, hungUp)
			}
		})
		if n := later.size(); n > 0 {
			t.Errorf("a connection that came meanwhile got %d bytes", n)
		}
		e.Resume()
		in.want(t, sent[:5000])
		later.want(t, sent[:10])
		if err := receive(t, "the end", h.ended); err != io.EOF {
			t.Errorf("the connection ended with %v", err)
		}
		e.Resume()
		write(t, other, sent[10:20])
		later.want(t, sent[:20])
	})
}

func TestWhatWasWrittenIsSentWhileSuspended(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h := newHandler()
		peer := adopt(t, e, secure, h)
		sent := pattern(8 << 20) // more than the kernel takes
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			h.conn.Write(sent, nil)
		}()
		e.Suspend()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != string(sent) {
			t.Errorf("the peer did not get it: %v", err)
		}
		receive(t, "the end of the write", wrote)
		within(t, "nothing waits any more", func() {
			for e.Unsent() > 0 {
			}
		})
		e.Resume()
	})
}

func TestAPeerThatLeftAPausedConnectionWhileSuspendedIsTold(t *testing.T) {
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		h, peer := pausedPeer(t, e, secure)
		told, tell := signal()
		at(t, h.conn, func() { h.hungUp = tell })
		e.Suspend()
		peer.Close()
		for range 20 {
			at(t, h.conn, func() {})
		}
		e.Resume()
		receive(t, "the peer's leaving", told)
		h.conn.Close()
	})
}
