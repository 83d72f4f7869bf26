package main

import (
	"os"
	"runtime/debug"
)

// idleGC is the garbage collector's GOGC. The relay path allocates nothing, so
// what the heap may grow between two collections is room that idle clients
// pay for; logins, which do allocate, bear the price of a smaller one.
const idleGC = 50

// tuneMemory sets what the environment leaves open.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(idleGC)
	}
}
