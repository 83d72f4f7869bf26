package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// link makes each of two connections pass on to the other what comes.
// stalled is called when bytes wait at b.
func link(t testing.TB, a, b *testHandler, stalled func()) {
	t.Helper()
	pass := func(from, to *testHandler) func([]byte) int {
		return func(p []byte) int {
			to.conn.Write(p, from.conn)
			if to == b && b.conn.Unsent() {
				call(stalled)
			}
			return len(p)
		}
	}
	at(t, a.conn, func() { a.data = pass(a, b) })
	at(t, b.conn, func() { b.data = pass(b, a) })
}

// sums counts the bytes that go through it.
type sums struct {
	n int
	hash.Hash
}

func (s *sums) Write(b []byte) (int, error) {
	s.n += len(b)
	return s.Hash.Write(b)
}

func TestAPeerThatReadsSlowlyHoldsUpOnlyItsSource(t *testing.T) {
	const chunk, most = 1 << 20, 128 << 10
	eachLeg(t, func(t *testing.T, e Engine, secure bool) {
		size := int64(50 << 20)
		if secure {
			size = 10 << 20
		}
		a, b := newHandler(), newHandler()
		source, sink := adopt(t, e, secure, a), adopt(t, e, secure, b)
		link(t, a, b, nil)
		others := make([]net.Conn, 16) // on each loop a few
		for i := range others {
			others[i] = adopt(t, e, secure, echo())
		}
		sent := &sums{Hash: sha256.New()}
		written := make(chan error, 1)
		go func() {
			w := io.MultiWriter(source, sent)
			_, err := io.CopyN(w, rand.NewChaCha8([32]byte{}), size)
			written <- err
		}()
		got, largest := &sums{Hash: sha256.New()}, 0
		for begun := time.Now(); largest == 0 && !portable(e); largest = kept(t, b.conn) {
			if time.Since(begun) > patience {
				t.Fatal("nothing is kept although nobody reads")
			}
		}
		for _, other := range others {
			roundTrip(t, other, []byte("meanwhile"))
		}
		for range size / chunk {
			largest = max(largest, kept(t, a.conn)+kept(t, b.conn))
			if _, err := io.CopyN(got, sink, chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := receive(t, "the source", written); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
			t.Errorf("%d bytes arrived that are not the %d sent", got.n, sent.n)
		}
		if largest > most {
			t.Errorf("a link kept %d bytes, more than %d", largest, most)
		}
	})
}

func roundTrip(t testing.TB, c net.Conn, message []byte) {
	t.Helper()
	write(t, c, message)
	answer := make([]byte, len(message))
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(answer, message) {
		t.Fatalf("sent %q, got %q", message, answer)
	}
}

func TestHurryEndsAWriteThatBlocks(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := newHandler()
		adopt(t, newEngine(t, 0), secure, h)
		h.conn.Hurry(20 * time.Millisecond)
		within(t, "the write to end", func() { h.conn.Write(make([]byte, much), nil) })
		if err := receive(t, "the end", h.ended); err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestLinksAcrossLoopsSurviveEveryWayToEnd(t *testing.T) {
	const links = 40
	eachEngine(t, func(t *testing.T, e Engine) {
		var running sync.WaitGroup
		var all []*testHandler
		for i := range uint64(links) {
			a, b := newHandler(), newHandler()
			all = append(all, a, b)
			secure := i%2 == 0
			peerA, peerB := adopt(t, e, secure, a), adopt(t, e, secure, b)
			link(t, a, b, nil)
			at(t, a.conn, func() { a.onClosed = func() { b.conn.Free(a.conn); b.conn.Close() } })
			at(t, b.conn, func() { b.onClosed = func() { a.conn.Free(b.conn); a.conn.Finish(0) } })
			random := rand.New(rand.NewPCG(i, 5))
			running.Go(func() {
				defer peerB.Close()
				io.Copy(struct{ io.Writer }{peerB}, peerB)
			})
			running.Go(func() {
				defer peerA.Close()
				pingPong(peerA, random, func() { endSomehow(random.IntN(8), a, b, peerA, peerB) })
			})
		}
		within(t, "all links to end", running.Wait)
		for _, h := range all {
			receive(t, "the end", h.ended)
		}
		e.Close()
		for _, h := range all {
			if n := h.closes.Load(); n != 1 {
				t.Errorf("Closed was called %d times", n)
			}
		}
	})
}

// pingPong sends messages of any size and reads as many bytes, calls end at
// some time, and returns when the connection is over.
func pingPong(c net.Conn, random *rand.Rand, end func()) {
	message := pattern(100_000)
	last := random.IntN(40)
	for i := 0; ; i++ {
		n := 1 + random.IntN(1<<random.IntN(17))
		if n > len(message) {
			n = len(message)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			c.Write(message[:n])
		}()
		if i == last {
			end()
		}
		_, err := io.CopyN(io.Discard, c, int64(n))
		<-sent
		if err != nil {
			return
		}
	}
}

func endSomehow(way int, a, b *testHandler, peerA, peerB net.Conn) {
	switch way {
	case 0:
		peerA.Close()
	case 1:
		abort(peerA)
	case 2:
		abort(peerB)
	case 3:
		a.conn.Close()
	case 4:
		b.conn.Close()
	case 5:
		a.conn.Finish(0)
	case 6:
		b.conn.Finish(time.Second)
	case 7:
		a.conn.Post(func() { panic("a test's panic") })
	}
}
