package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
)

func TestAMockKeyIsReadFromAClosedFile(t *testing.T) {
	const key = "0123456789abcdef"
	path := filepath.Join(t.TempDir(), "mock")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := readMocker(path); err != nil || !m.Same(auth.NewMocker([]byte(key))) {
		t.Errorf("the key is not the file's content: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readMocker(path); err == nil || !strings.HasPrefix(err.Error(), path+": permissions are 0644") {
		t.Errorf("a file open to others: %v", err)
	}
}
