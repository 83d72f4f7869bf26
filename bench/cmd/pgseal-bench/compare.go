package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/pgseal/pgseal/bench/internal/compare"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/stats"
)

const compareUsage = `usage: pgseal-bench compare [flags] OLD.json NEW.json

Reports what changed between two runs beyond the noise. Exits 0 if nothing got
worse, 1 if something did, 2 if the runs cannot be compared.

flags:
`

// runCompare is the subcommand for CI. It answers the exit status: 0 nothing
// worse, 1 something worse, 2 wrong usage, an unreadable file, or two runs with
// nothing in common.
func runCompare(args []string, stdout, stderr io.Writer) int {
	opt, paths, err := compareArgs(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "pgseal-bench compare: %v\n", err)
		return 2
	}
	var runs [2]*result.Run
	for i, path := range paths {
		if runs[i], err = readRun(path); err != nil {
			fmt.Fprintf(stderr, "pgseal-bench compare: %v\n", err)
			return 2
		}
	}
	c := compare.Runs(runs[0], runs[1], opt)
	if err := c.Print(stdout, opt.Threshold); err != nil {
		fmt.Fprintf(stderr, "pgseal-bench compare: %v\n", err)
		return 2
	}
	switch {
	case c.Count(stats.Worse) > 0:
		return 1
	case len(c.Changes) == 0:
		fmt.Fprintln(stderr, "pgseal-bench compare: the runs have no target, case and metric in common")
		return 2
	case c.Count(stats.Undecided) == len(c.Changes):
		fmt.Fprintln(stderr, "pgseal-bench compare: nothing could be decided: run more rounds")
		return 2
	}
	return 0
}

// compareArgs takes flags before, between and after the two files.
func compareArgs(args []string, stderr io.Writer) (opt compare.Options, paths []string, err error) {
	flags := flag.NewFlagSet("pgseal-bench compare", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // we say it ourselves, once
	percent := flags.Float64("threshold", stats.Threshold*100, "least gap between the intervals of the two runs that counts, in `percent`")
	flags.Func("metric", "compare this metric only, by its `name` in results.json; may be given several times", func(name string) error {
		if _, ok := result.Lookup(name); !ok {
			return fmt.Errorf("no such metric; known are %s", strings.Join(metricNames(), ", "))
		}
		opt.Metrics = append(opt.Metrics, name)
		return nil
	})
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				fmt.Fprint(stderr, compareUsage)
				flags.SetOutput(stderr)
				flags.PrintDefaults()
			}
			return opt, nil, err
		}
		if args = flags.Args(); len(args) > 0 {
			paths, args = append(paths, args[0]), args[1:]
		}
	}
	opt.Threshold = *percent / 100
	switch {
	case len(paths) != 2:
		return opt, nil, fmt.Errorf("want OLD.json and NEW.json, got %d files", len(paths))
	case math.IsNaN(opt.Threshold) || opt.Threshold < 0 || math.IsInf(opt.Threshold, 0):
		return opt, nil, errors.New("--threshold is a percentage from 0 up")
	}
	return opt, paths, nil
}

func metricNames() []string {
	var names []string
	for _, m := range result.Metrics {
		names = append(names, m.Name)
	}
	return names
}

// readRun reads a results.json.
func readRun(path string) (*result.Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	run, err := result.ReadJSON(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return run, nil
}
