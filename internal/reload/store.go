package reload

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/stats"
)

// Reloadable is something built from files that can be built again.
type Reloadable interface {
	// Name identifies it for people.
	Name() string
	// Files are the paths it is built from.
	Files() []string
	// Reload reads the files again and reports whether anything changed.
	// After an error the version from before stays in force. The error of
	// content that was refused before is a *ReloadError with Repeated set.
	Reload() (changed bool, err error)
}

// Successor is implemented by values that look at the value before them. An
// error keeps the old one in force.
type Successor[T any] interface {
	MaySucceed(old T) error
}

// ReloadError says that a store kept its old value.
type ReloadError struct {
	// Name is the store's name.
	Name string
	// Err is the reason. It names the file.
	Err error
	// Repeated is set when the reload before this one failed in the same way
	// on the same content, so that it need not be told again.
	Repeated bool
}

func (e *ReloadError) Error() string { return e.Name + ": " + e.Err.Error() }
func (e *ReloadError) Unwrap() error { return e.Err }

// Store holds an immutable value built from files and replaces it as a whole.
// Any goroutine may call its methods.
type Store[T any] struct {
	// Set once. load builds a value from the files as they are now, and tells
	// which these are; of content with the digest loaded it builds none.
	name string
	load func(loaded digest) (value T, sum digest, paths []string, err error)

	// The value in force, swapped by the goroutine that holds reloading.
	current atomic.Pointer[T]

	// reloading lets one reload run at a time, callbacks included. It guards
	// the two digests: of the content in force, and of the content that was
	// refused last.
	reloading       sync.Mutex
	loaded, refused digest

	// mu guards what follows. It is never held while files are read.
	mu       sync.Mutex
	paths    []string // that were read last
	status   stats.ReloadStatus
	onChange []func(T)
}

// digest identifies a content without keeping the secrets in it.
type digest [sha256.Size]byte

// NewStore loads the files and builds the first value. The error names the
// store and the file. build must not keep or change the bytes that it is
// given, and must be safe to call again at any time; one call runs at a time.
func NewStore[T any](name string, files []File, build func(Contents) (T, error)) (*Store[T], error) {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	return newStore(name, func(loaded digest) (value T, sum digest, _ []string, err error) {
		value, sum, err = readSet(files, loaded, build)
		return value, sum, paths, err
	})
}

func newStore[T any](name string, load func(digest) (T, digest, []string, error)) (*Store[T], error) {
	s := &Store[T]{name: name, load: load}
	value, sum, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.current.Store(&value)
	s.loaded = sum
	s.status.LoadedAt = time.Now()
	return s, nil
}

// Name returns the name given to NewStore.
func (s *Store[T]) Name() string { return s.name }

// Files returns the paths that the store read last, in the order given.
func (s *Store[T]) Files() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.paths)
}

// Load returns the value in force. It takes no lock.
func (s *Store[T]) Load() T { return *s.current.Load() }

// Status returns counters and times as they are now.
func (s *Store[T]) Status() stats.ReloadStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// OnChange registers a function that is called with each new value after it
// came into force, in order, by the goroutine that reloads. It must not call
// Reload of the same store.
func (s *Store[T]) OnChange(f func(T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = append(s.onChange, f)
}

// LogFields describes the value in force if it can describe itself.
func (s *Store[T]) LogFields() []zap.Field {
	if v, ok := any(s.Load()).(logFielder); ok {
		return v.LogFields()
	}
	return nil
}

// Reload reads all files again. The same content as the one in force is no
// change. New content is built and swapped in; if that fails the old value
// stays, and the error is a *ReloadError. Content that was refused is tried
// again at each call, since time can heal it: a certificate becomes valid.
func (s *Store[T]) Reload() (changed bool, err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()

	value, sum, err := s.read()
	switch {
	case err != nil:
		return false, s.refuse(sum, err)
	case sum == s.loaded:
		s.settle(false)
		return false, nil
	}
	if next, ok := any(value).(Successor[T]); ok {
		if err := next.MaySucceed(s.Load()); err != nil {
			return false, s.refuse(sum, err)
		}
	}
	s.current.Store(&value)
	s.loaded = sum
	for _, f := range s.settle(true) {
		f(value)
	}
	return true, nil
}

// read loads the files and notes which they are.
func (s *Store[T]) read() (value T, sum digest, err error) {
	value, sum, paths, err := s.load(s.loaded)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths = paths
	return value, sum, err
}

// readSet builds a value from a set of files as they are now. The digest is
// that of the content, also when it could not be built from; zero when it could
// not be read. Content that is in force already is not built again.
func readSet[T any](files []File, loaded digest, build func(Contents) (T, error)) (value T, sum digest, err error) {
	contents, err := readContents(files, unchanged)
	if err != nil {
		return value, digest{}, err
	}
	sum = digestOf(files, contents)
	if sum == loaded {
		return value, sum, nil
	}
	value, err = build(contents)
	return value, sum, err
}

// digestOf hashes the contents, each with its length so that bytes cannot move
// from one file to the next unseen.
func digestOf(files []File, contents Contents) digest {
	h := sha256.New()
	for _, f := range files {
		hashPart(h, contents[f.Path])
	}
	return digest(h.Sum(nil))
}

func hashPart(h hash.Hash, data []byte) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(data))))
	h.Write(data)
}

// refuse notes an error of the content sum and wraps it. The same error on the
// same content is one failure.
func (s *Store[T]) refuse(sum digest, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.status.LastError
	repeated := last != nil && sum == s.refused && last.Error() == err.Error()
	if !repeated {
		s.refused = sum
		s.status.LastError = err
		s.status.LastErrorAt = time.Now()
		s.status.Failures++
	}
	return &ReloadError{Name: s.name, Err: err, Repeated: repeated}
}

// settle notes that files and value agree, and returns the callbacks to run.
func (s *Store[T]) settle(swapped bool) []func(T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.LastError = nil
	if swapped {
		s.status.LoadedAt = time.Now()
		s.status.Reloads++
	}
	return s.onChange[:len(s.onChange):len(s.onChange)]
}
