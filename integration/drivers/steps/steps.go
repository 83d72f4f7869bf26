package steps

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// Tag begins the names of all that the program creates.
var Tag = os.Getenv("PGSEAL_TEST_TAG")

// Unicode is text with characters of one to four bytes.
const Unicode = "naïve Δοκιμή 試験 🐘"

// Run does a step and prints what came of it.
func Run(name string, step func()) {
	defer func() {
		switch r := recover(); r := r.(type) {
		case nil:
			fmt.Println("ok", name)
		case failure:
			fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(string(r), "\n", " "))
		default:
			panic(r)
		}
	}()
	step()
}

// Missing says that the driver has no such thing.
func Missing(name, why string) { fmt.Printf("n/a %s: %s\n", name, why) }

// Version tells which release of a module the program was built with.
func Version(module string) {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == module {
			fmt.Println("version", strings.TrimPrefix(m.Version, "v"))
		}
	}
}

type failure string

// Fail ends the step.
func Fail(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Check ends the step where there is an error.
func Check(err error) {
	if err != nil {
		Fail("%v", err)
	}
}

// Equal ends the step where got is not want.
func Equal[T comparable](got, want T) {
	if got != want {
		Fail("got %v, want %v", got, want)
	}
}
