package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new pseudo-terminal.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return keyboard, terminal
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// typist takes what is printed to the user and answers each prompt with the
// next line.
type typist struct {
	t        *testing.T
	keyboard *os.File
	lines    []string
	prompts  bytes.Buffer
}

func (y *typist) Write(p []byte) (int, error) {
	y.prompts.Write(p)
	if bytes.HasSuffix(p, []byte(": ")) {
		line := y.lines[0]
		y.lines = y.lines[1:]
		if _, err := io.WriteString(y.keyboard, line); err != nil {
			y.t.Error(err)
		}
	}
	return len(p), nil
}

func hashAtTerminal(t *testing.T, lines ...string) (stdout, prompts string, err error) {
	t.Helper()
	keyboard, terminal := openTerminal(t)
	var out bytes.Buffer
	y := &typist{t: t, keyboard: keyboard, lines: lines}
	err = hashPassword(&cli{stdin: terminal, stdout: &out, stderr: y}, []string{"--iterations=1"})
	if !echoes(t, terminal) {
		t.Error("the terminal is left mute")
	}
	return out.String(), y.prompts.String(), err
}

func TestHashPasswordAsksTwiceAtATerminal(t *testing.T) {
	stdout, prompts, err := hashAtTerminal(t, "pencil\n", "pencil\n")
	if err != nil || !fits(t, stdout, "pencil") {
		t.Errorf("got %q, %v", stdout, err)
	}
	if prompts != "Enter new password: \nEnter it again: \n" {
		t.Errorf("the prompts are %q", prompts)
	}
}

func TestHashPasswordRefusesTwoDifferentAnswers(t *testing.T) {
	stdout, prompts, err := hashAtTerminal(t, "MARK\n", "MARKE\n")
	if err == nil || !strings.Contains(err.Error(), "do not match") || stdout != "" {
		t.Errorf("got %q, %v", stdout, err)
	}
	if strings.Contains(prompts+err.Error(), "MARK") {
		t.Error("what was typed is shown")
	}
}

func TestHashPasswordRefusesAnEmptyAnswer(t *testing.T) {
	if _, _, err := hashAtTerminal(t, "\n", "\n"); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("got %v", err)
	}
}

func TestASignalDuringTheQuestionLeavesTheTerminalAsItWas(t *testing.T) {
	keyboard, terminal := openTerminal(t)
	result := make(chan error, 1)
	go func() {
		result <- hashPassword(&cli{stdin: terminal, stdout: io.Discard, stderr: io.Discard}, nil)
	}()
	for echoes(t, terminal) { // until the question is asked
		if len(result) > 0 {
			t.Fatalf("no question was asked: %v", <-result)
		}
		runtime.Gosched()
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
	if !echoes(t, terminal) {
		t.Error("the terminal is left mute")
	}
	endLeftBehindRead(t, keyboard, terminal)
}

// endLeftBehindRead gives the read that a signal left behind its line, so that
// the terminal can be closed.
func endLeftBehindRead(t *testing.T, keyboard, terminal *os.File) {
	t.Helper()
	if _, err := keyboard.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	for waiting := 1; waiting > 0; runtime.Gosched() {
		var err error
		if waiting, err = unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCINQ); err != nil {
			t.Fatal(err)
		}
	}
}
