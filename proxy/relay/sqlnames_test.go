package relay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A name of ours stands behind a space of its own: what was there may have been
// in quotes, and touch the word before. DEALLOCATE runs on a statement that is there for it alone: the server's copy
// may be others' too.
func TestDeallocateFreesAStatementsNameAmongOtherStatements(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "SELECT 1")
		c.fresh()
		c.client(query("SAVEPOINT a;DEALLOCATE one;RELEASE a"))
		gone := nth(3)
		c.sentIs(parseAs(gone, ""), syncMsg, query("SAVEPOINT a;DEALLOCATE  "+gone+";RELEASE a"))
		c.server(parsed, ready("I"), complete("SAVEPOINT"), complete("DEALLOCATE"), complete("RELEASE"), ready("I"))
		c.heardIs(complete("SAVEPOINT"), complete("DEALLOCATE"), complete("RELEASE"), ready("I"))
		if n := c.Names(); n != 0 {
			c.t.Errorf("the client has %d statements", n)
		}
		c.free(2)
		if n := c.state.Prepared(); n != 1 {
			c.t.Errorf("the server has %d statements", n)
		}
		c.client(bindTo("one"), syncMsg)
		c.sentIs(bindTo(nth(4)), syncMsg)
		c.lives()
	})
}

func TestADeallocateByTheUnnamedStatementIsWhatRuns(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "INSERT")
		c.client(parse, syncMsg)
		c.server(parsed, ready("I"))
		c.otherServer()
		c.fresh()
		c.client(parseAs("", "DEALLOCATE one"), bind, execute, syncMsg)
		gone := nth(3)
		c.sentIs(parseAs(gone, ""), parseAs("", "DEALLOCATE  "+gone), bind, execute, flush)
		c.server(parsed, parsed, bound, complete("DEALLOCATE"))
		c.sentIs(syncMsg)
		c.server(ready("I"))
		c.heardIs(parsed, bound, complete("DEALLOCATE"), ready("I"))
		if n := c.Names(); n != 0 {
			c.t.Errorf("the client has %d statements", n)
		}
		c.lives()
	})
}

func TestADeallocateThatFailsFreesNothing(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "SELECT 1")
		c.fresh()
		c.client(query("SELECT 1/0; DEALLOCATE one"))
		c.server(parsed, ready("I"), serverError("22012"), ready("I"))
		c.heardIs(serverError("22012"), ready("I"))
		c.fresh()
		c.client(runsOne)
		c.sentIs(firstRuns)
		c.lives()
	})
}

func TestAStatementOfPREPAREIsRunByTheProtocolToo(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("PREPARE one AS SELECT 1"))
		own := nth(1)
		c.sentIs(query("PREPARE  " + own + " AS SELECT 1"))
		c.server(complete("PREPARE"), ready("I"))
		c.holds()
		stateProbe := row("p", "", "") + complete("SELECT 1") + ready("I")
		c.server(stateProbe)
		c.pinnedBy("PREPARE")
		c.heardIs(complete("PREPARE"), ready("I"))
		c.fresh()
		c.client(runsOne)
		c.sentIs(bindTo(own), execute, syncMsg)
		c.server(ranOne)
		c.client(query("EXECUTE one"))
		c.sentIs(query("EXECUTE  " + own))
		c.server(answer)
		c.server(stateProbe) // it may have done anything
		c.fresh()
		c.client(query("DEALLOCATE one"))
		c.sentIs(query("DEALLOCATE  " + own))
		c.server(complete("DEALLOCATE"), ready("I"))
		c.server(complete("SELECT 0"), ready("I"))
		c.free(1)
		c.lives()
	})
}

func TestErrorsAboutStatementsBearTheClientsNamesAndPlaces(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("EXECUTE missing; SELEKT"))
		nobody := nth(1)
		c.sentIs(query("EXECUTE  " + nobody + "; SELEKT"))
		told := func(name string, at int) string {
			return msg('E', "SERROR\x00C42601\x00M", fmt.Sprintf("%q and more", name), "\x00P", fmt.Sprint(at), "\x00\x00")
		}
		c.server(told(nobody, 11+len(nobody)), ready("I"))
		c.heardIs(told("missing", 10+len("missing")), ready("I"))
		c.lives()
	})
}

func TestStatementsThatNameOthersAreMadeAnewWithThem(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "INSERT")
		c.prepared("d", "EXECUTE one")
		c.otherServer()
		c.client(bindTo("d"), execute, syncMsg)
		c.fresh()
		c.server(parsed, parsed, ready("I")) // the probe and the first, which has to be there before
		sent := c.names.plain(c.sent.String())
		if strings.Contains(sent, "EXECUTE one") || !strings.Contains(sent, "EXECUTE  pgseal_") {
			c.t.Errorf("the server got %q", sent)
		}
		c.server(parsed, bound, complete("INSERT 0 1"))
		if c.Owed() > 0 {
			c.server(ready("I"))
		}
		c.heardIs(bound, complete("INSERT 0 1"), ready("I"))
		c.lives()
	})
}

func TestATextMayExecuteSeveralStatementsWhoseColumnsHaveChanged(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "SELECT 1")
		c.prepared("two", "SELECT 2")
		c.otherServer()
		c.client(query("EXECUTE one; EXECUTE two"))
		c.server(parsed, parsed, noParameters, columns("other"), ready("I")) // the probe and the first
		c.fresh()
		c.server(closed, parsed, noParameters, columns("other"), ready("I")) // the first is not wanted any more
		_, sent, _ := strings.Cut(c.sent.String(), "EXECUTE  ")
		nobody, _, found := strings.Cut(sent, ";")
		if !found {
			c.t.Fatalf("the server got %q", c.sent.String())
		}
		c.server(errorSaying("26000", "prepared statement \""+nobody+"\" does not exist"), ready("I"))
		if heard := c.heard.String(); !strings.Contains(heard, "cached plan must not change result type") {
			c.t.Errorf("the client is told %q", heard)
		}
		c.lives()
	})
}

func TestStatementsMadeForOneMessageAreClosedBeforeTheNext(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "INSERT")
		c.prepared("d", "EXECUTE one")
		for i := range 4 {
			c.fresh()
			c.client(bindTo("d"), execute, syncMsg)
			if closes := strings.HasPrefix(c.sent.String(), "C\x00\x00\x00"); closes != (i > 0) {
				c.t.Fatalf("the %d. time the server got %q", i+1, c.sent.String())
			}
			if i > 0 {
				c.server(closed)
			}
			c.server(parsed, bound, complete("INSERT 0 1"))
			if c.Owed() > 0 {
				c.server(ready("I"))
			}
			c.heardIs(bound, complete("INSERT 0 1"), ready("I"))
		}
		c.lives()
	})
}

func TestASyncOfOursDoesNotHaveAQueryRunThatPostgreSQLWouldSkip(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.prepared("one", "INSERT")
		c.fresh()
		c.client(bindTo("nowhere"), query("COMMIT"), query("DEALLOCATE one; DELETE FROM t"))
		if sent := c.sent.String(); strings.Contains(sent, syncMsg) {
			c.t.Fatalf("the server got %q", c.names.plain(sent))
		}
		c.server(serverError("26000"))
		c.client(syncMsg)
		c.server(ready("I"))
		c.heardIs(serverError("26000"), ready("I"))
		c.lives()
	})
}

func TestAStatementThatIsBeingClosedIsNotRunBySQL(t *testing.T) {
	for _, verb := range []string{"EXECUTE", "DEALLOCATE"} {
		everyWay(t, func(c *talk) {
			c.client(query("PREPARE one AS SELECT 1"))
			c.server(complete("PREPARE"), ready("I"))
			c.server(row("p", "", ""), complete("SELECT 1"), ready("I"))
			c.fresh()
			c.client(closeS("one"), query(verb+" one"))
			c.sentIs(closeS(nth(1)), flush)
			c.server(closed)
			c.sentIs(query(verb + "  " + nth(2)))
		})
	}
}

func TestWhatWasAskedInVainDoesNotCloseTheUnnamedStatement(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("BEGIN"), query("DO 'x'"))
		c.server(complete("BEGIN"), ready("T"), complete("DO"), ready("T"))
		c.client(bindTo("nowhere"), selectOne, syncMsg) // its values are asked for
		c.server(serverError("26000"), ready("E"))
		c.client(query("ROLLBACK TO a"))
		c.server(complete("ROLLBACK"), ready("T"))
		c.fresh()
		c.client(parse, parseAs("two", "INSERT"), bind)
		if strings.Contains(c.sent.String(), closeS("")) {
			c.t.Errorf("the server got %q", c.names.plain(c.sent.String()))
		}
	})
}

// A text that executes two statements of such texts, and so on, names as many as
// two to the power of their number.
func TestStatementsThatExecuteEachOtherTwiceTakeNoTime(t *testing.T) {
	c := newTalk(t, whole)
	msgs := parseAs("p0", "SELECT 1")
	for i := range 60 {
		msgs += parseAs(fmt.Sprint("p", i+1), fmt.Sprintf("EXECUTE p%d; EXECUTE p%d", i, i))
	}
	began := time.Now()
	c.client(msgs, query("EXECUTE p60"))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	c.lives()
}
