package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pgseal/pgseal/bench/internal/scenario"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// Exit statuses.
const (
	exitFine   = 0
	exitErrors = 1
	exitUsage  = 2
)

func main() { os.Exit(runMain(os.Args[1:], os.Stdout, os.Stderr)) }

const mainHelp = `pgseal-bench compares pgseal with its alternatives.

Commands:
  pgseal-bench run       measure, and write results.json, report.md and report.html
  pgseal-bench compare   report what changed between two results.json beyond the noise
  pgseal-bench list      list scenarios and targets

Use "pgseal-bench COMMAND --help" for details.
`

// runMain runs one command line and returns the exit status.
func runMain(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, mainHelp)
		return exitUsage
	}
	switch args[0] {
	case "run":
		return runRun(args[1:], stdout, stderr)
	case "compare":
		return runCompare(args[1:], stdout, stderr)
	case "list":
		return runList(args[1:], stdout, stderr)
	case "help", "--help", "-help", "-h":
		fmt.Fprint(stdout, mainHelp)
		return exitFine
	}
	fmt.Fprintf(stderr, "pgseal-bench: unknown command %q; \"pgseal-bench help\" lists them\n", args[0])
	return exitUsage
}

const listHelp = `Usage: pgseal-bench list

Lists the scenarios and the built-in targets.
`

func runList(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("list", flag.ContinueOnError)
	if status, done := parseFlags(flags, args, listHelp, stdout, stderr); done {
		return status
	}
	if flags.NArg() > 0 {
		return usage(stderr, errors.New("list takes no arguments"))
	}
	fmt.Fprintln(stdout, "Scenarios:")
	for _, s := range scenario.All {
		fmt.Fprintf(stdout, "  %-12s %s\n", s.Name, s.Summary)
	}
	fmt.Fprintf(stdout, "\nBuilt-in targets: %s\n", strings.Join(targets.BuiltIn, ", "))
	return exitFine
}

// parseFlags parses, and prints help or what is wrong; done tells that the
// command is over.
func parseFlags(flags *flag.FlagSet, args []string, help string, stdout, stderr io.Writer) (status int, done bool) {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		options := 0
		flags.VisitAll(func(*flag.Flag) { options++ })
		if options > 0 {
			fmt.Fprintln(stdout, "\nFlags:")
			flags.SetOutput(stdout)
			flags.PrintDefaults()
		}
		return exitFine, true
	case err != nil:
		return usage(stderr, fmt.Errorf("%s: %w", flags.Name(), err)), true
	}
	return exitFine, false
}

// usage tells what was wrong with the command line, in one line.
func usage(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "pgseal-bench: %s\n", strings.Join(strings.Fields(err.Error()), " "))
	return exitUsage
}
