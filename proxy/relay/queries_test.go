package relay_test

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
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

func TestATransactionBlockEndsASessionWhoseModeIsStatement(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Single = true })
		c.client(query("BEGIN"))
		c.server(complete("BEGIN"), ready("T"))
		c.failedWith(wire.CodeFeatureNotSupported)
		c.heardIs(complete("BEGIN"))
	})
}

func TestATransactionThatABatchBeganDoesNotGoOnInStatementMode(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Single = true })
		c.client(parse, bind, execute, query("BEGIN"))
		c.server(parsed, bound, complete("SELECT 1"), complete("BEGIN"), ready("T")) // PostgreSQL 18 says T behind any Query there
		c.lives()
		c.client(query("SELECT 1"))
		c.server(rowDescription, complete("SELECT 1"), ready("T"))
		c.failedWith(wire.CodeFeatureNotSupported)
	})
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
		c.server(parsed, bound, noParameters, rowDescription, row("1"), complete("SELECT 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.sentIs(parse, bind, describe, execute, syncMsg)
		c.heardIs(parsed, bound, noParameters, answer)
	})
}

func TestAFlushWithoutSyncKeepsTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, flush)
		c.server(parsed, bound)
		c.holds()
		c.heardIs(parsed, bound)
		c.client(execute, syncMsg)
		c.server(complete("SELECT 0"), ready("I"))
		c.free(1)
		c.lives()
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
		c.lives()
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
		for _, answers := range []string{answer, answer, ready("I")} {
			c.server(answers)
			c.holds()
		}
		c.server(answer)
		c.free(1)
	})
}

func TestHalfAStatementKeepsNoServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("1"), query("second")[:8])
		c.server(answer)
		c.free(1)
		c.client(query("second")[8:])
		c.server(answer)
		c.free(2)
		c.sentIs(query("1"), query("second"))
		c.lives()
	})
}

func TestHalfAMessageThatPassesKeepsTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		large := msg('B', "\x00\x00\x00\x00\x00\x01\x00\x00\x75\x30", strings.Repeat("x", 30_000), "\x00\x00")
		c.client(parse, syncMsg, large[:20_000])
		c.server(parsed, ready("I"))
		c.holds()
		c.client(large[20_000:], syncMsg)
		c.server(bound, ready("I"))
		c.free(1)
		c.sentIs(parse, syncMsg, large, syncMsg)
		c.lives()
	})
}

func TestAFunctionCallIsAnsweredByOneReadyForQuery(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(call(952))
		c.sentIs(call(952))
		c.server(msg('V', "\xff\xff\xff\xff"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestAQueryWithinAnUnfinishedBatchIsAnsweredOrSkippedAsPostgreSQLSays(t *testing.T) {
	for m, answer := range map[string]string{query("SELECT 1"): answer, call(952): msg('V', "\xff\xff\xff\xff") + ready("I")} {
		everyWay(t, func(c *talk) {
			c.client(parse, m)
			c.sentIs(parse, m)
			c.server(parsed, answer)
			c.free(1)
			c.heardIs(parsed, answer)
			c.lives()
		})
		everyWay(t, func(c *talk) {
			c.client(parse, m)
			c.server(serverError("42601")) // and it skips the query
			c.holds()
			c.client(parse, m)
			c.sentIs(parse, m)
			c.client(syncMsg)
			c.server(ready("I"))
			c.sentIs(syncMsg)
			c.free(1)
			c.heardIs(serverError("42601"), ready("I"))
			c.lives()
		})
	}
}

func TestWhatAServerSaysByItselfPassesAtAnyTime(t *testing.T) {
	everyWay(t, func(c *talk) {
		status := parameter("TimeZone", "UTC")
		c.client(query("BEGIN"))
		c.server(notice, complete("BEGIN"), status, ready("T"))
		c.server(notification, parameter("TimeZone", "CET"), notice) // nobody asked
		c.holds()
		if list, changed := c.ServerReported(); !changed || list[0].Value != "CET" {
			c.t.Errorf("the server reports %v, which is news: %v", list, changed)
		}
		c.client(query("COMMIT"))
		c.server(notification, complete("COMMIT"), notice, ready("I"))
		c.heardIs(notice, complete("BEGIN"), status, ready("T"), notification, parameter("TimeZone", "CET"), notice,
			notification, complete("COMMIT"), notice, ready("I"))
		if got := c.ClientReported()[0].Value; got != "CET" {
			c.t.Errorf("the client is known to have been told %s", got)
		}
	})
}

func TestAParameterTooLongToKeepPassesUnreadAndKeepsTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		long := parameter("search_path", strings.Repeat("a", relay.WholeMessage))
		c.client(query("SELECT 1"))
		c.server(long, complete("SELECT 1"), ready("I"))
		c.heardIs(long, complete("SELECT 1"), ready("I"))
		c.holds()
		c.pinnedBy("unknown state")
		if len(c.ClientReported()) != 2 {
			c.t.Error("a parameter beyond the limit was read")
		}
	})
}

func TestALargestParameterIsRead(t *testing.T) {
	everyWay(t, func(c *talk) {
		long := parameter("a", strings.Repeat("b", relay.WholeMessage-3))
		c.client(query("BEGIN"))
		c.server(long, ready("T"))
		c.heardIs(long, ready("T"))
		if told := c.ClientReported(); len(told) != 3 || len(told[2].Value) != relay.WholeMessage-3 {
			c.t.Errorf("%d parameters were read", len(told))
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
	everyWay(t, func(c *talk) { // its answers come first
		c.client(query("SELECT 1"), goodbye)
		c.sentIs(query("SELECT 1"))
		if c.gone {
			c.t.Fatal("the session is over before its answer came")
		}
		c.server(answer)
		c.heardIs(answer)
		if !c.gone {
			c.t.Error("the session goes on")
		}
	})
}

func TestInSessionModeTheServerRestsBetweenQueries(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Shared = false })
		c.client(query("SELECT 1"))
		c.server(answer)
		c.holds()
		if !c.AtRest() {
			c.t.Error("the server is not at rest")
		}
		c.server(notification)
		c.client(parseAs("a", "SELECT 1"), bindTo("a"), execute, syncMsg)
		c.sentIs(query("SELECT 1"), parseAs("a", "SELECT 1"), bindTo("a"), execute, syncMsg)
		c.server(parsed, bound, complete("SELECT 1"), ready("I"))
		if c.links != 1 || !c.AtRest() {
			c.t.Errorf("%d links, at rest: %v", c.links, c.AtRest())
		}
		c.lives()
	})
}

func TestRunningMeansThatTheServerHasSomethingToDo(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Shared = false })
		runs := func(want bool) {
			c.t.Helper()
			if c.Running() != want {
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
