package relay_test

import (
	"slices"
	"strings"
)

// holds asserts that a server is held.
func (c *talk) holds() {
	c.t.Helper()
	if !c.attached {
		c.t.Fatal("the server was given back")
	}
}

// free asserts that no server is held, and that n were lent so far.
func (c *talk) free(n int) {
	c.t.Helper()
	if c.attached {
		c.t.Fatal("the server is still held")
	}
	if c.links != n {
		c.t.Fatalf("%d servers were asked for, want %d", c.links, n)
	}
}

// sentIs asserts what has reached the server since the last time.
func (c *talk) sentIs(msgs ...string) {
	c.t.Helper()
	c.is("the server got", &c.sent, msgs)
}

// heardIs asserts what has reached the client since the last time.
func (c *talk) heardIs(msgs ...string) {
	c.t.Helper()
	c.is("the client got", &c.heard, msgs)
}

func (c *talk) is(what string, got *strings.Builder, msgs []string) {
	c.t.Helper()
	if want := strings.Join(msgs, ""); c.names.plain(got.String()) != want {
		c.t.Fatalf("%s\n%q, want\n%q", what, c.names.plain(got.String()), want)
	}
	got.Reset()
}

// fresh forgets what was sent and heard.
func (c *talk) fresh() {
	c.names.plain(c.sent.String()) // its names stay
	c.sent.Reset()
	c.heard.Reset()
}

// failedWith asserts that the session is over, for a reason with this SQLSTATE.
func (c *talk) failedWith(code string) {
	c.t.Helper()
	if c.err == nil || c.err.Code != code {
		c.t.Fatalf("got error %v, want SQLSTATE %s", c.err, code)
	}
}

// lives asserts that nothing has gone wrong, and nothing waits.
func (c *talk) lives() {
	c.t.Helper()
	if c.err != nil || c.gone || c.broken {
		c.t.Fatalf("the session is over: %v", c.err)
	}
	if c.paused || c.clientRest != "" {
		c.t.Fatalf("%q of the client waits", c.clientRest)
	}
}

// pinnedBy asserts what the driver was told of why the client keeps its server.
func (c *talk) pinnedBy(reasons ...string) {
	c.t.Helper()
	if !slices.Equal(c.pinned, reasons) {
		c.t.Fatalf("the client keeps its server for %q, want %q", c.pinned, reasons)
	}
}
