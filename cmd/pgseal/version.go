package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker for released binaries.
var release = ""

// version returns the release, or the revision the binary was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "devel " + s.Value[:12]
			}
		}
	}
	return "devel"
}

func runVersion(c *cli, args []string) error {
	flags := flag.NewFlagSet("version", flag.ContinueOnError)
	if err := c.parse(flags, args, "pgseal version", "Prints the version and build information."); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "pgseal %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
