package reload

import (
	"sync"

	"github.com/fsnotify/fsnotify"
)

// eventSource says that something may have happened in one of its
// directories, not what. Add, Remove and Close are called by one goroutine.
type eventSource interface {
	// Add watches a directory. Adding it again does no harm.
	Add(dir string) error
	// Remove ends that.
	Remove(dir string) error
	// Hints delivers at least one value after a change. Hints that nobody has
	// taken yet are one.
	Hints() <-chan struct{}
	// Close returns after the source has ended.
	Close()
}

// silence is a source that never hints.
type silence struct{}

func (silence) Add(string) error       { return nil }
func (silence) Remove(string) error    { return nil }
func (silence) Hints() <-chan struct{} { return nil }
func (silence) Close()                 {}

// fileEvents turns fsnotify's events into hints. A goroutine of its own takes
// them, at all times: fsnotify reports some errors while it holds the lock
// that Add and Remove need, so the caller of those must not be the receiver of
// the error.
type fileEvents struct {
	*fsnotify.Watcher
	hints chan struct{}
	pump  sync.WaitGroup
}

func openEvents() (eventSource, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	e := &fileEvents{Watcher: watcher, hints: make(chan struct{}, 1)}
	e.pump.Go(e.run)
	return e, nil
}

// run takes every event and error as a hint. Names and kinds are not looked
// at: a Kubernetes volume changes without an event that names the file. The
// error that counts, a queue that overflowed, means that events were lost, and
// what was lost is a hint too.
func (e *fileEvents) run() {
	for {
		var ok bool
		select {
		case _, ok = <-e.Events:
		case _, ok = <-e.Errors:
		}
		if !ok {
			return
		}
		select {
		case e.hints <- struct{}{}:
		default:
		}
	}
}

func (e *fileEvents) Hints() <-chan struct{} { return e.hints }

func (e *fileEvents) Close() {
	// The error would be that of closing a descriptor at the end.
	_ = e.Watcher.Close()
	e.pump.Wait()
}
