package pool

import (
	"testing"

	"github.com/pgseal/pgseal/internal/pgfake"
)

// lending is what happens most: an idle server is lent and comes back, and a
// server that comes back goes to one who waits.
func lending(tb testing.TB) map[string]func() {
	f := pgfake.New(tb, hospitable)
	h := newHouse(tb, f, f.Dial, size(1))
	held := h.take()
	need := &Need{Last: held}
	w := Waiter{Ready: func(s *Server, _ error) { held = s }}
	tb.Cleanup(func() {
		h.pool.Release(held)
		h.end()
	})
	return map[string]func(){
		"idle": func() {
			h.pool.Release(held)
			held = h.pool.TryAcquire(need)
		},
		"handed over": func() {
			if s, err := h.pool.Acquire(&w); s != nil || err != nil {
				tb.Fatalf("got %v and %v, want to wait", s, err)
			}
			h.pool.Release(held)
		},
	}
}

func TestLendingAllocatesNothing(t *testing.T) {
	for name, once := range lending(t) {
		if n := testing.AllocsPerRun(1000, once); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkLending(b *testing.B) {
	for name, once := range lending(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
