package answers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// oracle answers, counts how often it was asked, and fails where err is set.
type oracle struct {
	mu     sync.Mutex
	asked  int
	answer Answer[string]
	err    error
	takes  time.Duration
}

func (o *oracle) ask() (Answer[string], error) {
	<-time.After(o.takes)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	return o.answer, o.err
}

// wants asserts what the book says, and how often the oracle was asked so far.
func (o *oracle) wants(t *testing.T, b *Book[string, string], value string, asked int) {
	t.Helper()
	got, err := b.Ask(t.Context(), "alice", o.ask)
	if err != nil {
		t.Fatal(err)
	}
	if got != value || o.asked != asked {
		t.Errorf("got %q after asking %d times, want %q after %d", got, o.asked, value, asked)
	}
}

func pass(d time.Duration) { <-time.After(d) }

func TestAnAnswerIsAskedForAgainWhenItIsNotFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBook[string, string](10)
		o := &oracle{answer: Answer[string]{Value: "a", Fresh: 30 * time.Second}}
		o.wants(t, b, "a", 1)
		o.answer.Value = "b"
		pass(29 * time.Second)
		o.wants(t, b, "a", 1)
		pass(time.Second)
		o.wants(t, b, "b", 2)
	})
}

func TestManyWhoWantToKnowAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBook[string, string](10)
		// Not fresh for a moment: still those who came while it was asked for share it.
		o := &oracle{answer: Answer[string]{Value: "a"}, takes: time.Second}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got, err := b.Ask(t.Context(), "alice", o.ask); got != "a" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		all.Wait()
		if o.asked != 1 {
			t.Errorf("asked %d times", o.asked)
		}
		o.wants(t, b, "a", 2)
	})
}

func TestWhoWaitsForAnAnswerLeavesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBook[string, string](10)
		o := &oracle{answer: Answer[string]{Value: "a"}, takes: time.Minute}
		go b.Ask(t.Context(), "alice", o.ask)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := b.Ask(ctx, "alice", o.ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
		pass(time.Minute)
	})
}

func TestADoubtedAnswerIsAskedForAgainButNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBook[string, string](10)
		o := &oracle{answer: Answer[string]{Value: "a", Fresh: time.Hour}}
		b.Doubt("alice") // nobody knows
		o.wants(t, b, "a", 1)
		pass(time.Second)
		b.Doubt("alice")
		o.wants(t, b, "a", 1)
		pass(DoubtAfter - time.Second)
		o.wants(t, b, "a", 2)
		o.wants(t, b, "a", 2)
		pass(2 * DoubtAfter)
		b.Doubt("alice")
		o.wants(t, b, "a", 3)
	})
}

func TestAnAnswerStandsInWhileItIsUsableAndFailuresAreNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBook[string, string](10)
		o := &oracle{answer: Answer[string]{Value: "a", Fresh: 10 * time.Second, Usable: time.Minute}}
		o.wants(t, b, "a", 1)
		o.err = errors.New("nobody there")
		pass(30 * time.Second)
		o.wants(t, b, "a", 2)
		o.wants(t, b, "a", 2) // it failed a moment ago
		pass(retryAfter)
		o.wants(t, b, "a", 3)
		pass(29 * time.Second) // a minute in all
		for range 2 {
			if got, err := b.Ask(t.Context(), "alice", o.ask); got != "" || !errors.Is(err, o.err) {
				t.Errorf("got %q, %v", got, err)
			}
		}
		if o.asked != 4 {
			t.Errorf("asked %d times", o.asked)
		}
		pass(retryAfter)
		o.err = nil
		o.wants(t, b, "a", 5)
	})
}

func TestWhoWaitsForOneThatPanicsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBook[string, string](10)
		go func() {
			defer func() { recover() }()
			b.Ask(t.Context(), "alice", func() (Answer[string], error) {
				pass(time.Second)
				panic("at the disco")
			})
		}()
		synctest.Wait()
		if _, err := b.Ask(t.Context(), "alice", nil); !errors.Is(err, errPanicked) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNamesThatAreMadeUpPushOutFewThatAreInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, inUse = 1000, 100
		b := NewBook[string, string](most)
		known := func() (Answer[string], error) { return Answer[string]{Value: "a", Fresh: time.Minute}, nil }
		unknown := func() (Answer[string], error) { return Answer[string]{Fresh: time.Second}, nil }
		for i := range inUse {
			b.Ask(t.Context(), fmt.Sprint("role", i), known)
		}
		for i := range 50 * most {
			b.Ask(t.Context(), fmt.Sprint("made up ", i), unknown)
		}
		if n := b.Len(); n != most {
			t.Errorf("%d answers are remembered, want %d", n, most)
		}
		lost := 0
		for i := range inUse {
			b.Ask(t.Context(), fmt.Sprint("role", i), func() (Answer[string], error) {
				lost++
				return known()
			})
		}
		if lost > 5 {
			t.Errorf("%d of %d roles in use were forgotten", lost, inUse)
		}
	})
}
