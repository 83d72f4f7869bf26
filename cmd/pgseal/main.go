package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A command is one word after the program's name. run returns nil for exit
// status 0, a usageError for 2 and any other error for 1.
type command struct {
	name, summary string

	run func(c *cli, args []string) error
}

// cli is what a command may touch of the outside, so that tests can stand in
// for the terminal.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError tells the user what was wrong with the command line or the
// configuration: exit status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// errHelp is returned by a command that was asked for its help and printed it.
var errHelp = errors.New("help")

var commands = []command{
	{"serve", "run the proxy", runServe},
	{"check", "check configuration and certificates for errors and weaknesses", runCheck},
	{"demo", "demonstrate pgseal with a throwaway PostgreSQL", runDemo},
	{"certs", "create certificates for development: CA, server and client", runCerts},
	{"hash-password", "print the SCRAM-SHA-256 secret of a password", hashPassword},
	{"version", "print the version", runVersion},
}

func main() {
	c := &cli{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(c.main(os.Args[1:]))
}

// main runs one command line and returns the exit status.
func (c *cli) main(args []string) int {
	if len(args) == 0 {
		c.usage(c.stderr)
		return 2
	}
	name := args[0]
	switch name {
	case "help", "--help", "-help", "-h":
		c.usage(c.stdout)
		return 0
	case "--version", "-V":
		name = "version"
	}
	for _, cmd := range commands {
		if cmd.name == name {
			return c.exit(cmd.run(c, args[1:]))
		}
	}
	fmt.Fprintf(c.stderr, "pgseal: unknown command %q\nRun \"pgseal help\" for a list of commands.\n", name)
	return 2
}

func (c *cli) exit(err error) int {
	var usage usageError
	switch {
	case err == nil, errors.Is(err, errHelp):
		return 0
	case errors.Is(err, errFound): // the report said it all
		return 1
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "pgseal: %v\n", err)
		return 2
	default:
		fmt.Fprintf(c.stderr, "pgseal: %v\n", err)
		return 1
	}
}

func (c *cli) usage(w io.Writer) {
	fmt.Fprintln(w, "pgseal terminates TLS in front of PostgreSQL and pools the connections behind it.")
	fmt.Fprintln(w, "\nCommands:")
	for _, cmd := range commands {
		fmt.Fprintf(w, "  pgseal %-14s %s\n", cmd.name, cmd.summary)
	}
	fmt.Fprintln(w, "\nUse \"pgseal COMMAND --help\" for details.")
}
