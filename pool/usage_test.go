package pool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/pool/backend"
)

func (h *house) totals() stats.PoolTotals { return h.pool.Snapshot().Totals }

// hasClosed asserts how many servers were closed for each reason.
func (h *house) hasClosed(want map[string]uint64) {
	h.t.Helper()
	synctest.Wait()
	got := h.totals().ServersClosed
	for reason, n := range want {
		if got[reason] != n {
			h.t.Errorf("%d servers were closed because of %s, want %d: %v", got[reason], reason, n, got)
		}
	}
	if len(got) != len(want) {
		h.t.Errorf("servers were closed because of %v, want %v", got, want)
	}
}

func TestASnapshotTellsTheStateOfEachServer(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.Defaults.DefaultPoolSize, s.Defaults.ServerCheckDelay = 3, time.Minute
	}, func(t *testing.T, h *house) {
		wants := func(want stats.ServerCounts, waiting int) {
			t.Helper()
			synctest.Wait()
			s := h.manager.Snapshots()[0]
			if s.Servers != want || s.Waiting != waiting || s.Database != "app" || s.User != "app" || s.Size != 3 || s.Mode != TransactionMode || s.Clients != 1 {
				t.Errorf("the snapshot is %+v, want servers %+v and %d waiting", s, want, waiting)
			}
		}
		wants(stats.ServerCounts{}, 0)
		a, b, c := h.take(), h.take(), h.take()
		wants(stats.ServerCounts{Active: 3}, 0)
		waits := ask(h.pool)
		pass(2 * time.Second)
		wants(stats.ServerCounts{Active: 3}, 1)
		if s := h.pool.Snapshot(); s.MaxWait != 2*time.Second {
			t.Errorf("the longest wait is %v", s.MaxWait)
		}
		h.pool.Release(a)
		a = waits.server(t)
		h.pool.Release(a)
		h.pool.Release(b)
		wants(stats.ServerCounts{Active: 1, Idle: 2}, 0)
		pass(time.Minute)
		wants(stats.ServerCounts{Active: 1, Used: 2}, 0)
		h.pool.Release(c)
		wants(stats.ServerCounts{Idle: 1, Used: 2}, 0)
		got := h.totals()
		if got.Assignments != 4 || got.WaitTime.Count() != 4 || got.WaitTime.Sum < 2*time.Second || got.ServersOpened != 3 {
			t.Errorf("%d assignments, %d waits of %v, %d opened", got.Assignments, got.WaitTime.Count(), got.WaitTime.Sum, got.ServersOpened)
		}
	})
}

func TestASnapshotHoldsWhatIsLeftOfAPoolThatHadToMakeWay(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		sees := func(when string, servers, clients int) {
			t.Helper()
			list := h.manager.Snapshots()
			if len(list) != 1 || list[0].Database != "app" || list[0].User != "app" || list[0].Servers.Active != servers || list[0].Clients != clients {
				t.Errorf("%s: %+v", when, list)
			}
		}
		s := h.take()
		sees("at first", 1, 1)
		next, leave := h.manager.Join(h.pool.Database(), Login{User: "app", Password: "another"})
		if next == h.pool {
			t.Fatal("the pool did not change with the password")
		}
		sees("with another password", 1, 2)
		leave()
		h.manager.Apply(nil)
		sees("without the database", 1, 1)
		h.pool.Release(s)
		h.leave()
		pass(backend.CloseWait)
		if list := h.manager.Snapshots(); len(list) != 0 {
			t.Errorf("there are still %+v", list)
		}
	})
}

// A client may have found the database before it was removed, and join it with a
// password that its role has been given since.
func TestAPoolThatRetiresTwiceIsSeenOnce(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		db := h.pool.Database()
		s := h.take()
		h.manager.Apply(nil)
		_, leave := h.manager.Join(db, Login{User: "app", Password: "another"})
		leave()
		if list := h.manager.Snapshots(); len(list) != 1 || list[0].Servers.Active != 1 || list[0].Clients != 1 {
			t.Errorf("the pools are %+v", list)
		}
		h.pool.Release(s)
	})
}

func TestAClosedServerIsCountedByItsReason(t *testing.T) {
	for reason, c := range map[string]struct {
		edit func(*Spec)
		do   func(h *house, s *Server)
	}{
		ClosedIdle:     {func(s *Spec) { s.Defaults.ServerIdleTimeout = time.Minute }, func(h *house, s *Server) { h.pool.Release(s); pass(2 * time.Minute) }},
		ClosedLifetime: {func(s *Spec) { s.Defaults.ServerLifetime = time.Minute }, func(h *house, s *Server) { pass(2 * time.Minute); h.pool.Release(s) }},
		ClosedSettings: {nil, func(h *house, s *Server) { h.pool.Database().Invalidate(); h.pool.Release(s) }},
		ClosedTrust:    {nil, func(h *house, s *Server) { h.leave(); h.pool.Database().Rotate(); h.pool.Release(s) }},
		ClosedDirty:    {nil, func(h *house, s *Server) { h.pool.Discard(s) }},
		ClosedPool:     {nil, func(h *house, s *Server) { h.pool.close(errors.New("x")); h.pool.Release(s) }},
		ClosedLost: {nil, func(h *house, s *Server) {
			h.pool.Release(s)
			p := h.fake.Peer(0)
			p.Close()
			pass(2 * time.Second)
		}},
	} {
		t.Run(reason, func(t *testing.T) {
			inHouse(t, nil, c.edit, func(t *testing.T, h *house) {
				c.do(h, h.take())
				h.hasClosed(map[string]uint64{reason: 1})
			})
		})
	}
}

func TestWhoWaitsInVainAndWhatCantBeOpenedAreCounted(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.Defaults.DefaultPoolSize, s.Defaults.QueryWaitTimeout = 1, time.Second
	}, func(t *testing.T, h *house) {
		s := h.take()
		ask(h.pool).refusal(t)
		h.pool.Discard(s)
		synctest.Wait()
		h.fake.SetRefuse(errors.New("refused"))
		ask(h.pool).refusal(t)
		got := h.pool.Snapshot()
		if got.Totals.WaitTimeouts != 1 || got.Totals.ServersFailed != 1 || got.LastError == nil {
			t.Errorf("%d timeouts, %d failures, the error is %v", got.Totals.WaitTimeouts, got.Totals.ServersFailed, got.LastError)
		}
	})
}

func TestCountersOutliveAPoolWhoseRoleHasANewPassword(t *testing.T) {
	inHouse(t, nil, nil, func(t *testing.T, h *house) {
		h.pool.Count(&Work{Transactions: 3, Received: 10})
		w := &Work{Transactions: 4, Sent: 5}
		p, leave := h.manager.Join(h.database("app"), Login{User: "app", Password: "new"})
		defer leave()
		p.Count(w)
		if *w != (Work{}) {
			t.Errorf("what was told is left: %+v", *w)
		}
		if got := p.Snapshot().Totals; got.Transactions != 7 || got.Received != 10 || got.Sent != 5 {
			t.Errorf("the totals are %+v", got)
		}
		synctest.Wait()
	})
}

func TestARequiredDatabaseIsReachableWhileItHasAServerOrAnswers(t *testing.T) {
	inHouse(t, nil, func(s *Spec) {
		s.Required, s.Defaults.ServerIdleTimeout = true, time.Hour
	}, func(t *testing.T, h *house) {
		missing := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := h.manager.Unreachable(); !slices.Equal(got, want) {
				t.Errorf("unreachable are %v, want %v", got, want)
			}
		}
		refuse := func(err error) {
			h.fake.SetRefuse(err)
		}
		missing("app")
		refuse(errors.New("refused"))
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { h.manager.WatchRequired(ctx) })
		defer watching.Wait()
		defer stop()
		pass(time.Second)
		missing("app")
		refuse(nil)
		pass(reachEvery)
		missing()
		s := h.take()
		refuse(errors.New("refused"))
		pass(5 * time.Minute)
		missing() // its server lives
		h.pool.Discard(s)
		pass(reachedFor + 2*reachEvery)
		missing("app")
		refuse(nil)
		pass(reachEvery + time.Second)
		missing()

		ok(t, h.manager.Pause(t.Context(), "app"))
		dials := len(h.fake.Dialed())
		refuse(errors.New("refused"))
		pass(5 * time.Minute)
		missing() // its clients are to wait, and not to be sent away
		if n := len(h.fake.Dialed()) - dials; n != 0 {
			t.Errorf("it was connected to %d times while it was paused", n)
		}
		ok(t, h.manager.Resume("app"))
		pass(reachedFor + reachEvery)
		missing("app")
	})
}
