package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/sqlscan"
	"github.com/pgseal/pgseal/internal/wire"
)

// asAmy is a relay whose client works as amy and is stamped.
func asAmy() *relay {
	return &relay{imposed: imposed{role: "amy", stamp: wire.Parameter{Name: "audit.who", Value: "cert:CN=amy"}}}
}

func TestWhatWouldChangeAnImposedParameterIsForbidden(t *testing.T) {
	r := asAmy()
	for text, want := range map[string]string{
		"SELECT 1":                                           "",
		"RESET ROLE":                                         "",
		"SELECT 1; reset /**/ ROLE; SELECT 2":                "",
		"DISCARD ALL":                                        "",
		"RESET ALL":                                          "",
		"SET work_mem = '1MB'":                               "",
		"SET LOCAL work_mem = '1'":                           "",
		"SELECT 'SET ROLE ben'":                              "",
		"SELECT set_config('work_mem', $1, true)":            "",
		"SELECT who FROM audit":                              "",
		"SET ROLE ben":                                       "role",
		"SET ROLE amy":                                       "role",
		"RESET ROLE; SET ROLE NONE":                          "role",
		"SET LOCAL ROLE ben":                                 "role",
		"SET SESSION AUTHORIZATION DEFAULT":                  "role",
		"RESET SESSION AUTHORIZATION":                        "role",
		"SELECT set_config($1, $2, true)":                    "role",
		`SELECT U&"set\005fconfig"('role', 'ben', false)`:    "audit.who", // likewise
		"SELECT $\x95[$ ' $\x95[$; SET ROLE ben --'":         "audit.who",
		`SELECT 1 WHERE 'a' LIKE 'b' ESCAPE '\'`:             "",
		`SET U&"r\006fle" TO ben`:                            "audit.who", // whichever it names
		"SET audit.who = 'x'":                                "audit.who",
		`set local "audit" . "who" to 'x'`:                   "audit.who",
		"SELECT set_config('Audit.Who', 'x', false)":         "audit.who",
		"RESET audit.who":                                    "audit.who",
		"SET standard_conforming_strings = off":              "standard_conforming_strings",
		"RESET ROLE; SET Standard_Conforming_Strings TO off": "standard_conforming_strings",
	} {
		got := ""
		if e := r.forbids(r.scan([]byte(text)), []byte(text)); e != nil {
			if e.Code != "42501" || e.Hint == "" || strings.Contains(e.Hint, "RESET ROLE") != (want == "role") {
				t.Errorf("%s: %s %s (%s)", text, e.Code, e.Message, e.Hint)
			}
			got = strings.TrimSuffix(strings.TrimPrefix(e.Message, `permission denied to set parameter "`), `"`)
		}
		if got != want {
			t.Errorf("%s: %q is forbidden, want %q", text, got, want)
		}
		if e := new(relay).forbids(scan([]byte(text)), []byte(text)); e != nil {
			t.Errorf("%s: it is forbidden where nothing is imposed", text)
		}
	}
}

func TestATextThatWasNotReadWholeMaySetNothingThatIsImposed(t *testing.T) {
	for seen, want := range map[sqlscan.Effects]bool{
		sqlscan.TempObjects: false, sqlscan.Settings: true, sqlscan.Local: true, sqlscan.Role: true, sqlscan.LocalRole: true, sqlscan.SessionAuth: true,
	} {
		if got := asAmy().forbidsUnread(seen); (got != nil) != want {
			t.Errorf("%v: %v", seen, got)
		}
		if new(relay).forbidsUnread(seen) != nil {
			t.Errorf("%v is forbidden where nothing is imposed", seen)
		}
	}
	r := asAmy()
	r.batch = true
	if e := r.forbidsUnread(sqlscan.Opaque); e != errUnwatched {
		t.Errorf("a large unnamed statement with unseen effects: %v", e)
	}
	if r := (&relay{imposed: imposed{role: "amy"}}); r.forbidsUnread(sqlscan.Unsure|sqlscan.Hidden) == nil {
		t.Error("a name in Unicode escapes passes unread")
	}
	if r := (&relay{imposed: imposed{role: "amy"}}); r.forbidsUnread(sqlscan.Settings) != nil {
		t.Error("a client that only has its role may set nothing")
	}
}

func TestResetRoleMeansTheClientsOwn(t *testing.T) {
	for text, want := range map[string]string{
		"RESET ROLE":                     `SET ROLE "amy"`,
		"SELECT 1; RESET ROLE; SELECT 2": `SELECT 1;SET ROLE "amy"; SELECT 2`,
		"RESET ALL":                      "RESET ALL",
		"SELECT 'RESET ROLE'":            "SELECT 'RESET ROLE'",
	} {
		if got := string(asAmy().ownRoleBack(scan([]byte(text)), []byte(text))); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
		if got := string(new(relay).ownRoleBack(scan([]byte(text)), []byte(text))); got != text {
			t.Errorf("%s becomes %s where nothing is imposed", text, got)
		}
	}
}

func TestAServerThatChangesHandsIsToldAgain(t *testing.T) {
	s := &session{}
	s.relay.imposed = asAmy().imposed
	got := s.imposeAgain([]wire.Parameter{{Name: "audit.who", Value: "cert:CN=amy"}})
	if want := s.relay.imposed.list(); !slices.Equal(got, want) {
		t.Errorf("it is told %v, want %v", got, want)
	}
	s.relay.imposed = imposed{stamp: wire.Parameter{Name: applicationName, Value: "x"}}
	if got := s.imposeAgain(nil); len(got) != 0 {
		t.Errorf("it is told %v, which it would report", got)
	}
}
