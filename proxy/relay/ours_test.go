package relay_test

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

const setUTC = "SELECT pg_catalog.set_config('TimeZone', 'UTC', false)"

// setUp has a client ask for a server that a query of ours goes to first.
func setUp(c *talk) {
	c.start("TimeZone=UTC")
	c.client(query("SELECT 1"))
	c.sentIs(query(setUTC)) // and the client's waits for the answer
	c.heardIs("")
}

func TestTheAnswerToOurOwnQueryIsHiddenFromTheClient(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(parameter("TimeZone", "UTC"), rowDescription, row("UTC"), complete("SELECT 1"))
		c.heardIs("")
		c.sentIs("")
		c.server(ready("I"))
		c.heardIs("")
		c.sentIs(query("SELECT 1"))
		c.holds()
		c.server(answer)
		c.heardIs(answer)
		c.free(1)
		c.lives()
		c.client(query("SELECT 1")) // it is set by now
		c.sentIs(query("SELECT 1"))
	})
}

func TestOnlyAnApplicationNameGoesInFrontOfTheClientsQueryAtOnce(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.start("application_name=psql")
		c.client(query("SELECT 1"))
		set := query("SELECT pg_catalog.set_config('application_name', 'psql', false)")
		c.sentIs(set, query("SELECT 1"))
		c.server(rowDescription, row("psql"), complete("SELECT 1"), ready("I"), answer)
		c.heardIs(answer)
		c.free(1)
		c.lives()
		b := c.another()
		b.client(query("SELECT 2"))
		b.sentIs(query("SELECT pg_catalog.set_config('application_name', NULL, false)"), query("SELECT 2"))
	})
}

func TestOfWhatOurQueryChangesTheClientIsToldWhatIsNewsToIt(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(notice, parameter("TimeZone", "UTC"), rowDescription, notification, row("UTC"),
			parameter("DateStyle", "German"), complete("SELECT 1"), ready("I"))
		c.server(answer)
		c.heardIs(notification, parameter("DateStyle", "German"), answer)
		c.free(1)
	})
}

func TestABigAnswerToOurOwnQueryIsHiddenWhole(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(parameter("TimeZone", "UTC"), row(strings.Repeat("x", 3*relay.SmallMessage)), complete("SELECT 1"), ready("I"))
		c.server(answer)
		c.heardIs(answer)
		c.free(1)
	})
}

func TestOurOwnQueryIsNoQueryThatTheClientCouldCancel(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(rowDescription)
		if c.Running() {
			c.t.Error("the client's query is said to run")
		}
		c.server(complete("SELECT 1"), ready("I"))
		if !c.Running() {
			c.t.Error("the client's query is not said to run")
		}
	})
}

func TestARefusalOfOurOwnQueryEndsTheSessionOnTheSecondServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(serverError("22023"), ready("I"))
		c.heardIs("")
		if !c.retried {
			c.t.Fatal("no fresh server is tried")
		}
		if exact, fresh := c.Need(); exact || !fresh {
			c.t.Errorf("exact %v, fresh %v", exact, fresh)
		}
		c.server(serverError("22023"), ready("I"))
		c.failedWith("22023")
		c.heardIs("")
		if c.err.Severity != "FATAL" || c.err.Message != "it went wrong" {
			c.t.Errorf("the client is told %+v", c.err)
		}
		c.sentIs(query(setUTC))
	})
}

func TestARefusalThatCanNotBeReadEndsTheSessionToo(t *testing.T) {
	for name, refusal := range map[string]string{
		"no terminator": msg('E', "Mno end"),
		"empty":         msg('E'),
		"too long":      msg('E', "M", strings.Repeat("x", 2*relay.WholeMessage), "\x00\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(c *talk) {
				setUp(c)
				c.server(refusal, ready("I"))
				c.server(refusal, ready("I"))
				c.heardIs("")
				if name != "too long" {
					c.failedWith(wire.CodeInvalidParameter)
				} else if c.err == nil {
					c.t.Error("the session goes on")
				}
			})
		})
	}
}

func TestACopyInAnswerToOurOwnQueryKeepsTheServerFromOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(copyIn)
		c.holds()
		if c.Quiet() != true {
			c.t.Error("what the server owes is said to be known")
		}
	})
}

// leaves has the client go, and asserts what the server is sent to bring it
// to rest.
func (c *talk) leaves(orderly bool, msgs ...string) {
	c.t.Helper()
	c.fresh()
	out, ok := c.Leave()
	c.sent.Write(out)
	if ok != orderly {
		c.t.Fatalf("leaving is orderly: %v", ok)
	}
	c.settle()
	c.sentIs(msgs...)
}

// settles has the server say its last words and asserts that it is given back
// clean, that our own queries were these, and that the client heard nothing.
func (c *talk) settles(msgs ...string) {
	c.t.Helper()
	c.server(msgs...)
	c.heardIs("")
	if c.attached || c.broken {
		c.t.Fatalf("held: %v, broken: %v", c.attached, c.broken)
	}
}

func TestAClientThatLeavesInATransactionHasItRolledBack(t *testing.T) {
	for _, status := range []string{"T", "E"} {
		everyWay(t, func(c *talk) {
			c.client(query("BEGIN"))
			c.server(complete("BEGIN"), ready(status))
			c.leaves(true, query("ROLLBACK"))
			c.settles(notice, notification, complete("ROLLBACK"), ready("I"))
		})
	}
}

func TestAServerThatDoesNotRollBackIsEnded(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("BEGIN"))
		c.server(complete("BEGIN"), ready("T"))
		c.leaves(true, query("ROLLBACK"))
		c.server(serverError("XX000"), ready("E"))
		if !c.broken {
			c.t.Error("the server lives on")
		}
	})
}

func TestAClientThatLeavesInMidQueryLeavesItsAnswerToBeRead(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SELECT pg_sleep(60)"))
		c.server(rowDescription, row("1")[:6])
		c.leaves(true)
		if !c.Running() {
			c.t.Error("nobody would cancel the query")
		}
		c.server(row("1")[6:])
		c.settles(serverError("57014"), ready("I"))
	})
}

func TestAClientThatLeavesInMidBatchHasItFailBeforeItCounts(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, flush)
		c.leaves(true, bindTo(nth(1)), syncMsg)
		c.settles(parsed, bound, complete("INSERT 0 1"), serverError("26000"), ready("I"))
	})
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, flush)
		c.server(serverError("42601"))
		c.leaves(true, syncMsg)
		c.settles(ready("I"))
	})
}

func TestAClientThatLeavesInMidPipelineHasAllOfItAnswered(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, syncMsg, parse)
		c.leaves(true, bindTo(nth(1)), syncMsg)
		c.server(parsed, ready("I"))
		c.server(parsed, serverError("26000"), ready("T"))
		c.sentIs(query("ROLLBACK"))
		c.settles(complete("ROLLBACK"), ready("I"))
	})
}

func TestAClientThatLeavesInMidCopyHasItFail(t *testing.T) {
	gone := msg('f', "client disconnected\x00")
	everyWay(t, func(c *talk) {
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(copyData("1\n"))
		c.leaves(true, gone)
		c.settles(serverError("57014"), ready("I"))
	})
	everyWay(t, func(c *talk) {
		c.client(copies, bind, execute)
		c.server(parsed, bound, copyIn)
		c.leaves(true, gone, bindTo(nth(1)), syncMsg)
		c.settles(serverError("57014"), ready("I"))
	})
}

func TestAClientThatLeavesWithinAMessageCanNotBeTidiedUpAfter(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(copyData("12345")[:7])
		c.leaves(false)
	})
}

func TestWhatHasNotReachedTheServerKeepsNobodyFromTidyingUp(t *testing.T) {
	for _, part := range []string{query("SELECT 1")[:4], query("SELECT 1")[:9], parseAs("a", strings.Repeat("x", 2*relay.WholeMessage))[:20_000]} {
		everyWay(t, func(c *talk) {
			c.client(query("BEGIN"))
			c.server(complete("BEGIN"), ready("T"))
			c.client(part)
			c.sentIs(query("BEGIN"))
			c.leaves(true, query("ROLLBACK"))
			c.settles(complete("ROLLBACK"), ready("I"))
		})
	}
}

func TestASessionsServerIsResetBehindIt(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Shared = false })
		c.client(query("SELECT 1"))
		c.server(answer)
		c.leaves(true, query("DISCARD ALL"))
		c.settles(complete("DISCARD ALL"), ready("I"))
	})
}

func TestAServerWhoseResetFailsIsEnded(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Shared = false })
		c.client(query("SELECT 1"))
		c.server(answer)
		c.leaves(true, query("DISCARD ALL"))
		c.server(serverError("25001"), ready("I"))
		if !c.broken {
			c.t.Error("the next client gets what the reset has left")
		}
	})
}

func TestAResetThatDiscardsLessDoesNotMakeParametersUnset(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Always, cfg.Reset = true, "UNLISTEN *" }, "geqo=off")
		c.client(query("SELECT 1"))
		c.server(rowDescription, row("off"), complete("SELECT 1"), ready("I"))
		c.server(answer)
		c.sentIs(query("SELECT pg_catalog.set_config('geqo', 'off', false)"), query("SELECT 1"), query("UNLISTEN *"))
		c.server(complete("UNLISTEN"), ready("I"))
		c.heardIs(answer)
		c.free(1)
		b := c.another()
		b.client(query("SELECT 2"))
		b.sentIs(query("SELECT pg_catalog.set_config('geqo', NULL, false)"))
	})
}

func TestAClientIsToldNothingWithinAServersMessage(t *testing.T) {
	c := newTalk(t, whole)
	between := func(want bool) {
		t.Helper()
		if c.BetweenMessages() != want {
			t.Fatalf("between messages: %v, want %v", !want, want)
		}
	}
	between(true)
	c.client(query("SELECT 1"))
	between(true)
	c.server(row("12345")[:8])
	between(false)
	c.server(row("12345")[8:])
	between(true)
	c.server(row("12345")[:4]) // not passed on as long as it is torn
	between(true)
}

func TestAServersLastWordThatTheClientDoesNotHearIsNotTakenForOne(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(serverError("57P01"))
		if c.FatalSeen() {
			c.t.Error("the client would be told nothing")
		}
	})
}

func TestTheLastWordOfAServerIsKnown(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SELECT 1"))
		c.server(row("1"))
		if c.FatalSeen() {
			c.t.Error("a row was taken for an error")
		}
		c.server(serverError("57P01")[:9])
		if c.FatalSeen() {
			c.t.Error("half an error was taken for a whole one")
		}
		c.server(serverError("57P01")[9:])
		if !c.FatalSeen() {
			c.t.Error("the error was not seen")
		}
	})
}

// In session mode nobody asks what is set: a report that the client's statement
// may have caused is not taken for a new default of the server's.
func TestWhatAnExecutedStatementSetsIsNoDefault(t *testing.T) {
	for sql, news := range map[string]bool{"SELECT 1": true, "EXECUTE p (1)": false, "SET TimeZone = 'UTC'": false} {
		c := newTalk(t, whole)
		c.configured(func(cfg *relay.Config) { cfg.Shared = false })
		c.client(query(sql))
		c.FromServer([]byte(parameter("TimeZone", "UTC") + complete("DONE") + ready("I")))
		if a := c.Next(); (len(a.Defaults) > 0) != news {
			t.Errorf("behind %q the defaults are %v", sql, a.Defaults)
		}
	}
}

// A FunctionCall of which only the head has come ends no batch: what was sent for
// the client since its last Sync is still open on the server.
func TestAPieceOfAFunctionCallEndsNoBatch(t *testing.T) {
	c := newTalk(t, whole)
	c.client(call(16384), parseAs("p", "SET ROLE x"), parseAs("q", "SELECT timestamptz '2021-01-01'"), msg('H'))
	values := make([]string, strings.Count(c.sent.String(), "current_setting"))
	c.late = true // a Sync of ours may come later than the client's next bytes
	c.server(msg('V', "\xff\xff\xff\xff"), ready("I"))
	c.server(parsed, parsed, noParameters, noData, parsed, noParameters, rowDescription)
	c.server(parsed, bound, row(values...), complete("SELECT 1"), closed, closed)
	c.fresh()
	c.client(call(952)[:7])
	c.sentIs("")
	if c.AtRest() || !c.attached {
		t.Error("the server is taken for one at rest")
	}
	c.client(call(952)[7:])
	c.sentIs(syncMsg, call(952))
	c.lives()
}
