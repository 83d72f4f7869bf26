package reload

import (
	"crypto/sha256"
	"time"
)

// Manifest is what a file says that names the other files a value is built
// from.
type Manifest[T any] interface {
	// Files are those that it names.
	Files() []File
	// Build makes the value of them, as the build of NewStore does.
	Build(Contents) (T, error)
	// Blame adds to an error of reading Files the lines that it comes from.
	Blame(error) error
}

// NewManifestStore is NewStore for a value whose files are named in another
// one. read reads that and must do so through its Reader only. It is called
// before and after the files that it names are read, so that all are one
// version.
func NewManifestStore[T any, M Manifest[T]](name string, read func(*Reader) (M, error)) (*Store[T], error) {
	return newStore(name, func(loaded digest) (value T, sum digest, paths []string, err error) {
		for attempt := range readAttempts {
			if attempt > 0 {
				time.Sleep(readPause << (attempt - 1))
			}
			r := NewReader()
			m, err := read(r)
			if paths = r.paths; err != nil {
				return value, r.digest(), paths, err
			}
			files := m.Files()
			for _, f := range files {
				paths = append(paths, f.Path)
			}
			contents, err := ReadContents(files)
			again := NewReader()
			if _, changed := read(again); changed != nil || again.digest() != r.digest() {
				continue
			}
			if err != nil {
				return value, digest{}, paths, m.Blame(err)
			}
			of, with := r.digest(), digestOf(files, contents)
			sum := digest(sha256.Sum256(append(of[:], with[:]...)))
			if sum == loaded {
				return value, sum, paths, nil
			}
			value, err = m.Build(contents)
			return value, sum, paths, err
		}
		return value, digest{}, paths, errUnsettled
	})
}
