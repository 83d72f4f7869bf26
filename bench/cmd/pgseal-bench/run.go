package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pgseal/pgseal/bench/internal/report"
	"github.com/pgseal/pgseal/bench/internal/result"
	"github.com/pgseal/pgseal/bench/internal/run"
)

// runRun measures and reports.
func runRun(args []string, stdout, stderr io.Writer) int {
	o, status, done := parseRun(args, stdout, stderr)
	if done {
		return status
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := run.Benchmark(ctx, o.Options, stderr)
	switch {
	case errors.Is(err, run.ErrTarget):
		return usage(stderr, err)
	case err != nil:
		fmt.Fprintf(stderr, "pgseal-bench: %v\n", err)
		return exitErrors
	}
	if err := writeAll(o.out, r); err != nil {
		fmt.Fprintf(stderr, "pgseal-bench: %v\n", err)
		return exitErrors
	}
	report.Terminal(stdout, r)
	fmt.Fprintf(stdout, "\nWritten to %s: results.json, report.md, report.html\n", o.out)
	if len(r.Problems()) > 0 {
		return exitErrors
	}
	return exitFine
}

// writeAll writes the three files of a run.
func writeAll(dir string, r *result.Run) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, write := range map[string]func(io.Writer, *result.Run) error{
		"results.json": result.WriteJSON, "report.md": report.WriteMarkdown, "report.html": report.WriteHTML,
	} {
		if err := writeFile(filepath.Join(dir, name), r, write); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, r *result.Run, write func(io.Writer, *result.Run) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f, r), f.Close())
}
