package app

import "testing"

func TestMemoryIsGivenBackOnceAfterEachTimeOfWork(t *testing.T) {
	h := heapWatch{}
	allocated := uint64(0)
	for i, step := range []struct {
		more uint64
		want bool
	}{
		{1 << 20, false},    // it starts
		{100, false},        // too little to collect
		{10 << 20, false},   // clients log in
		{10 << 20, false},   // and more
		{quiet - 1, true},   // now it is calm
		{100, false},        // nothing new
		{100, false},        //
		{quiet, false},      // some work
		{worthwhile, false}, // much work
		{0, true},           // calm again
		{0, false},          //
	} {
		allocated += step.more
		if got := h.look(allocated); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

func TestWhatIsAllocatedIsCounted(t *testing.T) {
	before := allocated()
	kept = make([]byte, 1<<20)
	if n := allocated() - before; n < 1<<20 {
		t.Errorf("%d bytes of a MiB", n)
	}
}

var kept []byte
