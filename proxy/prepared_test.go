package proxy

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/wire"
)

// Messages of the extended-query protocol, with names.
func parseAs(name, sql string) string { return msg('P', name, "\x00", sql, "\x00\x00\x00") }
func bindTo(name string) string {
	return msg('B', "\x00", name, "\x00\x00\x00\x00\x00\x00\x00")
}
func describeS(name string) string { return msg('D', "S", name, "\x00") }
func closeS(name string) string    { return msg('C', "S", name, "\x00") }

const (
	parameters = "\x00\x00"
	first      = "pgseal_1"
	second     = "pgseal_2"
)

var (
	closed      = msg('3')
	noData      = msg('n')
	described   = msg('t', parameters)
	selectOne   = parseAs("one", "SELECT 1")
	runsOne     = bindTo("one") + execute + syncMsg
	ranOne      = bound + row("1") + complete("SELECT 1") + ready("I")
	parsedOne   = closed + parsed // what a server says to the Close and Parse of a statement
	firstOne    = closeS(first) + parseAs(first, "SELECT 1")
	firstRuns   = bindTo(first) + execute + syncMsg
	renamedWord = `prepared statement "%s" already exists`
)

// tracked has a scenario run on a talk that follows the client, its bytes
// arriving in all sorts of pieces.
func tracked(t *testing.T, scenario func(c *talk)) {
	t.Helper()
	everyWay(t, func(c *talk) {
		c.tracks = true
		scenario(c)
	})
}

// otherServer has the next link be to a server that knows nothing.
func (c *talk) otherServer() { c.state = &serverState{} }

func TestANamedStatementIsKnownToServersByItsText(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, runsOne)
		c.sentIs(firstOne, firstRuns)
		c.server(closed, parsed, ranOne)
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
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.sentIs(firstOne, syncMsg)
		c.heardIs(parsed, ready("I"))
		c.otherServer()
		c.client(runsOne)
		c.sentIs(firstOne, firstRuns)
		c.server(parsedOne, ranOne)
		c.heardIs(ranOne)
		c.free(2)
		c.lives()
	})
}

func TestEqualTextsAreOneStatementOnAServer(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parseAs("a", "SELECT 1"), parseAs("b", "SELECT 1"), syncMsg)
		c.sentIs(firstOne, firstOne, syncMsg)
		c.server(parsedOne, parsedOne, ready("I"))
		c.heardIs(parsed, parsed, ready("I"))
		// By now the server is known to have it.
		c.client(parseAs("c", "SELECT 1"), bindTo("c"), syncMsg)
		c.sentIs(closeS(nameOnServers), bindTo(first), syncMsg)
		c.server(closed, bound, ready("I"))
		c.heardIs(parsed, bound, ready("I"))
		c.lives()
	})
}

func TestStatementsWithOtherParameterTypesAreOthers(t *testing.T) {
	tracked(t, func(c *talk) {
		withType := msg('P', "b", "\x00SELECT 1\x00\x00\x01\x00\x00\x00\x17")
		c.client(parseAs("a", "SELECT 1"), withType, syncMsg)
		c.sentIs(firstOne, closeS(second), msg('P', second, "\x00SELECT 1\x00\x00\x01\x00\x00\x00\x17"), syncMsg)
	})
}

func TestAStatementThatCouldNotBePreparedDoesNotExist(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parseAs("bad", "SELEKT"), bindTo("bad"), syncMsg)
		c.server(closed, serverError("42601"), ready("I"))
		c.heardIs(serverError("42601"), ready("I"))
		c.sent.Reset()
		c.client(bindTo("bad"), syncMsg)
		c.sentIs(bindTo("bad"), syncMsg) // PostgreSQL says so
		c.server(serverError("26000"), ready("I"))
		c.heardIs(serverError("26000"), ready("I"))
		c.client(parseAs("bad", "SELECT 2"), syncMsg) // it may be tried again
		c.server(closed, parsed, ready("I"))
		c.heardIs(parsed, ready("I"))
		c.lives()
	})
}

func TestAfterAnErrorWhatWasSkippedIsPreparedAgain(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.otherServer()
		c.sent.Reset()
		c.heard.Reset()
		// The first message fails, so the server skips our Parse; the batch
		// behind it was sent before that could be known.
		c.client(parse, runsOne, runsOne)
		c.sentIs(parse, firstOne, firstRuns, firstOne, firstRuns)
		c.server(serverError("42601"), ready("I"), closed, parsed, ranOne)
		c.heardIs(serverError("42601"), ready("I"), ranOne)
		c.client(runsOne)
		c.sentIs(firstRuns)
		c.server(ranOne)
		c.free(3)
		c.lives()
	})
}

func TestANameUsedTwiceGivesPostgreSQLsErrorWithTheClientsName(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.sent.Reset()
		c.heard.Reset()
		c.client(parseAs("one", "SELECT 2"), syncMsg)
		c.sentIs(parseAs(first, "SELECT 2"), syncMsg)
		told := func(name string) string {
			return msg('E', "SERROR\x00VERROR\x00C42P05\x00M", fmt.Sprintf(renamedWord, name), "\x00\x00")
		}
		c.server(told(first), ready("I"))
		c.heardIs(told("one"), ready("I"))
		c.lives()
	})
}

func TestAClosedNameIsGoneAndTheServersCopyStays(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, closeS("one"), syncMsg)
		c.sentIs(firstOne, closeS("one"), syncMsg)
		c.server(parsedOne, closed, ready("I"))
		c.heardIs(parsed, closed, ready("I"))
		c.client(bindTo("one"), syncMsg)
		c.sentIs(bindTo("one"), syncMsg)
		c.server(serverError("26000"), ready("I"))
		c.heard.Reset()
		c.client(parseAs("other", "SELECT 1"), syncMsg)
		c.sentIs(closeS(nameOnServers), syncMsg)
		c.server(closed, ready("I"))
		c.heardIs(parsed, ready("I"))
		c.lives()
	})
}

func TestACloseThatIsSkippedClosesNothing(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.client(parse, closeS("one"), parseAs("one", "SELECT 2"), syncMsg)
		c.server(serverError("42601"), ready("I"))
		c.sent.Reset()
		c.client(runsOne)
		c.sentIs(firstRuns)
	})
}

func TestTheLeastUsedStatementsMakeRoom(t *testing.T) {
	tracked(t, func(c *talk) {
		c.relay.extended.limit = 2
		for i, sql := range []string{"SELECT 1", "SELECT 2", "SELECT 3"} {
			c.client(parseAs(fmt.Sprint(i), sql), syncMsg)
			if i < 2 {
				c.server(parsedOne, ready("I"))
			}
		}
		c.server(parsedOne, closed, ready("I"))
		if sent := c.sent.String(); !strings.HasSuffix(sent, parseAs("pgseal_3", "SELECT 3")+closeS(first)+syncMsg) {
			c.t.Errorf("sent %q, want a Close of the first", sent)
		}
		c.sent.Reset()
		c.heard.Reset()
		c.client(bindTo("0"), syncMsg)
		c.sentIs(firstOne, closeS(second), bindTo(first), syncMsg)
		c.server(closed, parsed, closed, bound, ready("I"))
		c.heardIs(bound, ready("I"))
		c.lives()
	})
}

func TestNoStatementMakesRoomWhosePortalMayBeOpen(t *testing.T) {
	tracked(t, func(c *talk) {
		c.relay.extended.limit = 1
		c.client(query("BEGIN"))
		c.server(complete("BEGIN"), ready("T"))
		c.sent.Reset()
		c.client(parseAs("a", "SELECT 1"), bindTo("a"), parseAs("b", "SELECT 2"), syncMsg)
		c.sentIs(firstOne, bindTo(first), closeS(second), parseAs(second, "SELECT 2"), syncMsg)
	})
}

func TestDescribingAStatementPreparesItToo(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.otherServer()
		c.sent.Reset()
		c.heard.Reset()
		c.client(describeS("one"), syncMsg)
		c.sentIs(firstOne, describeS(first), syncMsg)
		c.server(parsedOne, described, rowDescription, ready("I"))
		c.heardIs(described, rowDescription, ready("I"))
		c.client(describeS("one"), bindTo("one"), execute, syncMsg)
		c.sentIs(describeS(first), firstRuns)
		c.server(described, noData, bound, complete("SET"), ready("I"))
		c.lives()
	})
}

func TestDeallocateFreesAStatementsNameAmongOtherStatements(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.sent.Reset()
		c.heard.Reset()
		c.client(query("SAVEPOINT a;DEALLOCATE one;RELEASE a"))
		gone := goneName + "0"
		c.sentIs(closeS(gone), parseAs(gone, "SELECT 1"), syncMsg, query("SAVEPOINT a;DEALLOCATE "+gone+";RELEASE a"))
		c.server(closed, parsed, ready("I"), complete("SAVEPOINT"), complete("DEALLOCATE"), complete("RELEASE"), ready("I"))
		c.heardIs(complete("SAVEPOINT"), complete("DEALLOCATE"), complete("RELEASE"), ready("I"))
		c.free(2)
		c.sent.Reset()
		c.client(bindTo("one"), syncMsg)
		c.sentIs(bindTo("one"), syncMsg)
		c.lives()
	})
}

func TestANamedStatementOfAnySizeIsPrepared(t *testing.T) {
	sql := "SELECT '" + strings.Repeat("x", 10*wholeMessage) + "'"
	for _, piece := range []int{100, 4096, 40_000} {
		c := newTalk(t, func(n int) int { return min(n, piece) })
		c.tracks = true
		c.client(parseAs("large", sql), bindTo("large"), syncMsg)
		c.sentIs(closeS(first), parseAs(first, sql), bindTo(first), syncMsg)
		c.server(closed, parsed, bound, ready("I"))
		c.heardIs(parsed, bound, ready("I"))
		c.lives()
	}
}

func TestStatementsAreBoundedInMemory(t *testing.T) {
	tracked(t, func(c *talk) {
		c.relay.extended.statements = newStatements(2 * (overhead + 20))
		c.client(parseAs("a", "SELECT 1"), parseAs("b", "SELECT 2"), parseAs("c", "SELECT 3"), syncMsg)
		c.failedWith("53200")
	})
	c := newTalk(t, func(n int) int { return min(n, 1000) })
	c.tracks = true
	c.relay.extended.statements = newStatements(wholeMessage)
	c.client(parseAs("a", strings.Repeat("x", 2*wholeMessage)))
	c.failedWith("53200")
}

func TestDiscardAllForgetsTheStatements(t *testing.T) {
	for _, tag := range []string{"DISCARD ALL", "DEALLOCATE ALL"} {
		tracked(t, func(c *talk) {
			c.client(selectOne, syncMsg)
			c.server(parsedOne, ready("I"))
			c.client(query(tag))
			c.server(complete(tag), ready("I"))
			c.sent.Reset()
			c.client(bindTo("one"), syncMsg)
			c.sentIs(bindTo("one"), syncMsg)
			c.server(serverError("26000"), ready("I"))
			c.client(selectOne, syncMsg)
			c.sentIs(firstOne, syncMsg)
			c.lives()
		})
	}
}

func TestAStatementWhoseResultChangedIsPreparedAnew(t *testing.T) {
	planned := msg('E', "SERROR\x00VERROR\x00C0A000\x00Mcached plan must not change result type\x00RRevalidateCachedQuery\x00\x00")
	tracked(t, func(c *talk) {
		c.client(selectOne, syncMsg)
		c.server(parsedOne, ready("I"))
		c.client(runsOne)
		c.server(planned, ready("I"))
		c.heard.Reset()
		c.sent.Reset()
		c.client(runsOne)
		c.sentIs(firstOne, firstRuns)
		c.server(parsedOne, ranOne)
		c.heardIs(ranOne)
		c.lives()
	})
}

func TestACopyByAPreparedStatementKeepsCount(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(parseAs("copy", "COPY t FROM STDIN"), syncMsg)
		c.server(parsedOne, ready("I"))
		c.otherServer()
		c.heard.Reset()
		// As libpq does: the Sync behind the Execute is swallowed by the COPY.
		c.client(bindTo("copy"), execute, syncMsg)
		c.server(parsedOne, bound, copyIn)
		c.client(copyData("1\n"), copyDone, syncMsg)
		c.server(complete("COPY 1"), ready("I"))
		c.heardIs(bound, copyIn, complete("COPY 1"), ready("I"))
		c.free(2)
		c.sent.Reset()
		c.otherServer()
		c.client(bindTo("copy"), execute, syncMsg, copyData("1\n"), copyDone, syncMsg)
		c.server(parsedOne, bound, copyIn, complete("COPY 1"), ready("I"))
		c.heardIs(bound, copyIn, complete("COPY 1"), ready("I"))
		c.free(3)
		c.lives()
	})
}

func TestAPipelineOfPreparedStatementsKeepsCount(t *testing.T) {
	tracked(t, func(c *talk) {
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
		for i := range 50 {
			c.server(closed, parsed, bound, complete("SELECT 1"))
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

func TestTooManyStatementsInOnePipelineAreRefused(t *testing.T) {
	c := newTalk(t, whole)
	c.tracks = true
	c.relay.extended.statements = newStatements(1 << 30)
	var all strings.Builder
	for i := range maxEvents {
		all.WriteString(parseAs(fmt.Sprint(i), fmt.Sprint("SELECT ", i)))
	}
	c.client(all.String())
	c.failedWith(wire.CodeProgramLimit)
}

func TestABindWithoutEndToItsNamesIsRefused(t *testing.T) {
	for _, body := range []string{"", "portal", "portal\x00name", strings.Repeat("x", 2*wholeMessage)} {
		c := newTalk(t, whole)
		c.tracks = true
		c.client(msg('B', body))
		c.failedWith(wire.CodeProtocolViolation)
	}
}

func TestAnIdleServerThatWasLentForAPartOfAMessageIsNotAskedFor(t *testing.T) {
	c := newTalk(t, whole)
	c.tracks = true
	half := query("SELECT 1")
	c.client(half[:len(half)-1])
	c.free(0)
	c.client(half[len(half)-1:])
	c.holds()
}

// FuzzTrackedRelay feeds both sides with anything, in any pieces: where they are
// cut makes no difference, and nothing panics.
func FuzzTrackedRelay(f *testing.F) {
	f.Add([]byte(selectOne+runsOne+runsOne), []byte(parsedOne+ranOne+ranOne), uint64(1))
	f.Add([]byte(parse+bind+execute+syncMsg+query("DISCARD ALL")), []byte(parsed+bound+complete("DISCARD ALL")+ready("I")), uint64(2))
	f.Add([]byte(selectOne+closeS("one")+describeS("one")+syncMsg), []byte(serverError("42601")+ready("I")), uint64(3))
	f.Add([]byte(query("LISTEN x")+query("SET a = 1")+query("DEALLOCATE one")), []byte(answer+answer), uint64(4))
	f.Fuzz(func(t *testing.T, client, server []byte, seed uint64) {
		run := func(cut func(int) int) *talk {
			c := newTalk(t, cut)
			c.tracks = true
			c.client(string(client))
			if c.linked {
				c.server(string(server))
			}
			return c
		}
		a, b := run(whole), run(func(n int) int { return 1 + int((seed+uint64(n))%7)%n })
		if (a.err == nil) != (b.err == nil) || a.sent.Len() != b.sent.Len() && a.err == nil {
			t.Errorf("whole: %q, %v; in pieces: %q, %v", a.sent.String(), a.err, b.sent.String(), b.err)
		}
		for _, stream := range []string{a.sent.String()} {
			framed(t, stream)
		}
	})
}

// framed asserts that a stream consists of whole messages, but for its end.
func framed(t *testing.T, stream string) {
	for len(stream) >= 5 {
		n := 1 + int(binary.BigEndian.Uint32([]byte(stream[1:5])))
		if wire.ClientLimit(stream[0]) < 0 {
			t.Fatalf("%q is no message of a client", stream[0])
		}
		if n > len(stream) {
			return
		}
		stream = stream[n:]
	}
}

func TestADeallocateByTheUnnamedStatementRunsInPlaceOfTheOneBefore(t *testing.T) {
	tracked(t, func(c *talk) {
		c.client(selectOne, parseAs("", "SELECT $1"), syncMsg)
		c.server(parsedOne, parsed, ready("I"))
		c.otherServer()
		c.sent.Reset()
		c.heard.Reset()
		gone := nameOnServers + "gone"
		c.client(parseAs("", "DEALLOCATE one"), bindTo(""), execute, syncMsg)
		c.sentIs(closeS(gone), parseAs(gone, "SELECT 1"), parseAs("", "DEALLOCATE "+gone), bindTo(""), execute, syncMsg)
		c.server(closed, parsed, parsed, bound, complete("DEALLOCATE"), ready("I"))
		c.heardIs(parsed, bound, complete("DEALLOCATE"), ready("I"))
		c.lives()
	})
}

func TestAQueryBehindAnAnsweredBatchEndsIt(t *testing.T) {
	tracked(t, func(c *talk) {
		// What asyncpg does before a COPY: prepare, flush, and then a Query.
		c.client(selectOne, flush)
		c.server(parsedOne)
		c.client(query("SELECT 1"))
		c.server(answer)
		c.heardIs(parsed, answer)
		c.free(1)
		c.lives()
	})
}
