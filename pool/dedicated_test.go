package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/pool/backend"
)

var replication = []wire.Parameter{{Name: "replication", Value: "true"}, {Name: "client_encoding", Value: "UTF8"}}

// askDedicated asks for a server of the asker's own.
func askDedicated(ctx context.Context, p *Pool) *asker {
	a := &asker{got: make(chan grant, 1)}
	go func() {
		s, err := p.OpenDedicated(ctx, replication)
		a.got <- grant{s, err}
	}()
	synctest.Wait()
	return a
}

func TestAServerOfItsOwnBearsTheClientsStartupAndIsLentToNobodyElse(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		s := askDedicated(t.Context(), h.pool).server(t)
		got := h.fake.Peer(0).StartedWith()
		if got["user"] != "app" || got["database"] != "app" || got["replication"] != "true" ||
			got["client_encoding"] != "UTF8" || len(got) != 4 {
			t.Errorf("the startup packet bears %v", got)
		}
		h.wants(1, 0)
		h.pool.Release(s)
		h.wants(0, 0) // it ended
		other := h.take()
		if other == s {
			t.Error("it was lent to another")
		}
		if got := h.fake.Peer(1).StartedWith(); got["replication"] != "" || got["client_encoding"] != "" {
			t.Errorf("the next server was started with %v", got)
		}
		h.pool.Release(other)
	})
}

func TestAnIdleServerGivesWayToOneOfAClientsOwn(t *testing.T) {
	inHouse(t, nil, size(2), func(t *testing.T, h *house) {
		kept, idle := h.take(), h.take()
		h.pool.Release(idle)
		own := askDedicated(t.Context(), h.pool).server(t)
		h.wants(2, 0)
		if _, most := h.fake.Limits(); most > 2 {
			t.Errorf("there were %d connections, limit 2", most)
		}
		if idle.usable() || !kept.usable() {
			t.Error("another server gave way than the idle one")
		}
		h.pool.Release(kept)
		h.pool.Release(own)
		h.wants(1, 0)
	})
}

func TestWhoWantsAServerOfHisOwnWaitsInTurn(t *testing.T) {
	inHouse(t, nil, size(1), func(t *testing.T, h *house) {
		s := h.take()
		first := ask(h.pool)
		pass(time.Millisecond)
		second := askDedicated(t.Context(), h.pool)
		pass(time.Millisecond)
		third := ask(h.pool)
		h.wants(1, 3)
		h.pool.Release(s)
		if s := first.server(t); second.answered() || third.answered() {
			t.Error("served out of turn")
		} else {
			h.pool.Release(s)
		}
		own := second.server(t)
		h.wants(1, 1)
		if third.answered() {
			t.Error("the server of one's own was lent to another")
		}
		h.pool.Discard(own)
		h.pool.Release(third.server(t))
		if _, most := h.fake.Limits(); most > 1 {
			t.Errorf("there were %d connections, limit 1", most)
		}
	})
}

func TestAWaitForAServerOfOnesOwnEndsInTime(t *testing.T) {
	brief := func(s *Spec) {
		size(1)(s)
		s.Defaults.QueryWaitTimeout = 5 * time.Second
	}
	inHouse(t, nil, brief, func(t *testing.T, h *house) {
		s := h.take()
		began := time.Now()
		code(t, askDedicated(t.Context(), h.pool).refusal(t), wire.CodeTooManyConnections)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("query_wait_timeout took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		broken := askDedicated(ctx, h.pool)
		h.wants(1, 1)
		cancel()
		if err := broken.refusal(t); !errors.Is(err, context.Canceled) {
			t.Errorf("a wait that was broken off ended with %v", err)
		}
		waiting := askDedicated(t.Context(), h.pool)
		h.pool.close(ErrRemoved)
		code(t, waiting.refusal(t), wire.CodeUndefinedDatabase)
		code(t, askDedicated(t.Context(), h.pool).refusal(t), wire.CodeUndefinedDatabase)
		h.pool.Release(s)
	})
}

func TestAServersRefusalOfAClientsOwnConnectionConcernsNobodyElse(t *testing.T) {
	picky := func(p *peer) {
		if p.Startup()["replication"] != "" {
			p.Fail("FATAL", "42501", "must be superuser or replication role to start walsender")
			return
		}
		p.Welcome()
		p.Rest()
	}
	inHouse(t, picky, size(1), func(t *testing.T, h *house) {
		e := code(t, askDedicated(t.Context(), h.pool).refusal(t), "42501")
		if e.Message != "must be superuser or replication role to start walsender" {
			t.Errorf("the client is told %q", e.Message)
		}
		h.wants(0, 0)
		if err := h.pool.LastError(); err != nil {
			t.Errorf("others would be told %v", err)
		}
		h.pool.Release(h.take())
	})
}

func TestTheManagersEndWaitsForAServerOfAClientsOwn(t *testing.T) {
	inHouse(t, slowly(3*time.Second), nil, func(t *testing.T, h *house) {
		opening := askDedicated(t.Context(), h.pool)
		ended := make(chan error, 1)
		go func() { ended <- h.manager.Close(t.Context()) }()
		s := opening.server(t)
		pass(time.Minute)
		if len(ended) > 0 {
			t.Error("the manager ended while a server lived")
		}
		h.pool.Release(s)
		ok(t, <-ended)
	})
}

func TestAServerOfOnesOwnThatIsOpenedWhileItsDatabaseIsPausedIsNotLent(t *testing.T) {
	inHouse(t, slowly(time.Second), size(1), func(t *testing.T, h *house) {
		own := askDedicated(t.Context(), h.pool)
		ok(t, h.manager.PauseNow("app")) // KILL
		pass(time.Second + backend.CloseWait)
		h.wants(0, 1)
		if own.answered() {
			t.Error("a client got a server of a database that is paused")
		}
		ok(t, h.manager.Resume("app"))
		h.pool.Release(own.server(t))
	})
}

func TestWhoGivesUpWaitingForAServerOfHisOwnNeedsNoRoomAnyMore(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		app, other := both(h, func(_ string, s *Spec) { s.Defaults.MaxUserConnections = 1 })
		held := ask(other).server(t)
		ctx, cancel := context.WithCancel(t.Context())
		own := askDedicated(ctx, app)
		if app.policy.places.ofRole.blocked.Load() != 1 {
			t.Fatal("nobody waits for room")
		}
		cancel()
		if err := own.refusal(t); !errors.Is(err, context.Canceled) {
			t.Errorf("the wait ended with %v", err)
		}
		if app.policy.places.ofRole.blocked.Load() != 0 {
			t.Error("room is wanted by nobody")
		}
		other.Release(held)
		if n := count(other); n != 1 {
			t.Errorf("an idle server made way for nobody: %d are left", n)
		}
	})
}

func TestADedicatedServerThatWasBeingOpenedDuringAChangeIsNotLent(t *testing.T) {
	for name, change := range map[string]func(*house){
		"of trust": func(h *house) { h.manager.RotateTrust(h.pool.Database().spec.Load().Trust) },
		"of settings": func(h *house) {
			h.manager.Apply(map[string]*Spec{"app": newSpec(t, size(1), func(s *Spec) { s.DBName = "other" })})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, slowly(time.Second), size(1), func(t *testing.T, h *house) {
				a := askDedicated(t.Context(), h.pool)
				pass(time.Second / 2)
				change(h)
				s := a.server(t)
				if n := len(h.fake.Dialed()); n != 2 {
					t.Errorf("the client got the first of %d servers", n)
				}
				if _, most := h.fake.Limits(); most != 1 {
					t.Errorf("there were %d servers at once, pool_size is 1", most)
				}
				h.pool.Release(s)
			})
		})
	}
}
