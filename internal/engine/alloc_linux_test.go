//go:build !race && go1.27

// Up to Go 1.26 crypto/tls allocates for each read from its connection.

package engine

import (
	"crypto/tls"
	"runtime"
	"testing"
)

// relay is a client and a server, TLS connections of an engine of their own,
// and between them the two linked connections that are measured. No part of it
// has a goroutine.
type relay struct {
	client *testHandler
	left   int // round trips, owned by the client's home
	done   chan struct{}
}

func newRelay(t testing.TB, loops, message int) *relay {
	t.Helper()
	e, peers := newEngine(t, loops), newEngine(t, 1)
	x, y := newHandler(), newHandler()
	r := &relay{client: newHandler(), done: make(chan struct{}, 1)}
	server := newHandler()
	adoptBoth(t, e, x, peers, r.client)
	adoptBoth(t, e, y, peers, server)
	link(t, x, y, nil)
	query := make([]byte, message)
	server.data = gather(message, func() { server.conn.Write(query, nil) })
	r.client.data = gather(message, func() {
		if r.left--; r.left == 0 {
			r.done <- struct{}{}
			return
		}
		r.client.conn.Write(query, nil)
	})
	at(t, server.conn, func() {}) // the handlers are set before bytes come
	return r
}

// gather calls f for every n bytes.
func gather(n int, f func()) func([]byte) int {
	got := 0
	return func(b []byte) int {
		for got += len(b); got >= n; got -= n {
			f()
		}
		return len(b)
	}
}

// adoptBoth gives one engine a new connection's server end and another one its
// client end.
func adoptBoth(t testing.TB, e Engine, h *testHandler, peers Engine, peer *testHandler) {
	t.Helper()
	ours, theirs := tcpPair(t)
	transport := NewTransport(theirs)
	client := tls.Client(transport, clientTLS())
	adoptTLS(t, e, ours, client.Handshake, h)
	take(t, peers, transport, client, peer)
}

// run makes n round trips.
func (r *relay) run(t testing.TB, n, message int) {
	t.Helper()
	r.client.conn.Post(func() {
		r.left = n
		r.client.conn.Write(make([]byte, message), nil)
	})
	receive(t, "the round trips", r.done)
}

func TestTheRelayPathAllocatesNothing(t *testing.T) {
	const rounds, message = 4000, 300
	for _, loops := range []int{1, 2} {
		r := newRelay(t, loops, message)
		r.run(t, 500, message)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r.run(t, rounds, message)
		runtime.ReadMemStats(&after)
		if perRound := float64(after.Mallocs-before.Mallocs) / rounds; perRound > 0.05 {
			t.Errorf("%d loops: %.2f allocations per round trip", loops, perRound)
		}
	}
}

func BenchmarkRelay(b *testing.B) {
	for _, size := range []struct {
		name    string
		message int
	}{{"300B", 300}, {"8KiB", 8 << 10}} {
		b.Run(size.name, func(b *testing.B) {
			r := newRelay(b, 1, size.message)
			r.run(b, 100, size.message)
			b.SetBytes(2 * int64(size.message))
			b.ReportAllocs()
			b.ResetTimer()
			r.run(b, b.N, size.message)
		})
	}
}
