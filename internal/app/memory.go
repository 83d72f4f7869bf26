package app

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// idleGC is the garbage collector's GOGC. The relay path allocates nothing, so
// what the heap may grow between two collections is room that idle clients
// pay for; logins, which do allocate, bear the price of a smaller one.
const idleGC = 50

// floor counts as part of the heap and is never touched, so the system gives no
// memory for it. With it the heap may always grow by some megabytes before it is
// collected: without it that was every 18 logins in a process with few clients.
// What it grew by is given back when all is quiet.
var floor []byte

// floorSize is just enough to make logins cheap again.
const floorSize = 8 << 20

// TuneMemory has the garbage collector of the process run as pgseal needs it,
// if the environment leaves that open. It is called once, at the start.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(idleGC)
		floor = make([]byte, floorSize)
		runtime.KeepAlive(floor) // it is there to be there
	}
}

const (
	// lookEvery is how often the heap is looked at.
	lookEvery = time.Second

	// quiet is the most that is allocated between two looks while nobody logs
	// in and little is going on.
	quiet = 64 << 10

	// worthwhile is the least that was allocated since memory was last given
	// back: a collection of a heap where nothing happened would free nothing.
	worthwhile = 4 << 20
)

// giveBack returns memory to the system after clients have left or have moved
// much, until ctx ends. The garbage collector alone would wait for allocations
// that a relay does not make. It works only while nothing else allocates, and
// once for each time that something did.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	h := heapWatch{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if h.look(allocated()) {
				debug.FreeOSMemory()
			}
		}
	}
}

// heapWatch tells when it is time to give memory back.
type heapWatch struct {
	last  uint64 // allocated in all at the last look
	freed uint64 // allocated in all when memory was last given back
}

// look takes how many bytes were allocated in all until now.
func (h *heapWatch) look(now uint64) bool {
	calm := now-h.last < quiet
	h.last = now
	if !calm || now-h.freed < worthwhile {
		return false
	}
	h.freed = now
	return true
}

// allocated is how many bytes the process has allocated since it started.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
