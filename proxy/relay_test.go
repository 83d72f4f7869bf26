package proxy

import (
	"strings"
	"testing"
)

func TestASimpleQueryHoldsAServerUntilItIsAnswered(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SELECT 1"))
		c.sentIs(query("SELECT 1"))
		c.server(rowDescription, row("1"))
		c.holds()
		c.server(complete("SELECT 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.heardIs(answer)
		c.lives()
	})
}

func TestATransactionHoldsItsServerToTheEnd(t *testing.T) {
	for name, status := range map[string]string{"open": "T", "failed": "E"} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(c *talk) {
				c.client(query("BEGIN"))
				c.server(complete("BEGIN"), ready("T"))
				c.holds()
				c.client(query("SELECT 1"))
				c.server(complete("SELECT 1"), ready(status))
				c.holds()
				c.client(query("ROLLBACK"))
				c.server(complete("ROLLBACK"), ready("I"))
				c.free(1)
				c.sentIs(query("BEGIN"), query("SELECT 1"), query("ROLLBACK"))
			})
		})
	}
}

func TestEachTransactionAsksForAServerOfItsOwn(t *testing.T) {
	everyWay(t, func(c *talk) {
		for n := range 3 {
			c.client(query("SELECT 1"))
			c.server(answer)
			c.free(n + 1)
		}
	})
}

func TestAnErrorEndsAQueryAsAResultDoes(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SELEC"))
		c.server(serverError("42601"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.heardIs(serverError("42601"), ready("I"))
		c.lives()
	})
}

func TestAnExtendedBatchHoldsAServerUntilItsSyncIsAnswered(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, describe, execute, syncMsg)
		c.server(parsed, bound, rowDescription, row("1"), complete("SELECT 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.sentIs(parse, bind, describe, execute, syncMsg)
		c.heardIs(parsed, bound, answer)
	})
}

func TestAFlushWithoutSyncKeepsTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, describe, flush)
		c.server(parsed, rowDescription)
		c.holds()
		c.heardIs(parsed, rowDescription)
		c.client(bind, execute, syncMsg)
		c.server(bound, complete("SELECT 0"), ready("I"))
		c.free(1)
	})
}

func TestASyncAloneAsksForAServerAndGivesItBack(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(syncMsg)
		c.holds()
		c.server(ready("I"))
		c.free(1)
	})
}

func TestAPipelineKeepsItsServerUntilTheLastAnswer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, bind, execute, syncMsg, bind, execute, syncMsg)
		c.server(parsed, bound, complete("SELECT 1"), ready("I"))
		c.holds()
		c.server(serverError("22012"), ready("I"))
		c.holds()
		c.server(bound, complete("SELECT 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
	})
}

func TestAPipelineThatIsBeingWrittenKeepsItsServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, parse)
		c.server(parsed, bound, complete("SELECT 1"), ready("I"))
		c.holds()
		c.client(syncMsg)
		c.server(parsed, ready("I"))
		c.free(1)
	})
}

func TestSimpleQueriesMayBePipelined(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("1"), query("2"), syncMsg, query("3"))
		for range 3 {
			c.server(complete("SELECT 1"), ready("I"))
			c.holds()
		}
		c.server(complete("SELECT 1"), ready("I"))
		c.free(1)
	})
}

func TestHalfAMessageKeepsTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("1"), query("second")[:8])
		c.server(answer)
		c.holds()
		c.client(query("second")[8:])
		c.server(answer)
		c.free(1)
		c.sentIs(query("1"), query("second"))
	})
}

func TestAFunctionCallIsAnsweredByOneReadyForQuery(t *testing.T) {
	everyWay(t, func(c *talk) {
		call := msg('F', "\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00")
		c.client(call)
		c.sentIs(call)
		c.server(msg('V', "\xff\xff\xff\xff"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestAQueryWithinAnUnfinishedBatchKeepsTheServerFromOthers(t *testing.T) {
	// Whether PostgreSQL answers this query or skips it depends on what came
	// of the batch before: nobody can count the answers any more.
	everyWay(t, func(c *talk) {
		c.client(parse, query("SELECT 1"))
		c.server(serverError("42601"))
		c.client(syncMsg)
		c.server(ready("I"))
		c.holds()
		c.lives()
	})
}

func TestWhatAServerSaysByItselfPassesAtAnyTime(t *testing.T) {
	everyWay(t, func(c *talk) {
		status := parameter("TimeZone", "UTC")
		c.client(query("BEGIN"))
		c.server(notice, complete("BEGIN"), status, ready("T"))
		c.server(notification, status, notice) // nobody asked
		c.holds()
		c.client(query("COMMIT"))
		c.server(notification, complete("COMMIT"), notice, ready("I"))
		c.free(1)
		c.heardIs(notice, complete("BEGIN"), status, ready("T"), notification, status, notice,
			notification, complete("COMMIT"), notice, ready("I"))
		if got := strings.Join(c.params, "|"); got != "TimeZone\x00UTC\x00|TimeZone\x00UTC\x00" {
			c.t.Errorf("parameters seen: %q", got)
		}
	})
}

func TestAParameterTooLongToGatherPassesUnread(t *testing.T) {
	everyWay(t, func(c *talk) {
		long := parameter("search_path", strings.Repeat("a", smallMessage))
		c.client(query("SET"))
		c.server(long, ready("I"))
		c.heardIs(long, ready("I"))
		if len(c.params) != 0 {
			c.t.Error("a parameter beyond the limit was read")
		}
	})
}

func TestALargestGatheredParameterIsRead(t *testing.T) {
	everyWay(t, func(c *talk) {
		long := parameter("a", strings.Repeat("b", smallMessage-3))
		c.client(query("SET"))
		c.server(long, ready("I"))
		c.heardIs(long, ready("I"))
		if len(c.params) != 1 || len(c.params[0]) != smallMessage {
			c.t.Errorf("%d parameters were read", len(c.params))
		}
	})
}

func TestATerminateEndsTheSessionAndIsNotPassedOn(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(goodbye, query("never"))
		c.free(0)
		c.sentIs("")
		if !c.gone {
			c.t.Error("the session goes on")
		}
	})
	everyWay(t, func(c *talk) {
		c.client(query("SELECT 1"), goodbye)
		c.sentIs(query("SELECT 1"))
		if !c.gone {
			c.t.Error("the session goes on")
		}
	})
}

func TestInSessionModeTheServerRestsBetweenQueries(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.keeps = true
		c.client(query("SELECT 1"))
		c.server(answer)
		c.holds()
		if !c.atRest() {
			c.t.Error("the server is not at rest")
		}
		c.server(notification)
		c.client(query("SELECT 1"))
		c.server(answer)
		if c.links != 1 || !c.atRest() {
			c.t.Errorf("%d links, at rest: %v", c.links, c.atRest())
		}
	})
}

func TestRunningMeansThatTheServerHasSomethingToDo(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.keeps = true
		runs := func(want bool) {
			c.t.Helper()
			if c.running() != want {
				c.t.Fatalf("running: %v, want %v", !want, want)
			}
		}
		runs(false)
		c.client(query("BEGIN"))
		runs(true)
		c.server(complete("BEGIN"))
		runs(true)
		c.server(ready("T"))
		runs(false) // idle in its transaction: a cancel would find nothing
		c.client(parse, flush)
		runs(true)
		c.client(syncMsg)
		c.server(parsed, ready("T"))
		runs(false)
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(copyDone)
		runs(true)
		c.server(complete("COPY 0"), ready("T"))
		runs(false)
	})
}
