package relay_test

import (
	"strings"
	"testing"
)

const copyQuery = "COPY t FROM STDIN"

var copies = parseAs("", copyQuery) // the unnamed statement

func TestACopyInPassesAndGivesTheServerBack(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(copyData("1\n"), copyData("2\n"))
		c.holds()
		c.client(copyDone)
		c.holds()
		c.server(complete("COPY 2"), ready("I"))
		c.free(1)
		c.sentIs(query(copyQuery), copyData("1\n"), copyData("2\n"), copyDone)
		c.heardIs(copyIn, complete("COPY 2"), ready("I"))
		c.lives()
	})
}

func TestACopyInThatTheClientGivesUpEndsInAnError(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(copyData("1\n"), copyFail)
		c.server(serverError("57014"), ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestARestOfAFailedCopyIsDroppedWithoutAServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(copyData("bad\n"))
		c.server(serverError("22P02"), ready("I"))
		c.free(1)
		c.client(copyData("more\n"), copyData(""), copyDone)
		c.client(copyFail)
		c.free(1)
		c.sentIs(query(copyQuery), copyData("bad\n"))
		c.client(query("SELECT 1"))
		c.sentIs(query("SELECT 1"))
		c.server(answer)
		c.free(2)
		c.lives()
	})
}

func TestACopyMessageThatIsHalfSentWhenTheCopyFailsIsSentToItsEnd(t *testing.T) {
	everyWay(t, func(c *talk) {
		data := copyData(strings.Repeat("x", 100))
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(data[:50])
		c.server(serverError("22P02"), ready("I"))
		c.holds()
		c.client(data[50:])
		c.free(1)
		c.sentIs(query(copyQuery), data)
		c.client(copyDone)
		c.free(1)
		c.sentIs("")
	})
}

func TestACopyThatFailsAfterItsEndLeavesNothingBehind(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(copyData("1\n"), copyDone)
		c.server(serverError("23505"), ready("I"))
		c.free(1)
		c.client(query("SELECT 1"))
		c.server(answer)
		c.free(2)
	})
}

func TestACopyThatIsRefusedBeforeItBeganLeavesNothingBehind(t *testing.T) {
	everyWay(t, func(c *talk) {
		// The client does not wait for CopyInResponse.
		c.client(query("COPY nowhere FROM STDIN"), copyData("1\n"), copyDone)
		c.sentIs(query("COPY nowhere FROM STDIN"))
		c.server(serverError("42P01"), ready("I"))
		c.free(1)
		c.sentIs("")
		c.lives()
	})
}

func TestAFailedCopyInATransactionDropsWhatItsServerWouldSkip(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("BEGIN"))
		c.server(complete("BEGIN"), ready("T"))
		c.client(query(copyQuery))
		c.server(copyIn)
		c.client(copyData("bad\n"))
		c.server(serverError("22P02"), ready("E"))
		c.client(copyData("more\n"), copyDone)
		c.holds()
		c.client(query("ROLLBACK"))
		c.server(complete("ROLLBACK"), ready("I"))
		c.free(1)
		c.sentIs(query("BEGIN"), query(copyQuery), copyData("bad\n"), query("ROLLBACK"))
		c.lives()
	})
}

func TestABlindCopyWaitsUntilTheServerReads(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query(copyQuery), copyData("1\n"), copyDone)
		c.sentIs(query(copyQuery))
		c.server(copyIn)
		c.sentIs(copyData("1\n"), copyDone)
		c.holds()
		c.server(complete("COPY 1"), ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestSeveralCopiesInOneQueryAreOneAnswer(t *testing.T) {
	for name, blind := range map[string]bool{"blindly": true, "each when it is asked for": false} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(c *talk) {
				c.client(query("COPY a FROM STDIN; COPY b FROM STDIN"))
				if blind {
					c.client(copyData("1\n"), copyDone, copyData("2\n"), copyDone)
				}
				for _, data := range []string{"1\n", "2\n"} {
					c.server(copyIn)
					if !blind {
						c.client(copyData(data), copyDone)
					}
					c.server(complete("COPY 1"))
					c.holds()
				}
				c.server(ready("I"))
				c.free(1)
				c.sentIs(query("COPY a FROM STDIN; COPY b FROM STDIN"), copyData("1\n"), copyDone, copyData("2\n"), copyDone)
				c.lives()
			})
		})
	}
}

// As libpq does: it sends the Sync of a batch before it knows that its
// statement was a COPY. Here nothing is sent behind that before it is known.
func TestASyncThatACopySwallowsKeepsNoServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(copies, bind, execute, syncMsg)
		c.sentIs(copies, bind, execute, flush)
		c.server(parsed, bound, copyIn)
		c.sentIs(syncMsg)
		c.client(copyData("1\n"))
		c.holds()
		c.client(copyDone, syncMsg)
		c.sentIs(copyData("1\n"), copyDone, flush)
		c.server(complete("COPY 1"))
		c.sentIs(syncMsg)
		c.server(ready("I"))
		c.free(1)
		c.heardIs(parsed, bound, copyIn, complete("COPY 1"), ready("I"))
		c.lives()
	})
}

func TestOfSyncsWithinACopyThatFailedPostgreSQLTellsWhichCounted(t *testing.T) {
	everyWay(t, func(c *talk) { // it was swallowed
		c.client(copies, bind, execute, syncMsg)
		c.server(parsed, bound, copyIn)
		c.client(copyData("bad\n"))
		c.fresh()
		c.server(serverError("22P02"))
		c.sentIs(syncMsg, closeS(nth(1)), syncMsg)
		c.client(copyDone)
		c.server(ready("I"), msg('3'), ready("I"))
		c.heardIs(serverError("22P02"))
		c.holds()
		c.client(syncMsg)
		c.sentIs(syncMsg)
		c.server(ready("I"))
		c.heardIs(ready("I"))
		c.free(1)
		c.lives()
	})
	everyWay(t, func(c *talk) { // it came when the COPY had failed
		c.client(copies, bind, execute, syncMsg)
		c.server(parsed, bound, copyIn)
		c.client(copyData("bad\n"))
		c.fresh()
		c.server(serverError("22P02"), ready("I"))
		c.sentIs(syncMsg, closeS(nth(1)), syncMsg)
		c.server(ready("I"), msg('3'), ready("I"))
		c.heardIs(serverError("22P02"), ready("I"))
		c.free(1)
		c.client(copyDone)
		c.free(1)
		c.lives()
	})
}

func TestABlindCopyInExtendedFormWaitsToo(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(copies, bind, execute, copyData("1\n"), copyDone, syncMsg)
		c.sentIs(copies, bind, execute, flush)
		c.server(parsed, bound, copyIn)
		c.sentIs(copyData("1\n"), copyDone, flush)
		c.server(complete("COPY 1"))
		c.sentIs(syncMsg)
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestTwoBlindCopiesInOneBatchPass(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(copies, bind, execute, copyDone, bind, execute, copyDone, syncMsg)
		c.server(parsed)
		for range 2 {
			c.server(bound, copyIn)
			c.server(complete("COPY 0"))
		}
		c.sentIs(copies, bind, execute, flush, copyDone, flush, bind, execute, flush, copyDone, flush, syncMsg)
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestABlindCopyThatIsRefusedInExtendedFormLeavesNothingBehind(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(copies, bind, execute, copyData("1\n"), copyDone, syncMsg)
		c.server(serverError("42P01"))
		c.sentIs(copies, bind, execute, flush, syncMsg)
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestBatchesBeforeACopyAreAnsweredBeforeIt(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, copies, bind, execute, syncMsg)
		c.server(parsed, bound, complete("SELECT 1"), ready("I"))
		c.holds()
		c.server(parsed, bound, copyIn)
		c.client(copyDone, syncMsg)
		c.server(complete("COPY 0"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestAQueryEndsABatchWithACopyAsASyncDoes(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(copies, bind, execute, syncMsg, copyDone, query("SELECT 1"))
		c.server(parsed, bound, copyIn)
		c.server(complete("COPY 0"))
		c.holds()
		c.server(answer)
		c.server(msg('I'), ready("I")) // asked since the Query stood in a batch
		c.free(1)
		c.lives()
	})
}

// PostgreSQL reads the type of such a message, and ends the connection. It gets
// no more of it: where the COPY has failed already it would run.
func TestOfAMessageThatNoCopyTakesTheServerGetsTheTypeAlone(t *testing.T) {
	for _, m := range []string{query("SELECT 1"), parse, closeS("a") + closeS("a"), execute, call(952)} {
		everyWay(t, func(c *talk) {
			c.client(query(copyQuery), m)
			c.server(copyIn)
			c.sentIs(query(copyQuery), m[:1])
			c.server(serverError("08P01"), serverError("08P01"))
			c.heardIs(copyIn, serverError("08P01"), serverError("08P01"))
			c.holds()
		})
	}
}

func TestACopyThatTheTextDidNotShowKeepsItsServerFromOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SELECT f()"), query("SELECT 1"))
		c.server(copyIn, serverError("08P01"), ready("I"))
		c.holds()
	})
}

func TestACopyOutPasses(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t TO STDOUT"))
		out := []string{copyOut, msg('d', "1\n"), msg('d', "2\n"), msg('c'), complete("COPY 2"), ready("I")}
		c.server(out[:3]...)
		c.holds()
		c.server(out[3:]...)
		c.free(1)
		c.heardIs(out...)
	})
}

func TestACopyOutThatFailsGivesTheServerBack(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t TO STDOUT"))
		c.server(copyOut, msg('d', "1\n"), serverError("58030"), ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestStrayCopyMessagesAskForNoServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(copyData("x"), copyData(""), copyDone, copyFail)
		c.free(0)
		c.sentIs("")
		c.lives()
	})
}

func TestACopyByAPreparedStatementKeepsCount(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("copy", copyQuery)
		for n := range 2 {
			c.otherServer()
			c.fresh()
			c.client(bindTo("copy"), execute, syncMsg)
			if n == 0 { // blindly
				c.client(copyData("1\n"), copyDone, syncMsg)
			}
			name, probe := nth(3+2*n), nth(4+2*n)
			c.sentIs(parseAs(name, ""), parseAs(probe, copyQuery), bindTo(probe), execute, flush)
			c.server(parsed, parsed, bound, copyIn)
			if n == 1 {
				c.client(copyData("1\n"), copyDone, syncMsg)
			}
			c.server(complete("COPY 1"))
			c.server(ready("I"))
			c.heardIs(bound, copyIn, complete("COPY 1"), ready("I"))
			c.free(2 + n)
			c.lives()
		}
	})
}
