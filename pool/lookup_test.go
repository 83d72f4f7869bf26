package pool

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
)

// looker is the role of lookups in these tests.
var looker = Login{User: "looker", Password: "sesame"}

// dataRow is a row of one column.
func dataRow(value string) string {
	return frame('D', "\x00\x01"+string(binary.BigEndian.AppendUint32(nil, uint32(len(value))))+value)
}

// answering is the script of a server that answers each statement by what
// answer says of its messages, up to and with ReadyForQuery.
func answering(answer func(p *peer, messages string)) func(*peer) {
	return func(p *peer) {
		p.Startup()
		p.Welcome()
		var said strings.Builder
		for {
			typ, body := p.Recv()
			if typ == 'X' {
				return
			}
			said.WriteString(frame(typ, string(body)))
			if typ == 'S' {
				answer(p, said.String())
				said.Reset()
			}
		}
	}
}

// yes answers every statement with one row.
var yes = answering(func(p *peer, _ string) {
	p.Put([]byte(frame('1') + frame('2') + dataRow("yes") + frame('C', "SELECT 1\x00") + frame('Z', "I"))...)
})

func (h *house) lookUp(args ...string) (string, error) {
	rows, err := h.manager.RunLookup(h.t.Context(), "app", looker, 2, "SELECT $1", args...)
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		return "", err
	}
	return rows[0][0].Text, nil
}

func (h *house) finds() {
	h.t.Helper()
	if got, err := h.lookUp("alice"); got != "yes" || err != nil {
		h.t.Errorf("the lookup finds %q, %v", got, err)
	}
}

func TestALookupHasAConnectionOfItsOwnThatIsUsedAgain(t *testing.T) {
	inHouse(t, yes, nil, func(t *testing.T, h *house) {
		h.finds()
		h.finds()
		if n := len(h.fake.Dialed()); n != 1 {
			t.Errorf("%d connections were opened", n)
		}
		got := h.fake.Peer(0).StartedWith()
		if got["user"] != "looker" || got["database"] != "app" || got["statement_timeout"] != "5000" ||
			got["application_name"] != "pgseal" || len(got) != 4 {
			t.Errorf("the startup packet bears %v", got)
		}
		h.wants(0, 0) // it is none of the pool's
		pass(lookupIdle + 2*sweepEvery)
		if open, _ := h.fake.Limits(); open != 0 {
			t.Errorf("%d connections are open after %v", open, lookupIdle)
		}
		h.finds()
	})
}

func TestAPauseLeavesNoConnectionOfLookupsOpen(t *testing.T) {
	inHouse(t, yes, nil, func(t *testing.T, h *house) {
		none := func(when string) {
			t.Helper()
			synctest.Wait()
			if open, _ := h.fake.Limits(); open != 0 {
				t.Errorf("%d connections are open %s", open, when)
			}
		}
		h.finds()
		ok(t, h.manager.Pause(t.Context(), "app"))
		none("after the pause")
		h.finds() // it may be an administrator who wants to resume
		none("after a lookup during the pause")
		ok(t, h.manager.Resume("app"))
		h.finds()
		h.finds()
		if n := len(h.fake.Dialed()); n != 3 {
			t.Errorf("%d connections were opened", n)
		}
	})
}

func TestALookupUsesNoConnectionOfAnotherLogin(t *testing.T) {
	inHouse(t, yes, nil, func(t *testing.T, h *house) {
		for range 2 {
			for _, login := range []Login{looker, {User: "looker", Password: "another"}, {User: "other", Password: "sesame"}} {
				_, err := h.manager.RunLookup(t.Context(), "app", login, 1, "SELECT $1", "alice")
				ok(t, err)
			}
		}
		if n := len(h.fake.Dialed()); n != 3 {
			t.Errorf("%d connections were opened for 3 logins", n)
		}
	})
}

func TestWhatIsLookedUpIsAParameterAndNoPartOfTheStatement(t *testing.T) {
	const hostile = `'; DROP TABLE x; --`
	var said string
	script := answering(func(p *peer, messages string) {
		said = messages
		p.Put([]byte(frame('1') + frame('2') + frame('C', "SELECT 0\x00") + frame('Z', "I"))...)
	})
	inHouse(t, script, nil, func(t *testing.T, h *house) {
		if _, err := h.lookUp(hostile); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := frame('P', "\x00SELECT $1\x00\x00\x00") +
			frame('B', "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x13"+hostile+"\x00\x00") +
			frame('E', "\x00\x00\x00\x00\x02") + frame('S')
		if said != want {
			t.Errorf("the server got\n%q, want\n%q", said, want)
		}
	})
}

func TestMessagesThatMustNotDisturbALookupDoNot(t *testing.T) {
	inHouse(t, answering(func(p *peer, _ string) {
		p.Put([]byte(frame('N', "SNOTICE\x00C00000\x00Mhello\x00\x00") + frame('1') + frame('S', "TimeZone\x00GMT\x00") + frame('2') +
			dataRow("yes") + frame('A', word(1), "c\x00p\x00") + frame('C', "SELECT 1\x00") + frame('Z', "I"))...)
	}), nil, func(t *testing.T, h *house) {
		h.finds()
		h.finds()
	})
}

func TestALookupSurvivesThatItsIdleConnectionWasCut(t *testing.T) {
	inHouse(t, yes, nil, func(t *testing.T, h *house) {
		h.finds()
		h.fake.Peer(0).Raw.Close()
		h.finds()
		if n := len(h.fake.Dialed()); n != 2 {
			t.Errorf("%d connections were opened", n)
		}
	})
}

func TestAnErrorOfTheStatementKeepsTheConnection(t *testing.T) {
	script := answering(func(p *peer, _ string) {
		p.Fail("ERROR", "42501", "permission denied for table pg_authid")
		p.Send('Z', "I")
	})
	inHouse(t, script, nil, func(t *testing.T, h *house) {
		for range 2 {
			_, err := h.lookUp("alice")
			code(t, err, "42501")
		}
		if n := len(h.fake.Dialed()); n != 1 {
			t.Errorf("%d connections were opened", n)
		}
	})
}

func TestAServerThatDoesNotAnswerALookupIsLeft(t *testing.T) {
	inHouse(t, answering(func(p *peer, _ string) { p.Hold() }), nil, func(t *testing.T, h *house) {
		began := time.Now()
		if _, err := h.lookUp("alice"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the lookup ended with %v", err)
		}
		if took := time.Since(began); took != lookupTimeout {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
		if open, _ := h.fake.Limits(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
	})
}

func TestLookupsAreBoundedAndTakeTurns(t *testing.T) {
	slow := answering(func(p *peer, _ string) {
		pass(time.Second)
		p.Put([]byte(frame('1') + frame('2') + dataRow("yes") + frame('C', "SELECT 1\x00") + frame('Z', "I"))...)
	})
	inHouse(t, slow, nil, func(t *testing.T, h *house) {
		const many = 5 * lookupsAtOnce
		done := make(chan error, many)
		for range many {
			go func() {
				_, err := h.lookUp("alice")
				done <- err
			}()
		}
		for range many {
			ok(t, <-done)
		}
		if _, most := h.fake.Limits(); most != lookupsAtOnce {
			t.Errorf("there were %d connections at once, want %d", most, lookupsAtOnce)
		}
	})
}

func TestAServerThatCannotBeReachedIsNotTriedByEveryLookup(t *testing.T) {
	inHouse(t, yes, nil, func(t *testing.T, h *house) {
		h.fake.SetRefuse(errors.New("connection refused"))
		for range 10 {
			_, err := h.lookUp("alice")
			says(t, err, "connection refused")
		}
		if n := len(h.fake.Dialed()); n != 1 {
			t.Errorf("it was tried %d times", n)
		}
		h.fake.SetRefuse(nil)
		pass(lookupRetry)
		h.finds()
	})
}

func TestTheRefusalOfALookupsLoginIsTheServers(t *testing.T) {
	inHouse(t, func(p *peer) {
		p.Startup()
		p.Fail("FATAL", "28P01", "password authentication failed for user \"looker\"")
	}, nil, func(t *testing.T, h *house) {
		_, err := h.lookUp("alice")
		code(t, err, wire.CodeInvalidPassword)
	})
}

func TestANewConfigurationHasLookupsConnectAgain(t *testing.T) {
	inHouse(t, yes, nil, func(t *testing.T, h *house) {
		h.finds()
		h.manager.Apply(map[string]*Spec{"app": newSpec(t, func(s *Spec) { s.DBName = "other" })})
		synctest.Wait()
		if open, _ := h.fake.Limits(); open != 0 {
			t.Errorf("%d connections of the old configuration are open", open)
		}
		h.finds()
		if got := h.fake.Peer(1).StartedWith()["database"]; got != "other" {
			t.Errorf("the lookup is made in %q", got)
		}
	})
}

func TestLookupsInADatabaseThatTheStarStandsForBringNoneToLife(t *testing.T) {
	inHouse(t, yes, nil, func(t *testing.T, h *house) {
		h.manager.Apply(map[string]*Spec{"app": newSpec(t), AnyDatabase: newSpec(t)})
		_, err := h.manager.RunLookup(t.Context(), "postgres", looker, 1, "SELECT $1", "alice")
		ok(t, err)
		if got := h.fake.Peer(0).StartedWith()["database"]; got != "postgres" {
			t.Errorf("the lookup is made in %q", got)
		}
		if n := len(h.manager.catalogue.databases); n != 2 {
			t.Errorf("there are %d databases", n)
		}
		if _, err := h.manager.RunLookup(t.Context(), AnyDatabase, looker, 1, "SELECT $1", "alice"); err == nil {
			t.Error("the star is taken for a database")
		}
	})
}
