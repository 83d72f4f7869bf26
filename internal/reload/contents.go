package reload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	// maxFileSize limits the size of one file. The bundle of all public
	// authorities is a quarter of it.
	maxFileSize = 1 << 20

	// readAttempts and readPause say how long files that change under the
	// reader are waited for: 2+4+8+16 ms in all.
	readAttempts = 5
	readPause    = 2 * time.Millisecond
)

var (
	errUnsettled  = errors.New("files kept changing while being read")
	errNotRegular = errors.New("not a regular file")
	errEmpty      = errors.New("file is empty")
)

// File is one file of a set that is read together.
type File struct {
	Path string
	// Secret asks for the permissions that PostgreSQL wants on key files.
	Secret bool
	// Max is its maximum size in bytes, 1 MiB if zero.
	Max int64
}

// Contents maps each path of a set to what the file held, all at one moment.
// Whoever gets one must not change the bytes.
type Contents map[string][]byte

// readContents reads files as one version: after the last byte is read, every
// path must still lead to the file that was read, unchanged, as settled
// reports. So a symlink swapped between the certificate and the key gives the
// old pair or the new one, never one of each. Errors name the file.
func readContents(files []File, settled func([]File, []fs.FileInfo) bool) (Contents, error) {
	for attempt := range readAttempts {
		if attempt > 0 {
			time.Sleep(readPause << (attempt - 1))
		}
		contents := make(Contents, len(files))
		infos := make([]fs.FileInfo, len(files))
		for i, f := range files {
			var err error
			if contents[f.Path], infos[i], err = readFile(f); err != nil {
				return nil, err
			}
		}
		if settled(files, infos) {
			return contents, nil
		}
	}
	return nil, errUnsettled
}

// unchanged reports whether every path still leads to the file that infos
// describes.
func unchanged(files []File, infos []fs.FileInfo) bool {
	for i, f := range files {
		now, err := os.Stat(f.Path)
		if err != nil || !os.SameFile(now, infos[i]) ||
			now.Size() != infos[i].Size() || !now.ModTime().Equal(infos[i].ModTime()) {
			return false
		}
	}
	return true
}

// readFile reads one file and describes it as it was when it was opened.
// Permissions are checked on the open descriptor, so that they are those of
// the bytes that follow. Errors name the file.
func readFile(f File) ([]byte, fs.FileInfo, error) {
	file, err := os.OpenFile(f.Path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	data, err := readChecked(file, info, f)
	if err != nil {
		return nil, nil, fileError(f.Path, err)
	}
	return data, info, nil
}

func readChecked(r io.Reader, info fs.FileInfo, f File) ([]byte, error) {
	limit := f.Max
	if limit == 0 {
		limit = maxFileSize
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	if f.Secret {
		if err := CheckSecretFile(info); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("larger than %d bytes", limit)
	case len(data) == 0:
		return nil, errEmpty
	}
	return data, nil
}
