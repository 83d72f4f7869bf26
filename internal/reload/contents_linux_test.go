package reload

import (
	"strings"
	"testing"
)

func TestAFileThatCanNotBeReadIsNamedOnce(t *testing.T) {
	const path = "/proc/self/mem" // a regular file that the system does not let be read from its start
	_, _, err := readFile(File{Path: path})
	if err == nil || strings.Count(err.Error(), path) != 1 {
		t.Errorf("told as %v", err)
	}
}
