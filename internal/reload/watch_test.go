package reload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// fakeReloadable notes when it was reloaded.
type fakeReloadable struct {
	name  string
	start time.Time

	mu      sync.Mutex
	at      []time.Duration
	changed bool
	err     error
}

func newFake(name string) *fakeReloadable { return &fakeReloadable{name: name, start: time.Now()} }

func (f *fakeReloadable) Name() string    { return f.name }
func (f *fakeReloadable) Files() []string { return nil }

func (f *fakeReloadable) Reload() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, time.Since(f.start))
	return f.changed, f.err
}

// reloads returns the times of the reloads since the last call.
func (f *fakeReloadable) reloads() []time.Duration {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.at
	f.at = nil
	return at
}

func (f *fakeReloadable) expect(t *testing.T, when string, want ...time.Duration) {
	t.Helper()
	got := f.reloads()
	if len(got) != len(want) {
		t.Fatalf("%s: %s reloaded at %v, want %v", when, f.name, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: %s reloaded at %v, want %v", when, f.name, got, want)
		}
	}
}

// start runs a watcher on a fake source until the test ends. It is called in a
// bubble, which fails the test if anything is left running.
func start(t *testing.T, w *Watcher) *fakeSource {
	t.Helper()
	source := newFakeSource()
	w.open = func() (eventSource, error) { return source, nil }
	run(t, w)
	return source
}

func run(t *testing.T, w *Watcher) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	synctest.Wait()
}

// pass lets the bubble's time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

const ms = time.Millisecond

func TestAHintReloadsAfterAMomentOfQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatcher(zap.NewNop(), time.Hour)
		source := start(t, w)
		f := newFake("f")
		w.Set(f)
		f.expect(t, "set", 0)
		source.hints <- struct{}{}
		pass(100 * ms)
		source.hints <- struct{}{}
		pass(100 * ms)
		f.expect(t, "not quiet yet")
		pass(time.Minute)
		f.expect(t, "quiet", 250*ms)
	})
}

func TestABusyDirectoryDelaysAReloadByASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatcher(zap.NewNop(), time.Hour)
		source := start(t, w)
		f := newFake("f")
		w.Set(f)
		f.expect(t, "set", 0)
		for range 35 { // 3.5 seconds without a quiet moment.
			source.hints <- struct{}{}
			pass(100 * ms)
		}
		got := f.reloads()
		if len(got) < 3 {
			t.Fatalf("reloaded at %v only", got)
		}
		last := time.Duration(0)
		for _, at := range got {
			if at-last > 1100*ms || at-last < 900*ms {
				t.Errorf("reloaded at %v", got)
			}
			last = at
		}
	})
}

func TestWithoutHintsThePollFindsTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for interval, want := range map[time.Duration]time.Duration{
			2 * time.Second: 2 * time.Second,
			0:               DefaultPollInterval,
			-1:              DefaultPollInterval,
		} {
			w := NewWatcher(zap.NewNop(), interval)
			start(t, w)
			f := newFake("f")
			w.Set(f)
			pass(2*want + want/2)
			f.expect(t, "polled", 0, want, 2*want)
			w.Set()
		}
	})
}

func TestAPollDoesNotReadInTheMiddleOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatcher(zap.NewNop(), time.Second)
		source := start(t, w)
		f := newFake("f")
		w.Set(f)
		f.expect(t, "set", 0)
		pass(950 * ms)
		source.hints <- struct{}{}
		pass(time.Second)
		f.expect(t, "burst around the poll", 1100*ms)
	})
}

func TestWithoutFileEventsItSaysSoOnceAndPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := newLog()
		w := NewWatcher(log, time.Second)
		w.open = func() (eventSource, error) { return nil, errors.New("too many open files") }
		run(t, w)
		f := newFake("f")
		w.Set(f)
		pass(3500 * ms)
		f.expect(t, "polling", 0, 1000*ms, 2000*ms, 3000*ms)
		if logs.count("file events unavailable, polling only") != 1 || logs.Len() != 1 {
			t.Errorf("logged %s", logs.text())
		}
	})
}

func TestANewSetReplacesTheOldOneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatcher(zap.NewNop(), time.Second)
		a, b := newFake("a"), newFake("b")
		w.Set(a)
		w.Set(a, b)
		start(t, w)
		if len(a.reloads()) == 0 || len(b.reloads()) == 0 {
			t.Error("a set given before Run is not looked at when it starts")
		}
		w.Set(b)
		b.expect(t, "still there", 0)
		pass(1500 * ms)
		a.expect(t, "gone")
		b.expect(t, "polled", time.Second)
	})
}

func TestRunEndsWithItsContextAndClosesItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatcher(zap.NewNop(), 0)
		source := newFakeSource()
		w.open = func() (eventSource, error) { return source, nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		w.Run(ctx)
		if !source.closed || time.Since(began) != time.Minute {
			t.Errorf("closed %v after %v", source.closed, time.Since(began))
		}
	})
}

func TestReloadAllTellsEveryErrorToItsCallerAndTheLogOnlyNews(t *testing.T) {
	log, logs := newLog()
	w := NewWatcher(log, 0)
	good, pathOfGood, _ := newNumberStore(t, "1")
	bad, pathOfBad, _ := newNumberStore(t, "1")
	other := newFake("other")
	other.err = errors.New("other trouble")
	w.Set(bad, other, good)
	write(t, pathOfGood, []byte("2"), 0o644)
	write(t, pathOfBad, []byte("x"), 0o644)
	for range 3 {
		wantError(t, w.ReloadAll(), "the number: no number", "other trouble")
	}
	if good.Load() != 2 {
		t.Error("one that comes after a broken one was not reloaded")
	}
	// The fake does not know how to say that it repeats itself.
	if logs.count("reload failed, keeping the version in force") != 1+3 || logs.count("files reloaded") != 1 {
		t.Errorf("logged %s", logs.text())
	}
	w.Set(good)
	ok(t, w.ReloadAll())
}

func TestTheLogTellsThatARefusedFileIsInForceAgain(t *testing.T) {
	log, logs := newLog()
	w := NewWatcher(log, 0)
	s, path, _ := newNumberStore(t, "1")
	w.Set(s)
	const healed = "rejected change was reverted"
	ok(t, w.ReloadAll())
	write(t, path, []byte("x"), 0o644)
	wantError(t, w.ReloadAll(), "no number")
	write(t, path, []byte("1"), 0o644)
	ok(t, w.ReloadAll())
	ok(t, w.ReloadAll())
	if logs.count(healed) != 1 {
		t.Errorf("logged %s", logs.text())
	}
	write(t, path, []byte("x"), 0o644)
	wantError(t, w.ReloadAll(), "no number")
	write(t, path, []byte("2"), 0o644)
	ok(t, w.ReloadAll()) // the new version is told as such
	if logs.count(healed) != 1 || logs.count("files reloaded") != 1 {
		t.Errorf("logged %s", logs.text())
	}
}

func TestOnReloadIsToldWhatTheLogIs(t *testing.T) {
	log, _ := newLog()
	w := NewWatcher(log, 0)
	var told []string
	w.OnReload(func(name string, err error) { told = append(told, fmt.Sprint(name, ": ", err)) })
	s, path, _ := newNumberStore(t, "1")
	w.Set(s)
	for _, content := range []string{"1", "x", "x", "1", "1", "2"} {
		write(t, path, []byte(content), 0o644)
		w.ReloadAll() // what comes of it is told
	}
	if len(told) != 3 || !strings.Contains(told[0], "no number") || told[1] != s.Name()+": <nil>" || told[2] != told[1] {
		t.Errorf("told %q", told)
	}
}
