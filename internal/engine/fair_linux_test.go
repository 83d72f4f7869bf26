package engine

import "testing"

// What one connection may be given before the others of its loop have their
// turn is bounded, however much its peer has sent.
func TestAFloodFromOnePeerLeavesTheOthersTheirTurn(t *testing.T) {
	const flood, most = 1 << 20, readsPerEvent * bufferSize
	a, b := newHandler(), newHandler()
	waits := false // b has bytes and did not have its turn
	got, largest := 0, 0
	a.data = func(p []byte) int {
		if waits {
			got += len(p)
			largest = max(largest, got)
		}
		return len(p)
	}
	turn, hadTurn := signal()
	b.data = func(p []byte) int {
		waits = false
		hadTurn()
		return len(p)
	}
	e := newEngine(t, 1)
	source, other := adopt(t, e, false, a), adopt(t, e, false, b)
	for range 20 {
		// Both have bytes before the loop sees either, the flood first.
		held, hold := make(chan struct{}), make(chan struct{})
		a.conn.Post(func() {
			close(held)
			<-hold
			waits, got = true, 0
		})
		receive(t, "the loop to stand still", held)
		const fits = 32 << 10 // into what the kernel keeps for a socket
		write(t, source, make([]byte, fits))
		sent := make(chan error, 1)
		go func() {
			_, err := source.Write(make([]byte, flood-fits))
			sent <- err
		}()
		write(t, other, []byte("x"))
		close(hold)
		receive(t, "the other's turn", turn)
		if err := receive(t, "the flood", sent); err != nil {
			t.Fatal(err)
		}
	}
	at(t, a.conn, func() {
		if largest == 0 || largest > most {
			t.Errorf("%d bytes of one peer passed while another waited, want at most %d", largest, most)
		}
	})
}
