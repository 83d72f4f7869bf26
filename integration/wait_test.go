package integration

import (
	"context"
	"testing"
	"time"
)

// patience is how long anything may take that has no shorter limit of its
// own. The machine may be busy with other things.
const patience = 20 * time.Second

// pollInterval is how often a condition is looked at that nothing announces.
const pollInterval = 20 * time.Millisecond

// eventually waits until condition holds and fails the test if it does not
// within limit. It returns how long that took.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	if !poll(limit, condition) {
		t.Fatalf("not within %v: %s", limit, what)
	}
	return time.Since(began)
}

func poll(limit time.Duration, condition func() bool) bool {
	deadline := time.After(limit)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			return condition()
		}
	}
	return true
}

// soon returns a context for what should be over quickly, such as a query.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// receive takes a value that has to come within the usual patience.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}
