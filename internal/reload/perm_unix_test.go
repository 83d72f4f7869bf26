//go:build unix

package reload

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAFileOpenToOthersIsNotRead(t *testing.T) {
	path := secretFile(t, 0o644, []byte("MARK"))
	got, err := ReadSecretFile(path)
	if err == nil || !strings.HasPrefix(err.Error(), path+": permissions are 0644") || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("got %v", err)
	}
	if got != nil || strings.Contains(err.Error(), "MARK") {
		t.Error("the content came out")
	}
}

func TestAFIFOIsRefusedWithoutWaitingForItsWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecretFile(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

// ownedBy is a file's info with another owner and mode.
type ownedBy struct {
	fs.FileInfo
	mode fs.FileMode
	sys  any
}

func (o ownedBy) Mode() fs.FileMode { return o.mode }
func (o ownedBy) Sys() any          { return o.sys }

func TestCheckSecretFileLooksAtOwnerAndMode(t *testing.T) {
	info, err := os.Stat(secretFile(t, 0o600, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckSecretFile(info); err != nil {
		t.Errorf("a good file: %v", err)
	}
	stranger := uint32(os.Geteuid()) + 1
	for name, c := range map[string]struct {
		info ownedBy
		want string
	}{
		"root's, for its group": {ownedBy{info, 0o640, &syscall.Stat_t{Uid: 0}}, ""},
		"root's, for all":       {ownedBy{info, 0o644, &syscall.Stat_t{Uid: 0}}, "chmod 0640"},
		"a stranger's":          {ownedBy{info, 0o600, &syscall.Stat_t{Uid: stranger}}, "owned by user id"},
		"nobody's":              {ownedBy{info, 0o600, nil}, "file owner is unknown"},
		"a socket":              {ownedBy{info, fs.ModeSocket | 0o600, &syscall.Stat_t{Uid: 0}}, "not a regular file"},
		"a symbolic link":       {ownedBy{info, fs.ModeSymlink | 0o600, &syscall.Stat_t{Uid: 0}}, "not a regular file"},
	} {
		err := CheckSecretFile(c.info)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
