package reload

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFilesAreReadWithWhatTheyHold(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, []byte("one"), 0o644)
	write(t, b, []byte("two"), 0o600)
	contents, err := readContents([]File{{Path: a}, {Path: b, Secret: true}}, unchanged)
	ok(t, err)
	if len(contents) != 2 || string(contents[a]) != "one" || string(contents[b]) != "two" {
		t.Errorf("read %q", contents)
	}
}

func TestAFileThatCannotBeTakenIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("empty"), nil, 0o600)
	write(t, path("large"), bytes.Repeat([]byte{'x'}, maxFileSize+1), 0o600)
	write(t, path("open"), []byte("x"), 0o644)
	ok(t, os.Mkdir(path("dir"), 0o700))
	ok(t, syscall.Mkfifo(path("fifo"), 0o600))
	ok(t, os.Symlink("loop", path("loop")))
	for _, test := range []struct {
		file File
		want error  // nil to go by the word
		word string // "" to go by the error
	}{
		{file: File{Path: path("missing")}, want: fs.ErrNotExist},
		{file: File{Path: path("loop")}, want: syscall.ELOOP},
		{file: File{Path: path("empty")}, want: errEmpty},
		{file: File{Path: path("large")}, word: "larger than"},
		{file: File{Path: path("dir")}, want: errNotRegular},
		{file: File{Path: path("fifo")}, want: errNotRegular},
		{file: File{Path: path("open"), Secret: true}, word: "permissions"},
	} {
		_, err := readContents([]File{test.file}, unchanged)
		if test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.file.Path, err, test.want)
		}
		wantError(t, err, test.file.Path, test.word)
	}
}

func TestAFileOfTheLargestSizeIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full")
	write(t, path, bytes.Repeat([]byte{'x'}, maxFileSize), 0o644)
	contents, err := readContents([]File{{Path: path}}, unchanged)
	ok(t, err)
	if len(contents[path]) != maxFileSize {
		t.Errorf("read %d bytes, want %d", len(contents[path]), maxFileSize)
	}
}

func TestASecretFileIsJudgedByWhereItsSymlinkLeads(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	write(t, target, []byte("x"), 0o600)
	ok(t, os.Symlink(target, link))
	_, err := readContents([]File{{Path: link, Secret: true}}, unchanged)
	ok(t, err)
	ok(t, os.Chmod(target, 0o604))
	_, err = readContents([]File{{Path: link, Secret: true}}, unchanged)
	wantError(t, err, link, "permissions")
}

func TestFilesReadDuringASwapAreOfOneVersion(t *testing.T) {
	dir := t.TempDir()
	swap := func(version int) {
		name := fmt.Sprintf("..v%d", version)
		ok(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		for _, file := range []string{"tls.crt", "tls.key"} {
			write(t, filepath.Join(dir, name, file), fmt.Append(nil, version), 0o600)
		}
		ok(t, os.Symlink(name, filepath.Join(dir, "..tmp")))
		ok(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	}
	swap(0)
	cert, key := filepath.Join(dir, "..data", "tls.crt"), filepath.Join(dir, "..data", "tls.key")

	var readers sync.WaitGroup
	done := make(chan struct{})
	read := 0
	readers.Go(func() {
		for {
			contents, err := readContents([]File{{Path: cert}, {Path: key, Secret: true}}, unchanged)
			switch {
			case errors.Is(err, errUnsettled): // Swapped faster than anybody renews.
			case err != nil:
				t.Error(err)
				return
			case !bytes.Equal(contents[cert], contents[key]):
				t.Errorf("certificate of version %s with the key of version %s", contents[cert], contents[key])
				return
			default:
				read++
			}
			select {
			case <-done:
				if read > 0 {
					return
				}
			default:
			}
		}
	})
	for version := 1; version <= 200; version++ {
		swap(version)
	}
	close(done)
	readers.Wait()
}

func TestEveryKindOfChangeSinceTheReadIsSeen(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"another size": func(path string) error { return os.WriteFile(path, []byte("longer"), 0o600) },
		"another time": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		"deleted":      os.Remove,
		"another file": func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path+"2", []byte("abc"), 0o600),
				os.Chtimes(path+"2", time.Time{}, info.ModTime()), os.Rename(path+"2", path))
		},
	} {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, []byte("abc"), 0o600)
		files := []File{{Path: path}}
		_, info, err := readFile(files[0])
		ok(t, err)
		if !unchanged(files, []fs.FileInfo{info}) {
			t.Errorf("%s: changed before it was", name)
		}
		ok(t, change(path))
		if unchanged(files, []fs.FileInfo{info}) {
			t.Errorf("%s: not seen", name)
		}
	}
}

func TestFilesThatAreBeingWrittenAreReadAgainAfterAPause(t *testing.T) {
	for _, test := range []struct {
		changes int // How often the files change while they are read.
		want    error
		pause   time.Duration
	}{
		{0, nil, 0},
		{1, nil, 2 * time.Millisecond},
		{4, nil, 30 * time.Millisecond},
		{5, errUnsettled, 30 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			write(t, path, []byte("version 0"), 0o600)
			start, reads := time.Now(), 0
			contents, err := readContents([]File{{Path: path}}, func([]File, []fs.FileInfo) bool {
				reads++
				write(t, path, fmt.Appendf(nil, "version %d", reads), 0o600)
				return reads > test.changes
			})
			if !errors.Is(err, test.want) || time.Since(start) != test.pause {
				t.Errorf("%d changes: %v after %v, want %v after %v",
					test.changes, err, time.Since(start), test.want, test.pause)
			}
			if want := fmt.Sprintf("version %d", test.changes); err == nil && string(contents[path]) != want {
				t.Errorf("%d changes: read %q, want %q", test.changes, contents[path], want)
			}
		})
	}
}
