package answers

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// DoubtAfter is the age below which an answer that proved of no use is not
	// asked for again.
	DoubtAfter = 5 * time.Second
	// retryAfter is how long a question that failed is not asked again.
	retryAfter = time.Second
	// sample is how many entries are looked at for the one that makes room.
	sample = 16
)

// An Answer is what asking yields.
type Answer[V any] struct {
	Value V
	// Fresh is for how long nobody asks again.
	Fresh time.Duration
	// Usable is for how long the answer stands in where asking fails.
	Usable time.Duration
}

// A Book remembers answers by their question. Any goroutine may use it.
type Book[K comparable, V any] struct {
	most int

	mu      sync.Mutex
	entries map[K]*entry[V]
	keys    []K // of entries, in no order
}

// entry is one question. Its answer is the last that there was.
type entry[V any] struct {
	answer  Answer[V]
	at      time.Time // the answer came; zero: there is none
	doubted bool
	err     error // of asking the last time
	retryAt time.Time
	flight  *flight[V] // nil while no lookup is in progress
}

// flight is one lookup, shared by all concurrent callers.
type flight[V any] struct {
	done  chan struct{} // closed when what follows is set
	value V
	err   error
}

// errPanicked is what the other callers get if the lookup panicked.
var errPanicked = errors.New("lookup panicked")

// NewBook returns a Book of at most most results. Beyond that, those about to expire
// are evicted first.
func NewBook[K comparable, V any](most int) *Book[K, V] {
	return &Book[K, V]{most: most, entries: map[K]*entry[V]{}}
}

// Ask returns the answer to a question: one that is remembered and fresh, else
// the one that ask brings. Where several want to know at once, one of them
// calls ask, and ctx bounds the waiting of the others. Where ask fails, now or
// a moment ago, an older answer stands in as long as it is usable.
func (b *Book[K, V]) Ask(ctx context.Context, key K, ask func() (Answer[V], error)) (V, error) {
	b.mu.Lock()
	e := b.entry(key)
	now := time.Now()
	switch {
	case e.fresh(now):
		defer b.mu.Unlock()
		return e.answer.Value, nil
	case e.flight != nil:
		f := e.flight
		b.mu.Unlock()
		select {
		case <-f.done:
			return f.value, f.err
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
	case now.Before(e.retryAt):
		defer b.mu.Unlock()
		return e.standIn(now)
	}
	f := &flight[V]{done: make(chan struct{})}
	e.flight = f
	b.mu.Unlock()
	answer, err := Answer[V]{}, errPanicked
	defer func() { b.settle(e, f, answer, err) }()
	answer, err = ask()
	b.settle(e, f, answer, err)
	return f.value, f.err
}

// settle records the result of a lookup, once, and wakes the waiting callers.
func (b *Book[K, V]) settle(e *entry[V], f *flight[V], answer Answer[V], err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.flight != f {
		return
	}
	now := time.Now()
	e.flight, e.err = nil, err
	if err == nil {
		e.answer, e.at, e.doubted, e.retryAt = answer, now, false, time.Time{}
		f.value = answer.Value
	} else {
		e.retryAt = now.Add(retryAfter)
		f.value, f.err = e.standIn(now)
	}
	close(f.done)
}

// Doubt says that the remembered answer proved of no use: it is asked for again
// as soon as it is of the age of DoubtAfter.
func (b *Book[K, V]) Doubt(key K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[key]; e != nil {
		e.doubted = true
	}
}

// Len returns how many answers are remembered.
func (b *Book[K, V]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

// fresh reports whether the answer may be given without asking.
func (e *entry[V]) fresh(now time.Time) bool {
	age := now.Sub(e.at)
	return !e.at.IsZero() && age < e.answer.Fresh && !(e.doubted && age >= DoubtAfter)
}

// standIn returns the old answer where it may stand in for one that could not
// be had, or why it could not.
func (e *entry[V]) standIn(now time.Time) (V, error) {
	if !e.at.IsZero() && now.Sub(e.at) < e.answer.Usable {
		return e.answer.Value, nil
	}
	var none V
	return none, e.err
}

// entry returns the entry of a question, a new one where it is not known. mu is
// held.
func (b *Book[K, V]) entry(key K) *entry[V] {
	e := b.entries[key]
	if e == nil {
		if len(b.entries) >= b.most {
			b.makeRoom()
		}
		e = &entry[V]{}
		b.entries[key] = e
		b.keys = append(b.keys, key)
	}
	return e
}

// makeRoom evicts, of some entries chosen at random, the one that expires first, so
// that made-up names evict few of those in use. mu is held.
func (b *Book[K, V]) makeRoom() {
	worst := -1
	var ends time.Time
	for range sample {
		i := rand.IntN(len(b.keys))
		e := b.entries[b.keys[i]]
		if e.flight != nil {
			continue
		}
		if end := e.at.Add(e.answer.Fresh); worst < 0 || end.Before(ends) {
			worst, ends = i, end
		}
	}
	if worst < 0 {
		return
	}
	delete(b.entries, b.keys[worst])
	last := len(b.keys) - 1
	b.keys[worst] = b.keys[last]
	clear(b.keys[last:])
	b.keys = b.keys[:last]
}
