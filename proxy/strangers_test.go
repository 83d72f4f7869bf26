package proxy

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool"
)

// What is sent must never be another statement than the client's last one.
func TestADeallocateByAStatementOfTheProtocolIsWhatRuns(t *testing.T) {
	const text = "DEALLOCATE pgseal_gone"
	gone := closeS(goneName) + parseAs(goneName, "SELECT 1")
	tracked(t, func(c *talk) {
		c.client(selectOne, parseAs("", "INSERT"), bind, execute, syncMsg)
		c.server(parsedOne, parsed, bound, complete("INSERT 0 1"), ready("I"))
		c.otherServer()
		c.sent.Reset()
		c.heard.Reset()
		c.client(parseAs("", "DEALLOCATE one"), bind, execute, syncMsg)
		c.sentIs(gone, parseAs("", text), bind, execute, syncMsg)
		c.server(closed, parsed, parsed, bound, complete("DEALLOCATE"), ready("I"))
		c.heardIs(parsed, bound, complete("DEALLOCATE"), ready("I"))
		c.lives()
	})
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.sent.Reset()
		// Its name is the client's own, as that of any other.
		c.client(parseAs("d", "DEALLOCATE one"), bindTo("d"), execute, syncMsg)
		c.sentIs(gone, closeS(second), parseAs(second, text), bindTo(second), execute, syncMsg)
		c.server(closed, parsed, closed, parsed, bound, complete("DEALLOCATE"), ready("I"))
		c.lives()
	})
}

func call(function uint32) string {
	return msg('F', string(binary.BigEndian.AppendUint32(nil, function)), "\x00\x00\x00\x00\x00\x00")
}

func TestAFunctionCallMayDoAnything(t *testing.T) {
	for function, want := range map[uint32]sqlscan.Effects{
		2078: sqlscan.Opaque, 2880: sqlscan.Opaque, 16384: sqlscan.Opaque, 952: 0, 955: 0, 1575: sqlscan.Sequence, 1599: sqlscan.Seed,
	} {
		tracked(t, func(c *talk) {
			c.effects.policy = pool.PinState
			c.client(query("BEGIN"))
			c.server(complete("BEGIN"), ready("T"))
			c.client(call(function))
			if got := c.effects.suspect &^ sqlscan.Begins; got != want {
				t.Errorf("after a call of function %d the suspicion is %v, want %v", function, got, want)
			}
			c.lives()
		})
	}
	c := newTalk(t, whole)
	c.tracks = true
	c.client(msg('F', "\x00")) // malformed
	c.lives()
}

func TestAQueryOrCallWithinABatchIsRefused(t *testing.T) {
	for _, m := range []string{query("SELECT 1"), call(952)} {
		tracked(t, func(c *talk) {
			c.client(bindTo("x"), execute, m)
			c.failedWith(wire.CodeFeatureNotSupported)
		})
	}
}

func TestABindThatReadsSequencesNeverReadsThoseOfAnother(t *testing.T) {
	discard := query("DISCARD SEQUENCES")
	tracked(t, func(c *talk) {
		c.client(parseAs("q", "SELECT lastval()"), syncMsg)
		c.server(complete("DISCARD SEQUENCES"), ready("I"), parsedOne, ready("I"))
		c.effects.suspect = 0
		c.sent.Reset()
		c.heard.Reset()
		c.state.lastHolder = 7
		c.client(bindTo("q"), execute, syncMsg)
		c.sentIs(discard, bindTo(first), execute, syncMsg)
		c.server(complete("DISCARD SEQUENCES"), ready("I"), bound, serverError("55000"), ready("I"))
		c.heardIs(bound, serverError("55000"), ready("I"))
		c.lives()
	})
	tracked(t, func(c *talk) {
		unnamed := parseAs("", "SELECT lastval()")
		c.client(unnamed, syncMsg)
		c.server(complete("DISCARD SEQUENCES"), ready("I"), parsed, ready("I"))
		c.sent.Reset()
		c.state.lastHolder = 7
		c.client(bind, execute, syncMsg)
		c.sentIs(discard, unnamed, bind, execute, syncMsg)
	})
}

func TestOurQueriesDoNotEndTheUnnamedStatement(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parse, syncMsg)
		c.server(parsed, ready("I"))
		c.effects.suspect = sqlscan.Listen
		c.keeps = true
		c.link(c.state, 1, 0)
		c.beginSurvey()
		c.server(complete("SELECT 0"), ready("I"))
		c.sent.Reset()
		c.client(bind, execute, syncMsg)
		c.sentIs(parse, bind, execute, syncMsg)
		c.lives()
	})
	tracked(t, func(c *talk) { // the fix behind a Sync
		c.fix = []byte(query("FIX"))
		c.client(parseAs("", "RESET DateStyle"), bind, execute, syncMsg)
		c.server(parsed, bound, complete("RESET"), ready("I"), complete("SELECT 0"), ready("I"))
		c.sent.Reset()
		c.client(bind, execute, syncMsg)
		c.sentIs(parseAs("", "RESET DateStyle"), bind, execute, syncMsg, query("FIX"))
		c.lives()
	})
}

func TestALargeUnnamedStatementIsHeededWhenItRuns(t *testing.T) {
	c := newTalk(t, func(n int) int { return min(n, 1000) })
	c.tracks = true
	c.client(parseAs("", "SELECT pg_advisory_lock(1) -- "+strings.Repeat("x", wholeMessage)), syncMsg)
	c.server(parsed, ready("I"))
	if c.asks() {
		t.Error("the question would end the statement")
	}
	c.effects.suspect = 0
	c.client(bind, execute, syncMsg)
	if c.effects.suspect&sqlscan.AdvisoryLock == 0 {
		t.Error("nothing is suspected")
	}
	c.server(bound, complete("SELECT 1"), ready("I"))
	c.client(query("SELECT 1"))
	if !c.asks() {
		t.Error("the statement is gone, and nobody asks what it left")
	}
}

func TestACopyThatWouldReadTheFixEndsTheSession(t *testing.T) {
	for _, m := range []string{query("RESET DateStyle; COPY t FROM STDIN"), parseAs("", "RESET DateStyle") + bind + execute + parse + bind + execute + syncMsg} {
		tracked(t, func(c *talk) {
			c.fix = []byte(query("FIX"))
			c.client(m)
			c.server(copyIn)
			c.failedWith(wire.CodeFeatureNotSupported)
		})
	}
}

func TestWhatRunsUnseenIsNotedOfEachServer(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parseAs("d", "DO 'x'"), syncMsg)
		c.server(parsedOne, ready("I"))
		c.otherServer()
		c.client(bindTo("d"), execute, syncMsg)
		if !c.state.unlisted {
			t.Error("the server is taken for one whose parameters are known")
		}
	})
}

func TestAPipelineWithoutEndTakesNoMoreMemory(t *testing.T) {
	c := newTalk(t, whole)
	c.tracks = true
	c.client(parseAs("", "SELECT 1"), syncMsg)
	for range 5 * maxEvents {
		c.client(parseAs("", "SELECT 1"), syncMsg)
		c.server(parsed, ready("I"))
	}
	if n := cap(c.extended.events); n > 4*maxEvents {
		t.Errorf("%d events are kept", n)
	}
	c.lives()
}
