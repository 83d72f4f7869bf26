package proxy

import (
	"testing"
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
