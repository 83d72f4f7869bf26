package main

import "testing"

func TestColoursAreForTerminalsOnlyAndNotWithNO_COLOR(t *testing.T) {
	_, terminal := openTerminal(t)
	c := &cli{stdout: terminal}
	t.Setenv("TERM", "xterm")
	for value, want := range map[string]bool{"": true, "1": false} {
		t.Setenv("NO_COLOR", value)
		if c.colours() != want {
			t.Errorf("with NO_COLOR=%q: colours %v", value, c.colours())
		}
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if c.colours() {
		t.Error("a dumb terminal gets colours")
	}
}
