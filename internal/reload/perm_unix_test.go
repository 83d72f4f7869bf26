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

const root, me, other = 0, 1000, 1001

func TestTheModeOfASecretFileFollowsItsOwner(t *testing.T) {
	for _, c := range []struct {
		owner, current uint32
		mode           fs.FileMode
		want           string // part of the error, empty for none
	}{
		{me, me, 0o600, ""},
		{me, me, 0o400, ""},
		{me, me, 0o700, ""},
		{me, me, 0o000, ""},
		{me, me, 0o640, "permissions are 0640: the file must not be accessible to group or others (chmod 0600)"},
		{me, me, 0o660, "permissions are 0660"},
		{me, me, 0o604, "permissions are 0604"},
		{me, me, 0o601, "permissions are 0601"},
		{me, me, 0o644, "chmod 0600"},
		{me, me, 0o777, "permissions are 0777"},
		{root, me, 0o640, ""},
		{root, me, 0o440, ""},
		{root, me, 0o600, ""},
		{root, me, 0o644, "permissions are 0644: a file owned by root may be group-readable"},
		{root, me, 0o660, "chmod 0640"},
		{root, me, 0o650, "permissions are 0650"},
		{root, me, 0o604, "permissions are 0604"},
		{root, root, 0o640, ""},
		{root, root, 0o644, "permissions are 0644"},
		{other, me, 0o600, "owned by user id 1001"},
		{other, root, 0o600, "the owner must be root or the user who runs this program (chown)"},
		{me, me, 0o600 | fs.ModeSticky | fs.ModeSetuid, ""},
	} {
		err := checkSecretMode(c.mode, c.owner, c.current)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("owner %d, user %d, mode %o: %v", c.owner, c.current, c.mode, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("owner %d, user %d, mode %o: got %v, want %q", c.owner, c.current, c.mode, err, c.want)
		}
	}
}
