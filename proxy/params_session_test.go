package proxy

import (
	"regexp"
	"strings"
	"testing"
)

func TestStartupParametersAreAppliedBeforeTheFirstQueryAndResetForOthers(t *testing.T) {
	h := open(t, servers(1))
	a := h.login("app", "TimeZone", "UTC", "search_path", "mine")
	if a.params["TimeZone"] != "UTC" {
		t.Errorf("the client was told %q", a.params)
	}
	if got := a.ask("SHOW TimeZone") + a.ask("SHOW search_path"); got != "UTCmine" {
		t.Errorf("the first client has %q", got)
	}
	b := h.login("app")
	if got := b.params["TimeZone"]; got != "GMT" && got != "UTC" {
		t.Errorf("the second client was told %q", got)
	}
	if got := b.ask("SHOW TimeZone") + b.ask("SHOW search_path"); got != b.params["TimeZone"] {
		t.Errorf("the second client has %q", got)
	}
	if got := a.ask("SHOW search_path") + a.ask("SHOW TimeZone"); got != "mineUTC" {
		t.Errorf("the first client then has %q", got)
	}
}

func TestASecondClientIsToldTheServersDefaultsAndNotTheFirstOnes(t *testing.T) {
	h := open(t, servers(1))
	h.login("app", "TimeZone", "UTC")
	if got := h.login("app").params["TimeZone"]; got != "GMT" {
		t.Errorf("the second client was told %q", got)
	}
}

func TestTheStatementThatSetsParametersIsSentOnlyWhereTheyDiffer(t *testing.T) {
	h := open(t, servers(1))
	a := h.login("app", "TimeZone", "UTC")
	h.ran("SELECT pg_catalog.set_config('TimeZone', 'UTC', false)")
	for range 3 {
		a.ask("SELECT pid")
	}
	h.ran("SELECT pid", "SELECT pid", "SELECT pid")
	b := h.login("app")
	b.ask("SELECT pid")
	h.ran("SELECT pg_catalog.set_config('TimeZone', NULL, false)", "SELECT pid")
	a.ask("SELECT pid")
	h.ran("SELECT pg_catalog.set_config('TimeZone', 'UTC', false)", "SELECT pid")
}

func TestAParameterThatChangesInASessionFollowsTheClient(t *testing.T) {
	h := open(t, servers(1))
	h.server.on("SET TimeZone = 'CET'", func(b *backend) {
		b.settings["TimeZone"] = "CET"
		b.send(complete("SET"), parameter("TimeZone", "CET"), ready("I"))
	})
	a, b := h.login("app"), h.login("app")
	a.write(query("SET TimeZone = 'CET'"))
	a.wants(complete("SET"), parameter("TimeZone", "CET"), ready("I"))
	if got := b.ask("SHOW TimeZone"); got != "GMT" { // and it is told nothing, which it knows
		t.Errorf("the other client has %q", got)
	}
	if got := a.ask("SHOW TimeZone"); got != "CET" {
		t.Errorf("the client that changed it has %q", got)
	}
}

func TestAParameterThatTheServerRefusesEndsTheLogin(t *testing.T) {
	h := open(t, servers(1))
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app", "bad", "x"))
	c.authenticate(password)
	c.authenticated()
	if fields := c.refused("22023"); fields['M'] != "it went wrong" {
		t.Errorf("the client is told %q", fields)
	}
	if got := h.login("app").ask("SELECT pid"); got == "" {
		t.Error("another client got no answer")
	}
}

// harmless matches statements whose literals hold nothing that any setting of
// a server could take for the end of a literal.
var harmless = func() *regexp.Regexp {
	plain := `'[ -&(-\[\]-~]*'`
	digits := `pg_catalog\.convert_from\(pg_catalog\.decode\('[0-9a-f]*', 'hex'\), pg_catalog\.getdatabaseencoding\(\)\)`
	lit := `(` + plain + `|` + digits + `)`
	item := `pg_catalog\.set_config\(` + lit + `, (NULL|` + lit + `), false\)`
	return regexp.MustCompile(`^SELECT ` + item + `(, ` + item + `)*$`)
}()

func TestAParameterCanNotBreakOutOfItsLiteral(t *testing.T) {
	h := open(t)
	evil := "x', false), pg_terminate_backend(1), ('"
	c := h.dialTLS()
	c.write(packet(version3, "user", "alice", "database", "app", "search_path", evil, "application_name", "O'Brien"))
	c.authenticate(password)
	c.greeted()
	sql := receive(t, "the statement that sets it", h.server.statements).sql
	if !harmless.MatchString(sql) || strings.Contains(sql, "pg_terminate_backend") {
		t.Errorf("the server got %s", sql)
	}
}

func TestOptionsOfTheStartupPacketReachTheServer(t *testing.T) {
	h := open(t)
	c := h.login("app", "options", `-c geqo=off --search-path=a\ b`)
	if got := c.ask("SHOW geqo") + c.ask("SHOW search_path"); got != "offa b" {
		t.Errorf("the session has %q", got)
	}
}
