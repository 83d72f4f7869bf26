package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/pgseal/pgseal/internal/auth"
)

// maxPasswordLen is the longest password hashed, PostgreSQL's limit for one in
// an authentication message.
const maxPasswordLen = 65535

const hashPasswordHelp = `Usage: pgseal hash-password [--iterations N]

Reads a password and prints its SCRAM-SHA-256 secret, as accepted by ALTER ROLE ...
PASSWORD and the users file. At a terminal it prompts twice without echo;
otherwise the password is read as a single line from standard input.

  --iterations N   PBKDF2 iterations, 1 to %d (default %d)
`

func hashPassword(c *cli, args []string) error {
	flags := flag.NewFlagSet("hash-password", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	iterations := flags.Int("iterations", auth.DefaultIterations, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(c.stdout, hashPasswordHelp, auth.MaxServerIterations, auth.DefaultIterations)
		return errHelp
	case err != nil:
		return usagef("hash-password: %w", err)
	case flags.NArg() > 0:
		// The word is not repeated: it may well be a password.
		return usagef("hash-password: takes no arguments; the password is read from standard input")
	case *iterations < 1 || *iterations > auth.MaxServerIterations:
		return usagef("hash-password: --iterations must be between 1 and %d", auth.MaxServerIterations)
	}
	password, err := readNewPassword(c)
	if err != nil {
		return fmt.Errorf("hash-password: %w", err)
	}
	secret, err := auth.NewSecret(password, *iterations)
	if err != nil {
		return fmt.Errorf("hash-password: %w", err)
	}
	_, err = fmt.Fprintln(c.stdout, secret.Encode())
	return err
}

// readNewPassword asks for a password where someone is there to be asked, and
// takes one line from stdin otherwise.
func readNewPassword(c *cli) (password string, err error) {
	if f, ok := c.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		password, err = askTwice(c.stderr, int(f.Fd()))
	} else {
		password, err = readOneLine(c.stdin)
	}
	switch {
	case err != nil:
		return "", err
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > maxPasswordLen:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPasswordLen)
	case bytes.IndexByte([]byte(password), 0) >= 0:
		return "", errors.New("the password contains a NUL byte")
	}
	return password, nil
}

// readOneLine returns the line without its end. More than a line is refused: a
// secret of its first line alone would fit no password that anyone knows.
func readOneLine(r io.Reader) (string, error) {
	in := bufio.NewReader(io.LimitReader(r, maxPasswordLen+3)) // one too many, and \r\n
	line, err := in.ReadBytes('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if _, err := in.ReadByte(); err == nil {
		return "", errors.New("more than one line on standard input")
	}
	if password, ok := bytes.CutSuffix(line, []byte("\n")); ok {
		line = bytes.TrimSuffix(password, []byte("\r"))
	}
	return string(line), nil
}

func askTwice(prompts io.Writer, fd int) (string, error) {
	first, err := ask(prompts, fd, "Enter new password: ")
	if err != nil {
		return "", err
	}
	second, err := ask(prompts, fd, "Enter it again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("passwords do not match")
	}
	return first, nil
}

// ask reads a line from the terminal without echo. A signal that ends the
// program must not leave the terminal mute, so the first one ends the question
// instead; the read it leaves behind ends with the process.
func ask(prompts io.Writer, fd int, prompt string) (string, error) {
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)

	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	fmt.Fprint(prompts, prompt)
	defer fmt.Fprintln(prompts) // the newline that was typed was not echoed
	go func() {
		line, err := term.ReadPassword(fd)
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		return string(a.line), a.err
	case <-interrupted:
		return "", errors.Join(errors.New("interrupted"), term.Restore(fd, state))
	}
}
