package reload

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
)

// Reader gives files to what is built from files that name others, and
// remembers them. It belongs to one build.
type Reader struct {
	sum   hash.Hash
	paths []string
}

// NewReader returns a Reader that has read nothing.
func NewReader() *Reader { return &Reader{sum: sha256.New()} }

// NewTreeStore is NewStore for a value whose files become known while it is
// built. build runs at each Reload and must read through its Reader only. Files
// that change while they are read make a value of old and new; the change of
// the last one has them read again.
func NewTreeStore[T any](name string, build func(*Reader) (T, error)) (*Store[T], error) {
	return newStore(name, func(digest) (value T, sum digest, paths []string, err error) {
		r := NewReader()
		value, err = build(r)
		return value, r.digest(), r.paths, err
	})
}

// ReadFile returns what a file of at most 1 MiB holds. A file that is not there
// is remembered as well.
func (r *Reader) ReadFile(path string) ([]byte, error) {
	r.paths = append(r.paths, path)
	data, _, err := readFile(File{Path: path})
	if errors.Is(err, errEmpty) {
		err = nil
	}
	hashPart(r.sum, []byte(path))
	if err != nil {
		hashPart(r.sum, []byte(err.Error()))
		return nil, err
	}
	hashPart(r.sum, data)
	return data, nil
}

// Files are the paths that were read so far. That of a directory ends with an
// asterisk.
func (r *Reader) Files() []string { return r.paths }

// digest identifies everything that was read so far.
func (r *Reader) digest() digest { return digest(r.sum.Sum(nil)) }

// ReadDir returns what is in a directory, by name.
func (r *Reader) ReadDir(path string) ([]fs.DirEntry, error) {
	r.paths = append(r.paths, filepath.Join(path, "*")) // the directory itself is to be watched
	return os.ReadDir(path)
}
