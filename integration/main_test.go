package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The program under test, in its two builds.
var (
	raceBinary  string // ends with an error at the first data race
	plainBinary string // as users get it
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pgseal-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	raceBinary, plainBinary = filepath.Join(dir, "pgseal-race"), filepath.Join(dir, "pgseal")
	for _, args := range [][]string{{"-race", "-o", raceBinary}, {"-o", plainBinary}} {
		cmd := exec.Command("go", append(append([]string{"build"}, args...), "./cmd/pgseal")...)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build pgseal: %v\n%s", err, out)
			return 1
		}
	}
	defer stopShared()
	return m.Run()
}
