package proxy

import "testing"

// A pipeline that mixes batches with blind COPY ends in more than one way of
// counting what the server owes. Where that happens nobody else may get the
// server.

func TestAPipelinedCopyBehindAnotherBatchKeepsItsServerFromOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, parse, bind, execute, copyDone, syncMsg)
		c.server(complete("SELECT 1"), ready("I"))
		c.server(copyIn)
		c.client(copyDone, parse, bind, execute, syncMsg)
		c.server(complete("COPY 0"), ready("I")) // for the second Sync: the third is still owed
		c.holds()
	})
}

func TestABatchBehindASimpleCopyKeepsItsServerFromOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"), parse, parse, bind, execute, syncMsg)
		c.server(copyIn)
		c.server(serverError("08P01"), ready("I"))
		c.holds()
	})
}

func TestABatchBetweenASyncAndTheEndOfACopyKeepsItsServerFromOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, syncMsg, parse, syncMsg)
		c.server(copyIn)
		c.server(serverError("08P01"), ready("I"))
		c.holds()
	})
}
