package reload

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// DefaultPollInterval is how often files are read when no event reports a
// change: on network file systems, with inotify used up, or in a container
// with a single file mounted into it.
const DefaultPollInterval = 5 * time.Second

const (
	// quietTime is how long a directory must be still before its files are
	// read: a certificate and its key are rarely written at one instant.
	quietTime = 150 * time.Millisecond
	// maxWait bounds that, so that a busy directory does not put a reload off
	// for ever.
	maxWait = time.Second
)

// logFielder is implemented by what can describe itself in a log line.
type logFielder interface {
	LogFields() []zap.Field
}

// Watcher reloads a set of Reloadables when their files change. Events of the
// file system are hints that make it fast; a poll makes it certain.
type Watcher struct {
	// Set once.
	log      *zap.Logger
	interval time.Duration
	open     func() (eventSource, error)
	told     func(name string, err error) // OnReload's

	// kick tells Run that the set has changed.
	kick chan struct{}

	// mu guards the set, and which of it was refused at the last reload.
	mu      sync.Mutex
	set     []Reloadable
	refused map[Reloadable]bool
}

// NewWatcher returns a watcher of nothing. It polls at the interval, or at
// DefaultPollInterval if that is not positive.
func NewWatcher(log *zap.Logger, interval time.Duration) *Watcher {
	if interval <= 0 {
		interval = DefaultPollInterval
	}
	return &Watcher{log: log, interval: interval, open: openEvents, told: func(string, error) {}, kick: make(chan struct{}, 1), refused: map[Reloadable]bool{}}
}

// OnReload has f told, on the goroutine that reloads, of all that the log is:
// what was taken, and with err what was refused. It is called once, before Run.
func (w *Watcher) OnReload(f func(name string, err error)) { w.told = f }

// Set replaces what is watched. Any goroutine may call it, before Run or
// during it.
func (w *Watcher) Set(rs ...Reloadable) {
	w.mu.Lock()
	w.set = slices.Clone(rs)
	maps.DeleteFunc(w.refused, func(r Reloadable, _ bool) bool { return !slices.Contains(rs, r) })
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *Watcher) watched() []Reloadable {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set
}

// Run watches until ctx ends. It is called once and returns after everything
// that it started has ended.
func (w *Watcher) Run(ctx context.Context) {
	source := w.openSource()
	defer source.Close()
	dirs := newDirWatch(w.log, source)
	poll := time.NewTicker(w.interval)
	defer poll.Stop()
	for {
		w.pass(dirs)
		if !w.wait(ctx, source.Hints(), poll.C) {
			return
		}
	}
}

// wait returns true when it is time for a pass, and false when ctx has ended.
func (w *Watcher) wait(ctx context.Context, hints <-chan struct{}, poll <-chan time.Time) bool {
	var burst burst
	for {
		select {
		case <-ctx.Done():
			return false
		case <-w.kick:
			return true
		case <-poll:
			// During a burst files are being written: wait for its end.
			if !burst.pending() {
				return true
			}
		case <-hints:
			burst.extend()
		case <-burst.over():
			return true
		}
	}
}

// openSource falls back to a source that never hints, and says so once.
func (w *Watcher) openSource() eventSource {
	source, err := w.open()
	if err != nil {
		w.log.Warn("file events unavailable, polling only",
			zap.Error(err), zap.Duration("interval", w.interval))
		return silence{}
	}
	return source
}

// pass checks everything once. The directories come first: what changes
// after that is a new hint, what changed before is read now.
func (w *Watcher) pass(dirs *dirWatch) {
	set := w.watched()
	var files []string
	for _, r := range set {
		files = append(files, r.Files()...)
	}
	dirs.follow(files)
	for _, r := range set {
		w.reload(r) // The error is logged there.
	}
}

// ReloadAll reloads everything now, as on SIGHUP, in the caller's goroutine. It
// joins the errors, also those that were logged before.
func (w *Watcher) ReloadAll() error {
	var errs []error
	for _, r := range w.watched() {
		errs = append(errs, w.reload(r))
	}
	return errors.Join(errs...)
}

// reload logs a change, a refusal that is news, and the end of one.
func (w *Watcher) reload(r Reloadable) error {
	changed, err := r.Reload()
	healed := w.note(r, err != nil) && err == nil
	if err != nil {
		cause := err
		if e, ok := errors.AsType[*ReloadError](err); ok {
			if e.Repeated {
				return err
			}
			cause = e.Err
		}
		w.log.Error("reload failed, keeping the version in force",
			zap.String("name", r.Name()), zap.Error(cause))
		w.told(r.Name(), cause)
		return err
	}
	if changed || healed {
		w.told(r.Name(), nil)
	}
	if changed {
		w.logChange(r)
	} else if healed {
		w.log.Info("rejected change was reverted", zap.String("name", r.Name()))
	}
	return nil
}

// note remembers whether r was refused, and reports whether it was before.
func (w *Watcher) note(r Reloadable, refused bool) (before bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before = w.refused[r]
	if refused {
		w.refused[r] = true
	} else {
		delete(w.refused, r)
	}
	return before
}

// logChange logs certificates with their details, and of other files, which
// do not describe themselves, by name only.
func (w *Watcher) logChange(r Reloadable) {
	fields := []zap.Field{zap.String("name", r.Name())}
	if d, ok := r.(logFielder); ok {
		if facts := d.LogFields(); len(facts) > 0 {
			w.log.Info("certificates reloaded", append(fields, facts...)...)
			return
		}
	}
	w.log.Info("files reloaded", fields...)
}

// burst is a run of hints: it is over after quietTime without one, and maxWait
// after the first at the latest. The zero value is no burst.
type burst struct {
	end   *time.Timer
	limit time.Time
}

func (b *burst) pending() bool { return b.end != nil }

// extend notes a hint.
func (b *burst) extend() {
	if b.end == nil {
		b.limit = time.Now().Add(maxWait)
		b.end = time.NewTimer(quietTime)
		return
	}
	b.end.Reset(min(quietTime, time.Until(b.limit)))
}

// over returns the channel that tells the end, nil if there is no burst.
func (b *burst) over() <-chan time.Time {
	if b.end == nil {
		return nil
	}
	return b.end.C
}
