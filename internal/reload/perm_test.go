package reload

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
