package relay_test

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/proxy/relay"
)

func TestTheUnnamedStatementFollowsItsClient(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, describe, syncMsg)
		c.server(parsed, noParameters, noData, ready("I"))
		c.free(1)
		c.otherServer()
		c.fresh()
		c.client(bind, execute, syncMsg)
		c.sentIs(parse, bind, execute, syncMsg)
		c.server(parsed, bound, complete("SELECT 0"), ready("I"))
		c.heardIs(bound, complete("SELECT 0"), ready("I"))
		c.client(bind, syncMsg) // it is there by now
		c.sentIs(bind, syncMsg)
		c.server(bound, ready("I"))
		c.lives()
	})
}

func TestTheColumnsOfAnUnnamedStatementThatFollowsAreCompared(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, describe, syncMsg)
		c.server(parsed, noParameters, rowDescription, ready("I"))
		c.otherServer()
		c.fresh()
		c.client(bind, execute, syncMsg)
		c.sentIs(parse, describe, syncMsg)
		c.server(parsed, noParameters, rowDescription, ready("I"))
		c.sentIs(bind, execute, syncMsg)
		c.server(ranOne)
		c.heardIs(ranOne)
		c.otherServer()
		c.client(bind, execute, syncMsg)
		c.server(parsed, noParameters, columns("another"), ready("I"))
		c.server(serverError("26000"), ready("I"))
		if heard := c.heard.String(); !strings.Contains(heard, "cached plan must not change result type") {
			c.t.Errorf("the client is told %q", heard)
		}
		c.lives()
	})
}

func TestAnUnnamedStatementKeepsTheParameterTypesThatItsClientWasTold(t *testing.T) {
	everyWay(t, func(c *talk) {
		const types = "\x00\x01\x00\x00\x00\x17"
		c.client(parse, describe, syncMsg)
		c.server(parsed, msg('t', types), noData, ready("I"))
		c.otherServer()
		c.fresh()
		c.client(bind, execute, syncMsg)
		c.sentIs(msg('P', "\x00SELECT $1\x00", types), bind, execute, syncMsg)
		c.server(parsed, bound, complete("SELECT 0"), ready("I"))
		c.lives()
	})
}

func TestNobodyRunsTheUnnamedStatementOfAnother(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, syncMsg)
		c.server(parsed, ready("I"))
		b := c.another()
		b.client(bind, execute, syncMsg)
		b.sentIs(closeS(""), bind, execute, syncMsg)
		b.server(closed, serverError("26000"), ready("I"))
		b.heardIs(serverError("26000"), ready("I"))
		b.lives()
		b.client(parse, bind, syncMsg) // which takes its place by itself
		b.sentIs(parse, bind, syncMsg)
	})
}

func TestASimpleQueryEndsTheUnnamedStatement(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, syncMsg)
		c.server(parsed, ready("I"))
		c.client(query("SELECT 1"))
		c.server(answer)
		c.fresh()
		c.otherServer()
		c.client(bind, syncMsg)
		c.sentIs(bind, syncMsg)
		c.server(serverError("26000"), ready("I"))
		c.heardIs(serverError("26000"), ready("I"))
	})
}

func TestASimpleQueryThatPostgreSQLSkipsDoesNotEndIt(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, syncMsg)
		c.server(parsed, ready("I"))
		c.client(bindTo("nowhere"), query("SELECT 1"), syncMsg)
		c.server(serverError("26000"))
		c.server(ready("I"))
		c.server(msg('I'), ready("I")) // asked since the query stood in a batch
		c.otherServer()
		c.fresh()
		c.client(bind, syncMsg)
		c.sentIs(parse, bind, syncMsg)
		c.server(parsed, bound, ready("I"))
		c.heardIs(bound, ready("I"))
		c.lives()
	})
}

func TestAParseThatFailsEndsTheUnnamedStatementBefore(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, syncMsg)
		c.server(parsed, ready("I"))
		c.client(parseAs("", "SELEKT"), syncMsg)
		c.server(serverError("42601"), ready("I"))
		c.otherServer()
		c.fresh()
		c.client(bind, syncMsg)
		c.sentIs(bind, syncMsg)
	})
}

func TestAnUnnamedStatementTooLargeToCarryKeepsItsServer(t *testing.T) {
	large := msg('P', "\x00SELECT '", strings.Repeat("x", relay.Gathered), "'\x00\x00\x00")
	c := newTalk(t, func(n int) int { return min(n, 1000) })
	c.client(large, syncMsg)
	c.sentIs(large, syncMsg)
	c.server(parsed, ready("I"))
	c.holds()
	c.pinnedBy("large prepared statement")
	c.client(query("SELECT 1"))
	c.server(answer)
	c.free(1)
	c.lives()
}

func TestALargeUnnamedStatementIsHeededWhenItRuns(t *testing.T) {
	c := newTalk(t, func(n int) int { return min(n, 1000) })
	c.client(parseAs("", "SELECT pg_advisory_lock(1) -- "+strings.Repeat("x", relay.Gathered)), syncMsg)
	c.server(parsed, ready("I"))
	c.client(bind, execute, syncMsg)
	c.fresh()
	c.server(bound, complete("SELECT 1"), ready("I"))
	c.sentIs("") // the question would end the statement
	c.client(query("SELECT 1"))
	c.fresh()
	c.server(answer)
	if !strings.Contains(c.sent.String(), "pg_locks") {
		c.t.Error("the statement is gone, and nobody asks what it left")
	}
}

func TestOurQueriesDoNotEndTheUnnamedStatement(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parseAs("", "LISTEN a"), bind, execute, syncMsg)
		c.server(parsed, bound, complete("LISTEN"), ready("I"))
		c.server(complete("SELECT 0"), ready("I")) // the state probe
		c.free(1)
		c.fresh()
		c.client(bind, execute, syncMsg)
		c.sentIs(parseAs("", "LISTEN a"), bind, execute, syncMsg)
		c.server(parsed, bound, complete("LISTEN"), ready("I"))
		c.heardIs(bound, complete("LISTEN"), ready("I"))
	})
}

func TestUnnamedStatementsOfAPipelineTakeTurns(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parseAs("", "SELECT 1"), bind, parseAs("", "SELECT 2"), bind, syncMsg)
		c.server(parsed, bound, parsed, serverError("22012"), ready("I"))
		c.otherServer()
		c.fresh()
		c.client(bind, syncMsg)
		c.sentIs(parseAs("", "SELECT 2"), bind, syncMsg)
		c.server(parsed, bound, ready("I"))
		c.lives()
	})
}

func TestUnnamedStatementsWithoutEndTakeNoMoreMemory(t *testing.T) {
	c := newTalk(t, whole)
	one := parseAs("", "SELECT '"+strings.Repeat("x", 10_000)+"'")
	for range 50 {
		c.client(strings.Repeat(one, 20), syncMsg)
		c.server(strings.Repeat(parsed, 20), ready("I"))
		c.lives()
		c.free(c.links)
		c.sent.Reset()
	}
}
