package pgcluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stranger is a user who is not us and owns nothing here.
var stranger = &account{name: "stranger", uid: 4_000_000_000, gid: 4_000_000_000}

func TestADirectoryTheServersUserCannotEnterIsNamedInTheError(t *testing.T) {
	private := filepath.Join(t.TempDir(), "private")
	inside := filepath.Join(private, "inside")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	err := stranger.canEnter(inside)
	if err == nil || !strings.HasSuffix(err.Error(), "cannot enter "+private) || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("got %v", err)
	}
	if _, err := stranger.mkdir(inside); err == nil {
		t.Error("made a directory there")
	}
}

func TestWhoMayEnterADirectoryFollowsOwnerGroupAndOthers(t *testing.T) {
	dir := t.TempDir()
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	for _, row := range []struct {
		mode os.FileMode
		who  account
		want bool
	}{
		{0o700, account{uid: uid, gid: gid}, true},
		{0o077, account{uid: uid, gid: gid}, false},
		{0o710, account{uid: uid + 1, gid: gid}, true},
		{0o701, account{uid: uid + 1, gid: gid}, false},
		{0o701, account{uid: uid + 1, gid: gid + 1}, true},
		{0o770, account{uid: uid + 1, gid: gid + 1}, false},
	} {
		if err := os.Chmod(dir, row.mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := row.who.mayExecute(info); got != row.want {
			t.Errorf("mode %o, user %d:%d: %v", row.mode, row.who.uid, row.who.gid, got)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestAPrivateTemporaryDirectoryIsPassedOver(t *testing.T) {
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", private)
	a, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := a.mkdir("")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// Without a change of user our own directory does well.
	if inPrivate := filepath.Dir(dir) == private; inPrivate != (a == nil) {
		t.Errorf("the directory is %s", dir)
	}
}
