package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/doctor"
)

const checkHelp = `Checks the configuration and the files it references for errors and for weaknesses
of TLS and authentication. --connect also checks every server, without changing
anything there. Exit status: 0 no errors found, 1 errors found, 2 wrong usage or
an invalid configuration.
`

// errFound is returned after a report that holds errors was printed.
var errFound = errors.New("check: errors found")

func runCheck(c *cli, args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	path := flags.String("config", config.DefaultPath, "configuration `FILE`")
	connect := flags.Bool("connect", false, "also connect to every server")
	format := flags.String("format", "text", "`text` or json")
	if err := c.parse(flags, args, "pgseal check [--config FILE] [--connect] [--format text|json]", checkHelp); err != nil {
		return err
	}
	if *format != "text" && *format != "json" {
		return usagef("check: invalid --format %q: must be text or json", *format)
	}
	f, err := loadConfig(*path)
	var fault *config.Error
	if err != nil && !errors.As(err, &fault) {
		return usageError{err} // there is no file to look at
	}
	if err != nil {
		if shown := c.showReport(doctor.Faults(*path, err), *format); shown != nil {
			return shown
		}
		return usagef("check: invalid configuration")
	}
	report := doctor.Examine(context.Background(), f, time.Now(), *connect)
	if err := c.showReport(report, *format); err != nil {
		return err
	}
	if n := report.Count(doctor.Error); n > 0 {
		return errFound
	}
	return nil
}

func (c *cli) showReport(r *doctor.Report, format string) error {
	if format == "json" {
		enc := json.NewEncoder(c.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	return showText(c.stdout, r, c.colours())
}

// colours reports whether standard output is a terminal, and colours are wanted.
func (c *cli) colours() bool {
	f, ok := c.stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
