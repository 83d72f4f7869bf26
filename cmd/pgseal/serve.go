package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/pgseal/pgseal/internal/app"
	"github.com/pgseal/pgseal/internal/config"
)

func runServe(c *cli, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	path := flags.String("config", config.DefaultPath, "configuration `FILE`")
	if err := c.parse(flags, args, "pgseal serve [--config FILE]", serveHelp); err != nil {
		return err
	}
	f, err := loadConfig(*path)
	if err != nil {
		return usageError{err}
	}
	reload, stop := make(chan os.Signal, 8), make(chan os.Signal, 8)
	// For good: a second SIGTERM in the last moments would otherwise have the
	// program end as if it had been killed, although it left in order.
	signal.Notify(reload, syscall.SIGHUP)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	app.TuneMemory()
	a, err := app.Load(f, version(), c.stderr)
	if err != nil {
		return usageError{err}
	}
	defer a.Close()
	if err := a.Start(); err != nil {
		return err
	}
	a.Serve(reload, stop)
	return nil
}

const serveHelp = `Runs the proxy. SIGHUP reloads the configuration and every file it names.
SIGTERM or SIGINT stops accepting clients, waits for transactions to finish and
exits; a second signal exits immediately.
`

// loadConfig reads the configuration for a command with the flag --config.
func loadConfig(path string) (config.File, error) {
	f, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (use --config FILE for another one)", err)
	}
	return f, err
}

// parse reads a command's flags. It takes no arguments beside them.
func (c *cli) parse(flags *flag.FlagSet, args []string, usage, help string) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(c.stdout, "Usage: %s\n\n%s\n", usage, strings.TrimSpace(help))
		first := true
		flags.SetOutput(c.stdout)
		flags.VisitAll(func(*flag.Flag) {
			if first {
				fmt.Fprintln(c.stdout, "\nFlags:")
			}
			first = false
		})
		flags.PrintDefaults()
		return errHelp
	case err != nil:
		return usagef("%s: %w", flags.Name(), err)
	case flags.NArg() > 0:
		return usagef("%s takes no arguments other than flags (see \"pgseal %s --help\")", flags.Name(), flags.Name())
	}
	return nil
}
