package reload

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// list joins the files that the first one names, line by line.
func list(root string) func(*Reader) (string, error) {
	return func(r *Reader) (string, error) {
		names, err := r.ReadFile(root)
		if err != nil {
			return "", err
		}
		var all []string
		for name := range bytes.FieldsSeq(names) {
			data, err := r.ReadFile(filepath.Join(filepath.Dir(root), string(name)))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || bytes.Contains(data, []byte("bad")) {
				return "", errors.Join(err, errors.New("bad"))
			}
			all = append(all, string(data))
		}
		return strings.Join(all, "+"), nil
	}
}

func TestATreeFollowsTheFilesThatItsFilesName(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("root", "a b")
	put("a", "1")
	s, err := NewTreeStore("tree", list(filepath.Join(dir, "root")))
	if err != nil {
		t.Fatal(err)
	}
	step := func(want string, changes, fails bool) {
		t.Helper()
		changed, err := s.Reload()
		if s.Load() != want || changed != changes || (err != nil) != fails {
			t.Errorf("%q, changed %t, %v; want %q", s.Load(), changed, err, want)
		}
	}
	step("1", false, false)
	put("b", "2") // it was missing
	step("1+2", true, false)
	put("a", "bad")
	step("1+2", false, true)
	put("a", "")
	step("+2", true, false)
	put("root", "c")
	put("c", "3")
	step("3", true, false)
	put("a", "4") // no longer named
	step("3", false, false)
	if got := s.Files(); !slices.Equal(got, []string{filepath.Join(dir, "root"), filepath.Join(dir, "c")}) {
		t.Errorf("files are %q", got)
	}
}
