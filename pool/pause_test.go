package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/pool/backend"
)

// later runs a command that waits, and returns what it ends with.
func later(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

func ended(t *testing.T, done <-chan error, what string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		ok(t, err)
	default:
		t.Fatalf("%s has not ended", what)
	}
}

func TestPauseWaitsForLentServersAndClientsWaitForResume(t *testing.T) {
	inHouse(t, nil, size(3), func(t *testing.T, h *house) {
		idle, lent := h.take(), h.take()
		h.pool.Release(idle)
		paused := later(func() error { return h.manager.Pause(t.Context(), "app") })
		pass(backend.CloseWait)
		h.wants(1, 0) // the idle one has ended
		waiter := ask(h.pool)
		h.wants(1, 1)
		if len(paused) > 0 {
			t.Error("PAUSE ended while a server was lent")
		}
		h.pool.Release(lent)
		pass(backend.CloseWait)
		ended(t, paused, "PAUSE")
		pass(time.Minute) // the janitor opens none
		h.wants(0, 1)
		if waiter.answered() {
			t.Error("who waited got something while the database was paused")
		}
		if err := h.manager.Pause(t.Context(), "app"); err == nil {
			t.Error("a paused database was paused again")
		}
		ok(t, h.manager.Resume("app"))
		h.pool.Release(waiter.server(t))
		h.wants(1, 0)
		code(t, h.manager.Resume("app"), "55000")
	})
}

func TestAPauseOfAllHoldsDatabasesThatComeLater(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		ok(t, h.manager.Pause(t.Context(), ""))
		h.manager.Apply(map[string]*Spec{"app": newSpec(t, size(1)), "new": newSpec(t, size(1))})
		p, leave := h.manager.Join(h.database("new"), Login{User: "app"})
		defer leave()
		waiter := ask(p)
		synctest.Wait()
		if waiter.answered() || !h.manager.Paused() {
			t.Error("a new database is not paused")
		}
		code(t, h.manager.Pause(t.Context(), "app"), "55000")
		code(t, h.manager.PauseNow("app"), "55000")
		ok(t, h.manager.Resume(""))
		p.Release(waiter.server(t))
		code(t, h.manager.Resume(""), "55000")
	})
}

func TestAPauseThatIsBrokenOffIsUndone(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		s := h.take()
		ctx, cancel := context.WithCancel(t.Context())
		paused := later(func() error { return h.manager.Pause(ctx, "") })
		cancel()
		if err := <-paused; !errors.Is(err, context.Canceled) {
			t.Errorf("PAUSE ended with %v", err)
		}
		h.pool.Release(s)
		h.pool.Release(h.take())
		h.wants(1, 0)
	})
}

func TestAPauseThatSomebodyElseResumesFails(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		s := h.take()
		for _, name := range []string{"app", ""} {
			ctx, cancel := context.WithCancel(t.Context())
			paused := later(func() error { return h.manager.Pause(ctx, name) })
			ok(t, h.manager.Resume(name))
			synctest.Wait()
			if len(paused) == 0 {
				t.Fatalf("PAUSE %q waits on although the database lends servers again", name)
			}
			code(t, <-paused, "55000")
			cancel()
		}
		h.pool.Release(s)
	})
}

func TestAPauseThatIsBrokenOffLeavesThatOfAnother(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		s := h.take()
		ctx, cancel := context.WithCancel(t.Context())
		first := later(func() error { return h.manager.Pause(ctx, "app") })
		ok(t, h.manager.PauseNow("app")) // KILL
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("PAUSE ended with %v", err)
		}
		if !h.manager.Databases()[0].Paused {
			t.Error("a PAUSE that was broken off undid a KILL")
		}
		h.pool.Release(s)
		ok(t, h.manager.Resume("app"))
	})
}

func TestServersOfAPoolThatAnotherTookThePlaceOfAreSeenUntilTheyEnd(t *testing.T) {
	replace := map[string]func(t *testing.T, h *house) (leave func()){
		"a new password": func(t *testing.T, h *house) func() {
			_, leave := h.manager.Join(h.database("app"), Login{User: "app", Password: "new"})
			return leave
		},
		"a removed database": func(t *testing.T, h *house) func() {
			h.manager.Apply(map[string]*Spec{})
			h.manager.Apply(map[string]*Spec{"app": newSpec(t, size(1))})
			return func() {}
		},
	}
	for what, change := range replace {
		t.Run(what, func(t *testing.T) {
			inHouse(t, nil, size(1), func(t *testing.T, h *house) {
				s := h.take()
				defer change(t, h)()
				if list := h.manager.Servers(); len(list) != 1 || list[0].ID != s.ID || !list[0].CloseNeeded {
					t.Errorf("the servers are %+v", list)
				}
				closed := later(func() error { return h.manager.WaitClose(t.Context(), "app") })
				paused := later(func() error { return h.manager.Pause(t.Context(), "app") })
				if len(closed)+len(paused) > 0 {
					t.Error("WAIT_CLOSE or PAUSE ended although a client holds a server")
				}
				h.pool.Release(s)
				pass(backend.CloseWait)
				ended(t, closed, "WAIT_CLOSE")
				ended(t, paused, "PAUSE")
				if list := h.manager.Servers(); len(list) != 0 {
					t.Errorf("the servers are %+v", list)
				}
			})
		})
	}
}

func TestAServerThatIsOpenedWhileItsDatabaseIsPausedIsNotLent(t *testing.T) {
	inHouse(t, slowly(time.Second), size(1), func(t *testing.T, h *house) {
		waiter := ask(h.pool)
		paused := later(func() error { return h.manager.Pause(t.Context(), "app") })
		pass(time.Second + backend.CloseWait)
		ended(t, paused, "PAUSE")
		h.wants(0, 1)
		ok(t, h.manager.Resume("app"))
		h.pool.Release(waiter.server(t))
	})
}

func TestReconnectEndsServersAsTheyComeBackAndWaitCloseWaitsForThem(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		idle, lent := h.take(), h.take()
		h.pool.Release(idle)
		ok(t, h.manager.Reconnect("app"))
		pass(backend.CloseWait)
		h.wants(1, 0)
		list := h.manager.Servers()
		if len(list) != 1 || list[0].ID != lent.ID || !list[0].CloseNeeded || list[0].State != stats.StateActive {
			t.Errorf("the servers are %+v", list)
		}
		closed := later(func() error { return h.manager.WaitClose(t.Context(), "app") })
		if len(closed) > 0 {
			t.Error("WAIT_CLOSE ended while an old server was lent")
		}
		h.pool.Release(lent)
		pass(backend.CloseWait)
		ended(t, closed, "WAIT_CLOSE")
		s := h.take()
		ok(t, h.manager.WaitClose(t.Context(), ""))
		h.pool.Release(s)
	})
}

func TestADisabledDatabaseTakesNoClients(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		ok(t, h.manager.Enable("app", false))
		code(t, h.database("app").Disabled(), "55000")
		if !h.manager.Databases()[0].Disabled {
			t.Error("the database is not shown as disabled")
		}
		ok(t, h.manager.Enable("app", true))
		if err := h.database("app").Disabled(); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsDoneToADatabaseThatIsNotThere(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		m := h.manager
		for what, err := range map[string]error{
			"pause": m.Pause(t.Context(), "x"), "resume": m.Resume("x"), "hold": m.PauseNow("x"), "disable": m.Enable("x", false),
			"reconnect": m.Reconnect("x"), "wait close": m.WaitClose(t.Context(), "x"), "any": m.Pause(t.Context(), AnyDatabase),
		} {
			if err == nil {
				t.Errorf("%s of no database is no error", what)
			} else {
				code(t, err, "3D000")
			}
		}
	})
}

func TestDatabasesAndRolesAreShownWithTheirServers(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		a, b := h.take(), h.take()
		ok(t, asError(a.SetLink(newHolder())))
		h.pool.Release(b)
		states := map[string]int{}
		for _, s := range h.manager.Servers() {
			states[s.State]++
		}
		if len(states) != 2 || states[stats.StateActive] != 1 || states[stats.StateIdle] != 1 {
			t.Errorf("the servers are %v", states)
		}
		h.pool.Release(a)
		d := h.manager.Databases()[0]
		if d.Servers != 2 || d.Clients != 1 || d.PoolSize != 2 || d.DBName != "app" || d.Paused || d.Disabled {
			t.Errorf("the database is %+v", d)
		}
		if u := h.manager.Users(); len(u) != 1 || u[0].Name != "app" || u[0].Servers != 2 {
			t.Errorf("the roles are %+v", u)
		}
	})
}

// asError turns a refusal of SetLink into an error.
func asError(taken bool) error {
	if !taken {
		return errors.New("the server is dead")
	}
	return nil
}
