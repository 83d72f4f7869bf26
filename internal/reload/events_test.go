package reload

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// patience is how long these tests wait for something that takes a fraction of
// a second. They never wait for nothing to happen.
const patience = 20 * time.Second

// receive waits for a value, but not for ever.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

func TestLostEventsAreAHintToo(t *testing.T) {
	watcher := &fsnotify.Watcher{Events: make(chan fsnotify.Event), Errors: make(chan error)}
	e := &fileEvents{Watcher: watcher, hints: make(chan struct{}, 1)}
	e.pump.Go(e.run)
	watcher.Errors <- fsnotify.ErrEventOverflow
	receive(t, e.Hints(), "a hint")
	// Nobody takes the hints now, and still nothing blocks.
	for range 100 {
		watcher.Events <- fsnotify.Event{Name: "any", Op: fsnotify.Chmod}
		watcher.Errors <- fsnotify.ErrEventOverflow
	}
	receive(t, e.Hints(), "the hints in one")
	close(watcher.Events)
	e.pump.Wait()
}

func TestDirectoriesThatVanishWhileTheyAreAddedBlockNothing(t *testing.T) {
	source, err := openEvents()
	ok(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		dir := filepath.Join(t.TempDir(), "tls")
		for range 300 {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Error(err)
				return
			}
			_ = source.Add(dir)
			_ = os.Rename(dir, dir+".old")
			_ = os.Remove(dir + ".old")
			_ = source.Add(dir)
			_ = source.Remove(dir)
		}
		source.Close()
	}()
	receive(t, done, "the source to close")
}
