package proxy

import (
	"strings"
	"testing"
)

func TestTheUnnamedStatementFollowsItsClient(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parse, describe, syncMsg)
		c.server(parsed, described, noData, ready("I"))
		c.free(1)
		c.otherServer()
		c.sent.Reset()
		c.heard.Reset()
		c.client(bind, execute, syncMsg)
		c.sentIs(parse, bind, execute, syncMsg)
		c.server(parsed, bound, complete("SELECT 0"), ready("I"))
		c.heardIs(bound, complete("SELECT 0"), ready("I"))
		c.client(bind, syncMsg) // it is there by now
		c.sentIs(bind, syncMsg)
		c.lives()
	})
}

func TestNobodyRunsTheUnnamedStatementOfAnother(t *testing.T) {
	tracked(t, func(c *talk) {
		c.state.unnamed = 99
		c.client(bind, execute, syncMsg)
		c.sentIs(closeS(""), bind, execute, syncMsg)
		c.server(closed, serverError("26000"), ready("I"))
		c.heardIs(serverError("26000"), ready("I"))
		c.lives()
	})
}

func TestASimpleQueryEndsTheUnnamedStatement(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parse, syncMsg)
		c.server(parsed, ready("I"))
		c.client(query("SELECT 1"))
		c.server(answer)
		c.sent.Reset()
		c.client(bind, syncMsg)
		c.sentIs(closeS(""), bind, syncMsg)
	})
}

func TestAnUnnamedStatementTooLargeToCarryKeepsItsServer(t *testing.T) {
	large := msg('P', "\x00SELECT '", strings.Repeat("x", wholeMessage), "'\x00\x00\x00")
	c := newTalk(t, func(n int) int { return min(n, 1000) })
	c.tracks = true
	c.client(large, syncMsg)
	c.sentIs(large, syncMsg)
	c.server(parsed, ready("I"))
	if !c.relay.extended.stuck() {
		t.Error("the client could be sent to another server")
	}
	c.client(query("SELECT 1"))
	c.server(answer)
	if c.relay.extended.stuck() {
		t.Error("the statement is gone, and the client is still kept")
	}
	c.lives()
}

func TestAFlushedPrepareDoesNotKeepTheServer(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, describeS("one"), flush)
		if c.flushed() {
			c.t.Error("the answers are still owed")
		}
		c.server(parsedOne, described, rowDescription)
		c.heardIs(parsed, described, rowDescription)
		c.holds()
		if !c.flushed() {
			c.t.Fatal("the server is not seen to have answered")
		}
		if got := string(c.endFlushed()); got != syncMsg {
			c.t.Errorf("the driver is told to send %q, want a Sync", got)
		}
		c.server(ready("I"))
		c.heardIs("")
		c.free(1)
		c.sent.Reset()
		c.client(runsOne)
		c.sentIs(firstRuns)
		c.server(ranOne)
		c.heardIs(ranOne)
		c.free(2)
		c.lives()
	})
}

func TestAFlushedPortalKeepsTheServer(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parse, bind, flush)
		c.server(parsed, bound)
		if c.flushed() {
			c.t.Error("the portal would be lost")
		}
	})
}
