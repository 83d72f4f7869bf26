package proxy

import (
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// setUp has a client ask for a server that our own query goes to first.
func setUp(c *talk) {
	c.ours = 1
	c.client(query("SELECT 1"))
	c.sentIs(query("SELECT 1")) // the driver puts our query in front
}

func TestTheAnswerToOurOwnQueryIsHiddenFromTheClient(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(rowDescription, row("UTC"), complete("SELECT 1"))
		c.heardIs("")
		c.server(ready("I"))
		c.heardIs("")
		c.holds()
		c.server(answer)
		c.heardIs(answer)
		c.free(1)
		c.lives()
	})
}

func TestWhatConcernsTheClientPassesThroughOurOwnQuery(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(notice, parameter("TimeZone", "UTC"), rowDescription, notification, row("UTC"),
			parameter("DateStyle", "ISO"), complete("SELECT 1"), ready("I"), answer)
		c.heardIs(parameter("TimeZone", "UTC"), notification, parameter("DateStyle", "ISO"), answer)
		if len(c.params) != 2 {
			c.t.Errorf("%d parameters were seen", len(c.params))
		}
		c.free(1)
	})
}

func TestABigAnswerToOurOwnQueryIsHiddenWhole(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(row(strings.Repeat("x", 500)), complete("SELECT 1"), ready("I"), answer)
		c.heardIs(answer)
		c.free(1)
	})
}

func TestOurOwnQueryIsNoQueryThatTheClientCouldCancel(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(rowDescription)
		if c.running() {
			c.t.Error("the client's query is said to run")
		}
		c.server(complete("SELECT 1"), ready("I"))
		if !c.running() {
			c.t.Error("the client's query is not said to run")
		}
	})
}

func TestARefusalOfOurOwnQueryEndsTheSessionWithTheServersReason(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(serverError("22023"), ready("I"))
		c.failedWith("22023")
		c.heardIs("")
		if c.err.Severity != "FATAL" || c.err.Message != "it went wrong" {
			c.t.Errorf("the client is told %+v", c.err)
		}
	})
}

func TestARefusalThatCanNotBeReadEndsTheSessionToo(t *testing.T) {
	for name, refusal := range map[string]string{
		"no terminator": msg('E', "Mno end"),
		"empty":         msg('E'),
		"too long":      msg('E', "M", strings.Repeat("x", smallMessage), "\x00\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(c *talk) {
				setUp(c)
				c.server(refusal)
				c.failedWith(wire.CodeInvalidParameter)
				c.heardIs("")
			})
		})
	}
}

func TestACopyInAnswerToOurOwnQueryEndsTheSession(t *testing.T) {
	everyWay(t, func(c *talk) {
		setUp(c)
		c.server(copyIn)
		c.failedWith(wire.CodeProtocolViolation)
	})
}

// leaves has the client go, and asserts what the server is sent to bring it
// to rest.
func (c *talk) leaves(orderly bool, msgs ...string) {
	c.t.Helper()
	out, ok := c.leave([]byte("before"))
	if ok != orderly || string(out) != "before"+strings.Join(msgs, "") {
		c.t.Fatalf("leaving: %v and %q, want %v and %q", ok, out, orderly, msgs)
	}
}

// settles has the server say its last words and asserts that it is then clean
// but for its transaction, and that the client heard nothing more.
func (c *talk) settles(status string, msgs ...string) {
	c.t.Helper()
	c.heard.Reset()
	if c.quiet() {
		c.t.Fatal("quiet before the server has answered")
	}
	c.server(append(msgs, ready(status))...)
	c.lives()
	c.heardIs("")
	if !c.quiet() || c.atRest() != (status == "I") {
		c.t.Fatalf("quiet: %v, at rest: %v", c.quiet(), c.atRest())
	}
}

func TestAClientMayLeaveAnIdleServerAsItIs(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.keeps = true
		c.client(query("SELECT 1"))
		c.server(answer)
		c.leaves(true)
		if !c.atRest() {
			c.t.Error("the server is not at rest")
		}
	})
}

func TestAClientThatLeavesInATransactionLeavesItToBeRolledBack(t *testing.T) {
	for _, status := range []string{"T", "E"} {
		everyWay(t, func(c *talk) {
			c.client(query("BEGIN"))
			c.server(complete("BEGIN"), ready(status))
			c.leaves(true)
			if !c.quiet() || c.atRest() {
				c.t.Error("the transaction is not seen")
			}
			c.server(notice, notification)
			c.heard.Reset()
			c.linked = true
			c.pending.push(pendingOurs) // the driver sends ROLLBACK
			c.settles("I", complete("ROLLBACK"))
		})
	}
}

func TestAClientThatLeavesInMidQueryLeavesItsAnswerToBeRead(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SELECT pg_sleep(60)"))
		c.server(rowDescription, row("1")[:6])
		c.leaves(true)
		if !c.running() {
			c.t.Error("nobody would cancel the query")
		}
		c.server(row("1")[6:])
		c.settles("I", serverError("57014"))
	})
}

func TestAClientThatLeavesInMidBatchHasItEnded(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, bind, execute, flush)
		c.leaves(true, syncMsg)
		c.settles("I", parsed, bound, complete("SELECT 1"))
	})
}

func TestAClientThatLeavesInMidPipelineHasAllOfItAnswered(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, syncMsg, parse)
		c.leaves(true, syncMsg)
		c.server(parsed, ready("I"))
		c.settles("T", parsed)
	})
}

func TestAClientThatLeavesInMidCopyHasItFail(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("COPY t FROM STDIN"))
		c.server(copyIn)
		c.client(copyData("1\n"))
		c.leaves(true, msg('f', "the client has gone\x00"))
		c.settles("I", serverError("57014"))
	})
	everyWay(t, func(c *talk) {
		c.client(bind, execute, syncMsg) // the COPY swallows this Sync
		c.server(bound, copyIn)
		c.leaves(true, msg('f', "the client has gone\x00"), syncMsg)
		c.settles("I", serverError("57014"))
	})
}

func TestAClientThatLeavesWithinAMessageCanNotBeTidiedUpAfter(t *testing.T) {
	for name, part := range map[string]string{
		"in the body of a query": query("SELECT 1")[:9],
		"behind its header":      query("SELECT 1")[:5],
		"in COPY data":           query("COPY t FROM STDIN") + copyData("12345")[:7],
	} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(c *talk) {
				c.client(part)
				c.leaves(false)
			})
		})
	}
}

func TestAClientThatLeavesAServerInDoubtCanNotBeTidiedUpAfter(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parse, query("SELECT 1"))
		c.leaves(false)
	})
}

func TestATornHeaderNeverReachedTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("BEGIN"))
		c.server(complete("BEGIN"), ready("T"))
		c.client(query("SELECT 1")[:4])
		c.sentIs(query("BEGIN"))
		c.leaves(true)
		if !c.quiet() {
			c.t.Error("four bytes that were never sent keep the server busy")
		}
	})
}

func TestAServerIsCleanedByRollbackBeforeReset(t *testing.T) {
	var r relay
	r.link(&serverState{}, 1, 0)
	r.status = wire.StatusInTransaction
	if got := r.clean("DISCARD ALL"); got != "ROLLBACK" {
		t.Errorf("first %q", got)
	}
	r.status = wire.StatusFailed
	if got := r.clean(""); got != "ROLLBACK" {
		t.Errorf("first %q", got)
	}
	r.status = wire.StatusIdle
	if got := r.clean("DISCARD ALL"); got != "DISCARD ALL" {
		t.Errorf("then %q", got)
	}
	if got := r.clean(""); got != "" {
		t.Errorf("without a reset query %q", got)
	}
}

func TestAClientIsToldNothingWithinAServersMessage(t *testing.T) {
	c := newTalk(t, whole)
	between := func(want bool) {
		t.Helper()
		if c.betweenMessages() != want {
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
		c.pending.push(pendingAside)
		c.server(serverError("57P01"))
		if c.fatalSeen() {
			c.t.Error("the client would be told nothing")
		}
	})
}

func TestTheLastWordOfAServerIsKnown(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SELECT 1"))
		c.server(row("1"))
		if c.fatalSeen() {
			c.t.Error("a row was taken for an error")
		}
		c.server(serverError("57P01")[:9])
		if c.fatalSeen() {
			c.t.Error("half an error was taken for a whole one")
		}
		c.server(serverError("57P01")[9:])
		if !c.fatalSeen() {
			c.t.Error("the error was not seen")
		}
	})
}
