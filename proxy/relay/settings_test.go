package relay_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/proxy/relay"
)

// found is a row in answer to the question what is set in a session.
func found(kind, name, value string) string {
	return row(kind, hex.EncodeToString([]byte(name)), hex.EncodeToString([]byte(value)))
}

// does runs a statement after which PostgreSQL is asked what it has left.
func (c *talk) does(sql string, left ...string) {
	c.t.Helper()
	c.client(query(sql))
	c.server(complete("DONE"), ready("I"))
	c.fresh()
	c.server(append(left, complete("SELECT 0"), ready("I"))...)
	c.heardIs("")
}

func TestWhatIsSetInASessionFollowsItAndIsNobodyElses(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("SET geqo = off"))
		c.fresh()
		c.server(complete("SET"), ready("I"))
		if q := c.sent.String(); !strings.Contains(q, "pg_catalog.pg_settings") {
			c.t.Fatalf("PostgreSQL is asked %q", q)
		}
		c.holds()
		c.server(found("s", "geqo", "off"), complete("SELECT 1"), ready("I"))
		c.free(1)
		c.fresh()
		b := c.another()
		b.client(query("SELECT 1"))
		b.sentIs(query("SELECT pg_catalog.set_config('geqo', NULL, false)"))
		b.server(complete("SELECT 1"), ready("I"))
		b.server(answer)
		b.heardIs(answer)
		c.client(query("SELECT 1"))
		c.sentIs(query("SELECT pg_catalog.set_config('geqo', 'off', false)"))
		c.lives2()
	})
}

// lives2 is lives for a client that waits.
func (c *talk) lives2() {
	c.t.Helper()
	if c.err != nil || c.broken || !c.paused {
		c.t.Fatalf("the session is over (%v), or goes on at once", c.err)
	}
}

func TestWhatASurveyFindsKeepsTheClientWhileItIsThere(t *testing.T) {
	for kind, c1 := range map[string][3]string{
		"t": {"CREATE TEMP TABLE t (a int)", "DROP TABLE t", "temporary object"},
		"a": {"SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", "advisory lock"},
		"l": {"LISTEN a", "UNLISTEN a", "LISTEN"},
		"c": {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c", "cursor WITH HOLD"},
	} {
		everyWay(t, func(c *talk) {
			c.does(c1[0], row(kind, "", ""))
			c.holds()
			c.pinnedBy(c1[2])
			c.does(c1[1])
			c.free(1)
			c.lives()
		})
	}
}

func TestAClientThatLeavesWhatHoldsItHasItDiscarded(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.does("CREATE TEMP TABLE t (a int)", row("t", "", ""))
		c.leaves(true, query("DISCARD ALL"))
		c.settles(complete("DISCARD ALL"), ready("I"))
	})
}

func TestAFailingDiscardEndsTheServerOfAClientThatLeft(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.does("CREATE TEMP TABLE t (a int)", row("t", "", ""))
		c.leaves(true, query("DISCARD ALL"))
		c.server(serverError("57014"), ready("I"))
		if !c.broken {
			c.t.Error("the next client gets the temporary table")
		}
	})
}

func TestASurveyThatIsCanceledIsAskedAgainAndThenKeepsTheClient(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.client(query("LISTEN a"))
		c.server(complete("LISTEN"), ready("I"))
		c.fresh()
		for range 3 {
			c.server(serverError("57014"), ready("I"))
			c.holds()
			if c.sent.Len() == 0 {
				c.t.Fatal("it is not asked again")
			}
			c.sent.Reset()
		}
		c.server(serverError("57014"), ready("I"))
		c.holds()
		c.pinnedBy("unknown state")
		c.sentIs("")
		c.heardIs("")
	})
}

func TestWhatIsRejectedIsRefusedByPostgreSQLInOurWords(t *testing.T) {
	for _, way := range []string{query("LISTEN a"), parseAs("s", "LISTEN a") + syncMsg, parseAs("", "LISTEN a") + syncMsg} {
		everyWay(t, func(c *talk) {
			c.configured(func(cfg *relay.Config) { cfg.Policy = relay.Reject })
			c.client(way)
			if strings.Contains(c.sent.String(), "LISTEN") {
				c.t.Errorf("the server got %q", c.sent.String())
			}
			c.server(serverError("42601"), ready("I"))
			if heard := c.heard.String(); !strings.Contains(heard, "C0A000\x00MLISTEN not supported in transaction pooling (session_state = reject)\x00") {
				c.t.Errorf("the client is told %q", heard)
			}
			c.free(1)
			c.lives()
		})
	}
}

func TestWhatLeavesNothingIsNotRejected(t *testing.T) {
	reject := func(cfg *relay.Config) { cfg.Policy = relay.Reject }
	for _, sql := range []string{"DISCARD ALL", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT", "SET LOCAL search_path = a"} {
		c := newTalk(t, whole)
		c.configured(reject)
		c.client(query(sql))
		c.sentIs(query(sql))
	}
	for _, sql := range []string{"DISCARD ALL; LISTEN a", "RESET ALL; SET SESSION AUTHORIZATION bob", "SET SESSION AUTHORIZATION bob"} {
		c := newTalk(t, whole)
		c.configured(reject)
		c.client(query(sql))
		if strings.Contains(c.sent.String(), sql) {
			t.Errorf("the server got %q", sql)
		}
	}
}

func TestAFunctionCallMayDoAnything(t *testing.T) {
	for function, asks := range map[uint32]bool{2078: true, 2880: true, 16384: true, 952: false, 955: false} {
		everyWay(t, func(c *talk) {
			c.client(call(function))
			c.fresh()
			c.server(msg('V', "\xff\xff\xff\xff"), ready("I"))
			if asked := c.attached && strings.Contains(c.sent.String(), "pg_settings"); asked != asks {
				c.t.Errorf("after a call of function %d PostgreSQL is asked: %v", function, asked)
			}
			c.lives()
		})
	}
	c := newTalk(t, whole)
	c.client(msg('F', "\x00")) // malformed
	c.lives()
}

func TestABindThatReadsSequencesNeverReadsThoseOfAnother(t *testing.T) {
	discard := query("DISCARD SEQUENCES")
	for _, name := range []string{"q", ""} {
		everyWay(t, func(c *talk) {
			c.client(parseAs(name, "SELECT lastval()"), syncMsg)
			c.sentIs(discard) // it may be executed in the same batch, and then it is too late
			c.server(complete("DISCARD SEQUENCES"), ready("I"))
			if name != "" {
				c.server(parsed, parsed, noParameters, rowDescription, ready("I"))
			} else {
				c.server(parsed, ready("I"))
			}
			b := c.another()
			b.client(query("SELECT nextval('s')"))
			b.server(answer)
			if b.attached { // pinned
				b.leaves(true, query("DISCARD ALL"))
				b.server(complete("DISCARD ALL"), ready("I"))
			}
			c.fresh()
			c.client(bindTo(name), execute, syncMsg)
			c.sentIs(discard)
			c.server(complete("DISCARD SEQUENCES"), ready("I"))
			if c.sent.Len() == 0 {
				c.t.Fatal("the client waits")
			}
			c.heardIs("")
		})
	}
}

func TestWhatTheClientResetsIsBroughtBackBehindIt(t *testing.T) {
	everyWay(t, func(c *talk) {
		c.start("geqo=off")
		c.client(query("BEGIN"))
		c.server(complete("SELECT 1"), ready("I"))
		c.server(complete("BEGIN"), ready("T"))
		c.fresh()
		c.client(query("RESET geqo"), query("SELECT 1"))
		sent := c.sent.String()
		if !strings.HasPrefix(sent, query("RESET geqo")+"Q") || !strings.Contains(sent, "('geqo'::pg_catalog.text, 'off'::pg_catalog.text)") {
			c.t.Fatalf("the server got %q", sent)
		}
		c.fresh()
		c.server(complete("RESET"), ready("T"), rowDescription, complete("SELECT 1"), ready("T"))
		c.heardIs(complete("RESET"), ready("T"))
		c.sentIs(query("SELECT 1"))
		c.lives()
	})
}

func TestNamesOfCustomParametersAreFoundHoweverTheyAreWritten(t *testing.T) {
	for _, name := range []string{"app.tenant", "app . tenant", "app.\ntenant", `"app"."Tenant"`, "app.größe", "App.X.y"} {
		c := newTalk(t, whole)
		c.client(parseAs("s", "SET "+name+" = 'secret'"), syncMsg)
		c.server(parsed, parsed, noParameters, noData, ready("I"))
		b := c.another()
		b.client(query("SELECT 1"))
		b.server(answer)
		c.client(bindTo("s"), execute, syncMsg)
		c.fresh()
		c.server(bound, complete("SET"), ready("I"))
		asked := strings.ReplaceAll(strings.ReplaceAll(name, `"`, ""), " ", "")
		asked = strings.ReplaceAll(strings.ToLower(asked), "\n", "")
		if !strings.Contains(c.sent.String(), "current_setting('"+asked+"', true)") {
			t.Errorf("%q: PostgreSQL is asked %q", name, c.sent.String())
		}
	}
}

func TestAServerIsNotExchangedAmidAMessageOfIts(t *testing.T) {
	c := newTalk(t, whole)
	c.configured(func(cfg *relay.Config) { cfg.Policy = relay.Ignore }, "TimeZone=UTC")
	c.client(query("SELECT 1"))
	c.server(complete("SELECT 1"), ready("I"))
	c.server(answer + notification[:9])
	c.fresh()
	c.client(query("RESET ALL; SELECT 1"))
	if c.sent.Len() > 0 || c.links != 1 {
		t.Errorf("%d servers were asked for, and the server got %q", c.links, c.sent.String())
	}
	c.lives2()
	c.server(notification[9:])
	if c.links != 2 || !c.exact {
		t.Errorf("%d servers were asked for, the last opened with the startup values: %v", c.links, c.exact)
	}
	c.sentIs(query("RESET ALL; SELECT 1"))
}
