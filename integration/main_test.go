package integration

import (
	"flag"
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

// parallel is how many tests run at the same time unless go test -parallel
// says otherwise. They wait much of the time, and have limits that more of them
// on a small machine would miss.
const parallel = "4"

func run(m *testing.M) int {
	if err := flag.Set("test.parallel", parallel); err != nil { // the command line is read later, and wins
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
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
	if programs.root, err = os.MkdirTemp("", "pgseal-programs-"); err == nil {
		err = os.Chmod(programs.root, 0o755) // for the user who runs PostgreSQL
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs.root)
	defer stopShared()
	return m.Run()
}
