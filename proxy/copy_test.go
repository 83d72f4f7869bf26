package proxy

import (
	"strings"
	"testing"
)

func TestACopyInPassesAndGivesTheServerBack(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(copyData("1\n"), copyData("2\n"))
		c.holds()
		c.client(copyDone)
		c.holds()
		c.server(complete("COPY 2"), ready("I"))
		c.free(1)
		c.sentIs(query("COPY t FROM STDIN"), copyData("1\n"), copyData("2\n"), copyDone)
		c.heardIs(copyIn, complete("COPY 2"), ready("I"))
		c.lives()
	})
}

func TestACopyInThatTheClientGivesUpEndsInAnError(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(copyData("1\n"), copyFail)
		c.server(serverError("57014"), ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestARestOfAFailedCopyIsDroppedWithoutAServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(copyData("bad\n"))
		c.server(serverError("22P02"), ready("I"))
		c.free(1)
		c.client(copyData("more\n"), copyData(""), copyDone)
		c.client(copyFail)
		c.free(1)
		c.sentIs(query("COPY t FROM STDIN"), copyData("bad\n"))
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
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(data[:50])
		c.server(serverError("22P02"), ready("I"))
		c.holds()
		c.client(data[50:])
		c.free(1)
		c.sentIs(query("COPY t FROM STDIN"), data)
		c.client(copyDone)
		c.free(1)
		c.sentIs("")
	})
}

func TestACopyThatFailsAfterItsEndLeavesNothingBehind(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"))
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
		c.server(serverError("42P01"), ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestAFailedCopyInATransactionDropsNothingItsServerWouldSkip(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("BEGIN"))
		c.server(complete("BEGIN"), ready("T"))
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(copyData("bad\n"))
		c.server(serverError("22P02"), ready("E"))
		c.client(copyData("more\n"), copyDone)
		c.holds()
		c.client(query("ROLLBACK"))
		c.server(complete("ROLLBACK"), ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestABlindCopyInSimpleFormPasses(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"), copyData("1\n"), copyDone)
		c.server(copyIn)
		c.holds()
		c.server(complete("COPY 1"), ready("I"))
		c.free(1)
	})
}

func TestSeveralCopiesInOneQueryAreOneAnswer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY a FROM STDIN; COPY b FROM STDIN"))
		for range 2 {
			c.server(copyIn)
			c.client(copyData("1\n"), copyDone)
			c.server(complete("COPY 1"))
			c.holds()
		}
		c.server(ready("I"))
		c.free(1)
	})
	everyWay(t, func(c *talk) {
		c.client(query("COPY a FROM STDIN; COPY b FROM STDIN"))
		c.client(copyData("1\n"), copyDone, copyData("2\n"), copyDone)
		c.server(copyIn, complete("COPY 1"), copyIn, complete("COPY 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestASyncThatACopySwallowsKeepsNoServer(t *testing.T) {
	// A client library that did not know that the statement was a COPY sends
	// Sync at once; PostgreSQL ignores it, and another one ends the batch.
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg)
		c.server(parsed, bound, copyIn)
		c.client(copyData("1\n"))
		c.holds()
		c.client(copyDone, syncMsg)
		c.server(complete("COPY 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestACopyThatSwallowedItsSyncAndFailedNeedsAnother(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg)
		c.server(parsed, bound, copyIn)
		c.client(copyData("bad\n"))
		c.server(serverError("22P02"))
		c.holds()
		c.client(copyDone)
		c.holds()
		c.client(syncMsg)
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestABlindCopyInExtendedFormPasses(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, copyData("1\n"), copyDone, syncMsg)
		c.server(parsed, bound, copyIn)
		c.holds()
		c.server(complete("COPY 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestABlindCopyWithASyncOnBothSidesPasses(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, copyData("1\n"), copyDone, syncMsg)
		c.server(parsed, bound, copyIn, complete("COPY 1"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestABlindCopyWithoutASyncBehindItKeepsTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, copyData("1\n"), copyDone)
		c.server(parsed, bound, copyIn, complete("COPY 1"))
		c.holds()
		c.client(syncMsg)
		c.server(ready("I"))
		c.free(1)
	})
}

func TestTwoBlindCopiesInOneBatchPass(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(bind, execute, copyDone, bind, execute, copyDone, syncMsg)
		c.server(bound, copyIn, complete("COPY 0"), bound, copyIn, complete("COPY 0"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
	})
}

func TestABlindCopyThatIsRefusedInExtendedFormLeavesNothingBehind(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, copyData("1\n"), copyDone, syncMsg)
		c.server(serverError("42P01"))
		c.holds()
		c.server(ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestBatchesBeforeACopyAreAnsweredBeforeIt(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, bind, execute, syncMsg)
		c.server(parsed, bound, complete("SELECT 1"), ready("I"))
		c.holds()
		c.server(bound, copyIn)
		c.client(copyDone, syncMsg)
		c.server(complete("COPY 0"), ready("I"))
		c.holds() // to be sure: see copy_hostile_test.go
	})
}

func TestASimpleQueryEndsABlindCopyAsASyncDoes(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(bind, execute, syncMsg, copyDone, query("SELECT 1"))
		c.server(bound, copyIn, complete("COPY 0"))
		c.holds()
		c.server(answer)
		c.free(1)
		c.lives()
	})
}

func TestAQueryInTheMidstOfACopyKeepsTheServerFromOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"), query("SELECT 1"))
		c.server(copyIn, serverError("08P01"), ready("I"))
		c.holds()
	})
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(query("SELECT 1"))
		c.server(serverError("08P01"), ready("I"))
		c.holds()
	})
}

func TestASyncInTheMidstOfACopyKeepsTheServerFromOthers(t *testing.T) {
	// PostgreSQL ignores the Sync, unless the COPY has failed before it came.
	everyWay(t, func(c *talk) {
		c.client(bind, execute)
		c.server(bound, copyIn)
		c.client(syncMsg, copyDone, syncMsg)
		c.server(complete("COPY 0"), ready("I"))
		c.holds()
		c.lives()
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
