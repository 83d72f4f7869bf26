package reload

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheDirectoriesOfAPathAreThoseWhereItCanChange(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	ok(t, err)
	at := func(path string) string { return filepath.Join(root, path) }
	for _, dir := range []string{"tls", "k8s/..2026_a", "live/db", "archive/db", "v1/tls", "etc", "deep/a/b"} {
		ok(t, os.MkdirAll(at(dir), 0o755))
	}
	for _, file := range []string{"tls/tls.crt", "k8s/..2026_a/tls.crt", "archive/db/cert1.pem", "v1/tls/tls.crt", "deep/a/file"} {
		write(t, at(file), []byte("x"), 0o644)
	}
	for link, target := range map[string]string{
		"k8s/..data":       "..2026_a",
		"k8s/tls.crt":      "..data/tls.crt",
		"live/db/cert.pem": "../../archive/db/cert1.pem",
		"etc/current":      at("v1"),
		"etc/dangling":     "nowhere/at/all",
		"etc/loop":         "loop",
		"deep/b":           "a/b",
	} {
		ok(t, os.Symlink(target, at(link)))
	}
	for _, test := range []struct {
		path string
		want []string
	}{
		{"tls/tls.crt", []string{"tls"}},
		{"tls//./../tls/tls.crt", []string{"tls"}},
		{"k8s/tls.crt", []string{"k8s", "k8s", "k8s/..2026_a"}},
		{"live/db/cert.pem", []string{"live/db", "archive/db"}},
		{"etc/current/tls/tls.crt", []string{"etc", "v1/tls"}},
		{"tls/new.crt", []string{"tls"}},
		{"tls/new/dir/tls.crt", []string{"tls"}},
		{"none/of/it", []string{""}},
		{"etc/dangling", []string{"etc", "etc"}},
	} {
		var want []string
		for _, dir := range test.want {
			want = append(want, at(dir))
		}
		if got := watchDirs(root + "/" + test.path); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", test.path, got, want)
		}
	}
	// ".." behind a symlink is the parent of where it leads.
	ok(t, os.Symlink("b/../file", at("deep/file")))
	if got, want := watchDirs(at("deep/file")), []string{at("deep"), at("deep"), at("deep/a")}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := watchDirs(at("etc/loop")); len(got) == 0 || slices.ContainsFunc(got, func(dir string) bool { return dir != at("etc") }) {
		t.Errorf("a loop gives %q", got)
	}
}

// fakeSource records what is watched.
type fakeSource struct {
	hints  chan struct{}
	added  map[string]int // How often, since the last Remove.
	refuse map[string]bool
	closed bool
}

func newFakeSource() *fakeSource {
	return &fakeSource{hints: make(chan struct{}, 1), added: map[string]int{}, refuse: map[string]bool{}}
}

func (s *fakeSource) Add(dir string) error {
	if s.refuse[dir] {
		return errors.New("no space left on device")
	}
	s.added[dir]++
	return nil
}

func (s *fakeSource) Remove(dir string) error {
	delete(s.added, dir)
	return nil
}

func (s *fakeSource) Hints() <-chan struct{} { return s.hints }
func (s *fakeSource) Close()                 { s.closed = true }

func (s *fakeSource) dirs() []string { return slices.Sorted(maps.Keys(s.added)) }

func TestTheWatchFollowsAPathThatLeadsElsewhere(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	ok(t, err)
	a, b, link := filepath.Join(root, "a"), filepath.Join(root, "b"), filepath.Join(root, "link")
	ok(t, os.Mkdir(a, 0o755))
	ok(t, os.Mkdir(b, 0o755))
	ok(t, os.Symlink("a", link))
	write(t, filepath.Join(a, "f"), []byte("x"), 0o644)
	write(t, filepath.Join(b, "f"), []byte("x"), 0o644)
	log, logs := newLog()
	source := newFakeSource()
	d := newDirWatch(log, source)
	files := []string{filepath.Join(link, "f")}
	expect := func(when string, want ...string) {
		t.Helper()
		d.follow(files)
		if got := source.dirs(); !slices.Equal(got, want) {
			t.Errorf("%s: watching %q, want %q", when, got, want)
		}
	}
	expect("at first", root, a)
	ok(t, os.Remove(link))
	expect("link gone", root)
	ok(t, os.Symlink("b", link))
	expect("link to the other", root, b)
	ok(t, os.RemoveAll(b))
	expect("target gone", root)
	ok(t, os.Mkdir(b, 0o755))
	expect("target back and empty", root, b)
	files = nil
	expect("nothing to watch")
	if logs.Len() != 0 {
		t.Errorf("logged %s", logs.text())
	}
}

func TestADirectoryReplacedByAnotherOfItsNameIsAddedAnew(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "tls")
	ok(t, os.Mkdir(dir, 0o755))
	write(t, filepath.Join(dir, "f"), []byte("x"), 0o644)
	log, _ := newLog()
	source := newFakeSource()
	d := newDirWatch(log, source)
	d.follow([]string{filepath.Join(dir, "f")})
	first := source.added[dir]
	d.follow([]string{filepath.Join(dir, "f")})
	if first == 0 || source.added[dir] <= first {
		t.Error("a directory that was moved away and back would be lost: it is not added again")
	}
	ok(t, os.Rename(dir, dir+".old"))
	ok(t, os.Mkdir(dir, 0o755))
	write(t, filepath.Join(dir, "f"), []byte("x"), 0o644)
	d.follow([]string{filepath.Join(dir, "f")})
	if source.added[dir] > first {
		t.Error("the watch of the old directory was not removed")
	}
}

func TestADirectoryThatCannotBeWatchedIsToldOnceAndTriedAgain(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	ok(t, err)
	log, logs := newLog()
	source := newFakeSource()
	source.refuse[root] = true
	d := newDirWatch(log, source)
	files := []string{filepath.Join(root, "f")}
	d.follow(files)
	d.follow(files)
	if logs.count("directory not watched, polling only") != 1 || logs.Len() != 1 {
		t.Errorf("logged %s", logs.text())
	}
	source.refuse[root] = false
	d.follow(files)
	if source.added[root] == 0 {
		t.Error("not tried again")
	}
	source.refuse[root] = true
	d.follow(files)
	if logs.Len() != 2 {
		t.Error("trouble that came back was not told")
	}
}
