package relay_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
	"github.com/pgseal/pgseal/proxy/relay/prepared"
)

// What goes to a server that has no statement yet for a client's Parse of its
// first one: the probe, the statement, and a Describe of it.
func prepares(probe, name, sql string) string {
	return parseAs(probe, "") + parseAs(name, sql) + describeS(name)
}

var (
	selectOne = parseAs("one", "SELECT 1")
	firstOne  = prepares(nth(1), nth(2), "SELECT 1")
	madeOne   = parsed + parsed + noParameters + rowDescription // the answer to it
	runsOne   = bindTo("one") + execute + syncMsg
	firstRuns = bindTo(nth(2)) + execute + syncMsg
	ranOne    = bound + row("1") + complete("SELECT 1") + ready("I")
)

// prepared has the client prepare a statement, which returns rows where it is a
// SELECT.
func (c *talk) prepared(name, sql string) {
	c.t.Helper()
	before := c.sent.Len()
	c.client(parseAs(name, sql), syncMsg)
	rows := noData
	if strings.HasPrefix(sql, "SELECT") {
		rows = rowDescription
	}
	if strings.Contains(c.sent.String()[before:], "\x00\x00\x00\x00P") { // the probe
		c.server(parsed)
	}
	c.server(parsed, noParameters, rows, ready("I"))
	c.lives()
}

func TestANamedStatementHasANameOfItsOwnOnServers(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(selectOne, runsOne)
		c.sentIs(firstOne, firstRuns)
		c.server(madeOne, ranOne)
		c.heardIs(parsed, ranOne)
		c.free(1)
		c.client(runsOne)
		c.sentIs(firstRuns)
		c.server(ranOne)
		c.heardIs(ranOne)
		c.free(2)
		c.lives()
	})
}

func TestANamedStatementFollowsItsClientToAnotherServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(madeOne, ready("I"))
		c.sentIs(firstOne, syncMsg)
		c.heardIs(parsed, ready("I"))
		c.otherServer()
		c.client(runsOne)
		c.sentIs(prepares(nth(3), nth(4), "SELECT 1"), syncMsg)
		c.server(madeOne, ready("I"))
		c.sentIs(bindTo(nth(4)), execute, syncMsg)
		c.server(ranOne)
		c.heardIs(ranOne)
		c.free(2)
		c.lives()
	})
}

func TestAStatementWithoutRowsFollowsWithoutARoundTrip(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "INSERT INTO t VALUES (1)")
		c.fresh()
		c.otherServer()
		c.client(runsOne)
		c.sentIs(parseAs(nth(3), ""), parseAs(nth(4), "INSERT INTO t VALUES (1)"), bindTo(nth(4)), execute, syncMsg)
		c.server(parsed, parsed, bound, complete("INSERT 0 1"), ready("I"))
		c.heardIs(bound, complete("INSERT 0 1"), ready("I"))
		c.lives()
	})
}

func TestAStatementWhoseColumnsAreOthersOnTheNextServerIsRefused(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(madeOne, ready("I"))
		c.otherServer()
		c.fresh()
		c.client(runsOne)
		c.server(parsed, parsed, noParameters, columns("another"), ready("I"))
		c.fresh()
		// PostgreSQL looks at the values first.
		c.server(parsed, bound, errorSaying("26000", `prepared statement "nobody" does not exist`), ready("I"))
		if heard := c.heard.String(); !strings.Contains(heard, "C0A000\x00Mcached plan must not change result type") ||
			!strings.Contains(heard, "RRevalidateCachedQuery\x00") || !strings.HasSuffix(heard, ready("I")) {
			c.t.Errorf("the client is told %q", heard)
		}
		c.lives()
	})
}

func TestEqualTextsAreOneStatementOnAServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parseAs("a", "SELECT 1"), syncMsg)
		c.server(madeOne, ready("I"))
		b := c.another()
		b.client(parseAs("b", "SELECT 1"), syncMsg)
		b.server(parsed, noParameters, rowDescription, ready("I"))
		b.heardIs(parsed, ready("I"))
		if n := c.state.Prepared(); n != 1 {
			c.t.Errorf("the server has %d statements", n)
		}
		if count, _ := c.statements.Use(); count != 1 {
			c.t.Errorf("%d statements are known", count)
		}
		c.fresh()
		c.client(bindTo("a"), syncMsg)
		c.sentIs(bindTo(nth(3)), syncMsg) // the later of the two, and the other goes
		c.server(bound, ready("I"))
		c.fresh()
		c.client(parseAs("c", "SELECT 2"), syncMsg)
		c.sentIs(closeS(nth(2)), parseAs(nth(4), "SELECT 2"), describeS(nth(4)), syncMsg)
		c.lives()
	})
}

func TestStatementsWithOtherParameterTypesAreOthers(t *testing.T) {
	everyWay(t, func(c *talk) {
		typed := msg('P', "b", "\x00SELECT 1\x00\x00\x01\x00\x00\x00\x17")
		c.client(parseAs("a", "SELECT 1"), typed, syncMsg)
		c.sentIs(firstOne, msg('P', nth(3), "\x00SELECT 1\x00\x00\x01\x00\x00\x00\x17"), describeS(nth(3)), syncMsg)
		c.server(madeOne, parsed, msg('t', "\x00\x01\x00\x00\x00\x17"), rowDescription, ready("I"))
		if n := c.state.Prepared(); n != 2 {
			c.t.Errorf("the server has %d statements", n)
		}
		c.heardIs(parsed, parsed, ready("I"))
	})
}

func TestAStatementThatCouldNotBePreparedDoesNotExist(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(parseAs("bad", "SELEKT"), bindTo("bad"), syncMsg)
		c.server(parsed, serverError("42601"), ready("I"))
		c.heardIs(serverError("42601"), ready("I"))
		c.fresh()
		c.client(bindTo("bad"), syncMsg)
		nobody := nth(3)
		c.sentIs(bindTo(nobody), syncMsg) // PostgreSQL says so
		missing := func(name string) string {
			return errorSaying("26000", fmt.Sprintf("prepared statement %q does not exist", name))
		}
		c.server(missing(nobody), ready("I"))
		c.heardIs(missing("bad"), ready("I"))
		c.client(parseAs("bad", "SELECT 2"), syncMsg) // it may be tried again
		c.server(parsed, noParameters, rowDescription, ready("I"))
		c.heardIs(parsed, ready("I"))
		c.lives()
	})
}

func TestAfterAnErrorWhatWasSkippedIsPreparedAgain(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "INSERT")
		c.otherServer()
		c.fresh()
		// The first message fails, so the server skips our Parse; the batch
		// behind it waits until that is known.
		c.client(parse, runsOne, runsOne)
		one := func(probe, name int) string { return parseAs(nth(probe), "") + parseAs(nth(name), "INSERT") }
		c.sentIs(parse, one(3, 4), bindTo(nth(4)), execute, syncMsg)
		c.server(serverError("42601"), ready("I"))
		c.sentIs(one(5, 6), bindTo(nth(6)), execute, syncMsg)
		c.server(parsed, parsed, ranOne)
		c.heardIs(serverError("42601"), ready("I"), ranOne)
		c.client(runsOne)
		c.sentIs(bindTo(nth(6)), execute, syncMsg)
		c.server(ranOne)
		c.free(4)
		c.lives()
	})
}

func TestANameUsedTwiceGivesPostgreSQLsErrorWithTheClientsName(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "SELECT 1")
		c.fresh()
		c.client(parseAs("one", "SELECT 2"), syncMsg)
		taken := nth(3)
		c.sentIs(parseAs(taken, ""), parseAs(taken, "SELECT 2"), syncMsg)
		told := func(name string) string {
			return errorSaying("42P05", fmt.Sprintf("prepared statement %q already exists", name))
		}
		c.server(parsed, told(taken), ready("I"))
		c.heardIs(told("one"), ready("I"))
		c.client(parseAs("two", "SELECT 2"), syncMsg) // with which ours goes
		c.sentIs(closeS(taken), parseAs(nth(4), "SELECT 2"), describeS(nth(4)), syncMsg)
		c.lives()
	})
}

func TestAClosedNameIsGoneAndTheServersCopyStays(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(madeOne, ready("I"))
		c.fresh()
		nobody := nth(3)
		c.client(closeS("one"), syncMsg)
		c.sentIs(closeS(nobody), syncMsg)
		c.server(closed, ready("I"))
		c.heardIs(closed, ready("I"))
		if n, held := c.Names(), c.state.Prepared(); n != 0 || held != 1 {
			c.t.Errorf("the client has %d statements and the server %d", n, held)
		}
		c.client(bindTo("one"), syncMsg)
		c.sentIs(bindTo(nobody), syncMsg)
		c.server(serverError("26000"), ready("I"))
		c.heardIs(serverError("26000"), ready("I"))
		c.lives()
	})
}

func TestACloseThatIsSkippedClosesNothing(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "SELECT 1")
		c.client(parse, closeS("one"), parseAs("one", "SELECT 2"), syncMsg)
		c.server(serverError("42601"))
		c.server(ready("I"))
		c.fresh()
		c.client(runsOne)
		c.sentIs(firstRuns)
		c.lives()
	})
}

func TestANameMayBeUsedAgainBehindItsClose(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "SELECT 1")
		c.fresh()
		c.client(closeS("one"), parseAs("one", "SELECT 2"), bindTo("one"), syncMsg)
		c.sentIs(closeS(nth(3)), flush) // what it means next depends on the answer
		c.server(closed)
		c.sentIs(parseAs(nth(4), "SELECT 2"), describeS(nth(4)), bindTo(nth(4)), syncMsg)
		c.server(parsed, noParameters, rowDescription, bound, ready("I"))
		c.heardIs(closed, parsed, bound, ready("I"))
		c.lives()
	})
}

func TestTheLeastUsedStatementsMakeRoom(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.MaxCopies = 2 })
		for i := range 3 {
			c.prepared(fmt.Sprint(i), fmt.Sprint("UPDATE ", i))
		}
		if n := c.state.Prepared(); n != 2 {
			c.t.Errorf("the server has %d statements", n)
		}
		c.fresh()
		c.client(bindTo("0"), syncMsg)
		c.sentIs(closeS(nth(2)), parseAs(nth(5), "UPDATE 0"), bindTo(nth(5)), syncMsg)
		c.server(closed, parsed, bound, ready("I"))
		c.heardIs(bound, ready("I"))
		c.lives()
	})
}

// PostgreSQL describes what it knows of such a statement, even if its table is
// gone: nothing of it is read anew.
func TestAStatementWithoutRowsIsDescribedWhereItIsNot(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "INSERT")
		c.otherServer()
		c.fresh()
		c.client(describeS("one"), syncMsg)
		c.sentIs(parseAs(nth(3), ""), describeS(nth(3)), closeS(nth(3)), syncMsg)
		c.server(parsed, noParameters, noData, closed, ready("I"))
		c.heardIs(noParameters, noData, ready("I"))
		c.client(bindTo("one"), execute, syncMsg)
		c.sentIs(parseAs(nth(4), ""), parseAs(nth(5), "INSERT"), bindTo(nth(5)), execute, syncMsg)
		c.server(parsed, parsed, bound, complete("INSERT 0 1"), ready("I"))
		c.lives()
	})
}

func TestANamedStatementOfAnySizeIsPrepared(t *testing.T) {
	for _, size := range []int{10 * relay.WholeMessage, 2 * relay.Gathered} {
		sql := "SELECT '" + strings.Repeat("x", size) + "'"
		for _, piece := range []int{100, 4096, 40_000} {
			c := newTalk(t, func(n int) int { return min(n, piece) })
			c.configured(func(cfg *relay.Config) { cfg.Statements = relay.NewStatements(1 << 30) })
			c.client(parseAs("large", sql), bindTo("large"), syncMsg)
			made := parsed + parsed + noParameters + rowDescription
			if size > relay.Gathered { // it passes as it comes
				c.sentIs(parseAs(nth(1), sql), bindTo(nth(1)), syncMsg)
				made = parsed
			} else {
				c.sentIs(prepares(nth(1), nth(2), sql), bindTo(nth(2)), syncMsg)
			}
			c.server(made, bound, ready("I"))
			c.heardIs(parsed, bound, ready("I"))
			c.lives()
			if c.attached != (size > relay.Gathered) {
				t.Errorf("a text of %d bytes: the server is held: %v", size, c.attached)
			}
		}
	}
}

func TestAStatementForWhoseTextThereIsNoRoomKeepsItsClientOnItsServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.configured(func(cfg *relay.Config) { cfg.Statements = relay.NewStatements(8 * (prepared.Overhead + 20)) })
		c.prepared("a", "SELECT 1")
		c.free(1)
		c.prepared("b", "SELECT 2")
		c.holds()
		c.pinnedBy("large prepared statement")
		c.fresh()
		c.client(closeS("b"), syncMsg)
		c.server(closed, ready("I"))
		c.free(2)
		c.Close()
		if _, bytes := c.config.Statements.Use(); bytes != 0 {
			c.t.Errorf("%d bytes are counted in the end", bytes)
		}
	})
}

func TestDiscardAllForgetsTheStatements(t *testing.T) {
	for _, tag := range []string{"DISCARD ALL", "DEALLOCATE ALL"} {
		everyWay(t, func(c *talk) {
			c.prepared("one", "SELECT 1")
			c.fresh()
			c.client(query(tag))
			c.server(complete(tag), ready("I"))
			c.heardIs(complete(tag), ready("I"))
			if c.attached { // what else was there before, PostgreSQL knows
				c.server(complete("SELECT 0"), ready("I"))
			}
			c.fresh()
			c.client(bindTo("one"), syncMsg)
			c.sentIs(bindTo(nth(3)), syncMsg)
			c.server(serverError("26000"), ready("I"))
			c.fresh()
			c.client(selectOne, syncMsg)
			c.sentIs(prepares(nth(4), nth(5), "SELECT 1"), syncMsg)
			c.lives()
		})
	}
}

func TestAPipelineOfPreparedStatementsKeepsCount(t *testing.T) {
	everyWay(t, func(c *talk) {
		var want []string
		for i := range 50 {
			name := fmt.Sprint("s", i)
			c.client(parseAs(name, "SELECT "+name), bindTo(name), execute)
			want = append(want, parsed, bound, complete("SELECT 1"))
			if i%7 == 0 {
				c.client(syncMsg)
				want = append(want, ready("I"))
			}
		}
		c.client(syncMsg)
		want = append(want, ready("I"))
		c.server(parsed) // the probe
		for i := range 50 {
			c.server(parsed, noParameters, rowDescription, bound, complete("SELECT 1"))
			if i%7 == 0 {
				c.server(ready("I"))
			}
		}
		c.server(ready("I"))
		c.heardIs(want...)
		c.free(1)
		c.lives()
	})
}

func TestABindWithoutEndToItsNamesIsPostgreSQLsToRefuse(t *testing.T) {
	for _, body := range []string{"", "portal", "portal\x00name"} {
		c := newTalk(t, whole)
		c.client(msg('B', body), syncMsg)
		c.sentIs(msg('B', body), syncMsg)
		c.server(serverError("08P01"), ready("I"))
		c.free(1)
	}
	c := newTalk(t, func(int) int { return 1000 })
	c.client(msg('B', strings.Repeat("x", 2*relay.WholeMessage)))
	c.failedWith(wire.CodeProtocolViolation)
}

func TestAFlushedPrepareDoesNotKeepTheServer(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(selectOne, describeS("one"), flush)
		c.fresh()
		c.server(parsed, parsed, noParameters, rowDescription)
		c.sentIs("")
		c.server(noParameters, rowDescription)
		c.sentIs(syncMsg) // ours
		c.heardIs(parsed, noParameters, rowDescription)
		c.holds()
		c.server(ready("I"))
		c.heardIs("")
		c.free(1)
		c.client(runsOne)
		c.sentIs(firstRuns)
		c.server(ranOne)
		c.heardIs(ranOne)
		c.free(2)
		c.lives()
	})
}

func TestAQueryBehindAnAnsweredBatchEndsIt(t *testing.T) {
	everyWay(t, func(c *talk) {
		// What asyncpg does before a COPY: prepare, flush, and then a Query.
		c.late = true // nobody is quick enough to send a Sync of ours
		c.client(selectOne, flush)
		c.server(madeOne)
		c.client(query("SELECT 1"))
		c.ask()
		c.server(answer)
		c.heardIs(parsed, answer)
		c.free(1)
		c.sentIs(firstOne, flush, query("SELECT 1"))
		c.lives()
	})
}
