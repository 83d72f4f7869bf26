//go:build go1.26 && !go1.28 && !pgseal_notlspeek

package engine

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"
)

// trimNow does what a loop does when its connections have been idle for long
// enough.
func trimNow(t *testing.T, c *loopConn) {
	t.Helper()
	at(t, c, func() {
		if !fat(c.tls) {
			t.Error("there is nothing to trim: the test shows nothing")
		}
		for range 2 { // the first time it was active
			c.loop.trimAt = time.Time{}
			c.loop.trimIdle()
		}
	})
}

func TestBuffersOfALargeMessageAreGivenBackWhenIdle(t *testing.T) {
	h := echo()
	peer := adopt(t, newEngine(t, 1), true, h)
	for range 3 {
		roundTrip(t, peer, pattern(16<<10))
		c := h.conn.(*loopConn)
		trimNow(t, c)
		at(t, c, func() {
			if fat(c.tls) || len(c.loop.fat) > 0 {
				t.Error("an idle connection keeps a large buffer")
			}
		})
	}
}

func TestHalfARecordOutlivesTheTrimming(t *testing.T) {
	ours, theirs := tcpPair(t)
	link := &gathered{TCPConn: theirs}
	client := tls.Client(link, clientTLS())
	in := newInbox()
	h := newHandler()
	h.data = in.add
	adoptTLS(t, newEngine(t, 1), ours, func() error { return errors.Join(client.Handshake(), link.flush()) }, h)
	sent := pattern(16 << 10)
	client.Write(sent)
	record := link.out
	write(t, theirs, record[:5000])
	c := h.conn.(*loopConn)
	at(t, c, func() {})
	trimNow(t, c)
	write(t, theirs, record[5000:])
	in.want(t, sent)
}
