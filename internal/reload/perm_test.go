package reload

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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

func secretFile(t *testing.T, mode fs.FileMode, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
	return path
}

func TestASecretFileIsReadInFull(t *testing.T) {
	want := bytes.Repeat([]byte("secret\n"), 10_000)
	got, err := ReadSecretFile(secretFile(t, 0o600, want))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes of %d, %v", len(got), len(want), err)
	}
}

func TestASecretFileIsReadThroughASymbolicLink(t *testing.T) {
	path := secretFile(t, 0o600, []byte("x"))
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadSecretFile(link); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestASecretFileBeyondTheLimitIsRefused(t *testing.T) {
	path := secretFile(t, 0o600, nil)
	if err := os.Truncate(path, maxSecretSize+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSecretFile(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestAMissingSecretFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	_, err := ReadSecretFile(path)
	if !os.IsNotExist(err) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyARegularFileHoldsSecrets(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadSecretFile(dir)
	if err == nil || err.Error() != dir+": not a regular file" {
		t.Errorf("a directory: %v", err)
	}
	if _, err := ReadSecretFile(os.DevNull); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a device: %v", err)
	}
}
